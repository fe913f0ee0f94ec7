# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The wiring, as Postfix itself sees it."""

from __future__ import annotations

import json

import pytest
from mailhost import MailHost
from testinfra.host import Host

INSTANCES = {"debian12": "5", "debian13": "4"}

TRANSPORT = {
    "lmtp_data_done_timeout": "1200s",
    "lmtp_send_xforward_command": "yes",
    "disable_mime_output_conversion": "yes",
    "lmtp_line_length_limit": "0",
    # Mail that the filter does not take must not go anywhere else.
    "lmtp_fallback_relay": "",
}
REINJECTION = {
    "content_filter": "",
    "smtpd_proxy_filter": "",
    "mynetworks": "127.0.0.0/8",
    "smtpd_authorized_xforward_hosts": "127.0.0.0/8",
    "smtpd_recipient_restrictions": "permit_mynetworks,reject",
    "smtpd_client_restrictions": "",
    "smtpd_helo_restrictions": "",
    "smtpd_sender_restrictions": "",
    "smtpd_relay_restrictions": "",
    "smtpd_restriction_classes": "",
    "local_recipient_maps": "",
    "relay_recipient_maps": "",
    "strict_rfc821_envelopes": "yes",
    "smtpd_forbid_bare_newline": "normalize",
    "smtpd_forbid_bare_newline_exclusions": "",
    "receive_override_options": ("no_unknown_recipient_checks,no_header_body_checks,no_milters,no_address_mappings"),
}
MAIN = {
    "content_filter": "scan:[127.0.0.1]:10024",
    "smtpd_forbid_bare_newline": "normalize",
    "smtpd_forbid_bare_newline_exclusions": "",
    # One broken connection to the filter does not hold up everybody's mail.
    "scan_destination_concurrency_failed_cohort_limit": "10",
}


def options(host: Host, service: str) -> dict[str, str]:
    lines = host.check_output(f"postconf -P '{service}/*'").splitlines()
    # 127.0.0.1:10025/inet/mynetworks = 127.0.0.0/8
    pairs = (line.removeprefix(f"{service}/").partition(" =") for line in lines)
    return {name: value.strip() for name, _, value in pairs}


def test_the_transport_to_the_filter(host: Host, mail: MailHost) -> None:
    fields = host.check_output("postconf -M scan/unix").split()[:8]
    assert fields == ["scan", "unix", "-", "-", "n", "-", INSTANCES[mail.name], "lmtp"]
    found = options(host, "scan/unix")
    assert TRANSPORT.items() <= found.items()
    # Postfix 3.9 warns about the old name.
    old, new = found.get("disable_dns_lookups"), found.get("lmtp_dns_support_level")
    assert (old, new) == (("yes", None) if mail.name == "debian12" else (None, "disabled"))


def test_the_way_back(host: Host) -> None:
    fields = host.check_output("postconf -M 127.0.0.1:10025/inet").split()[:8]
    assert fields == ["127.0.0.1:10025", "inet", "n", "-", "n", "-", "-", "smtpd"]
    assert REINJECTION.items() <= options(host, "127.0.0.1:10025/inet").items()


def test_the_second_pass_takes_more_than_the_first(host: Host) -> None:
    limit = int(host.check_output("postconf -hx message_size_limit"))
    for service in ("127.0.0.1:10025/inet", "reinject-cleanup/unix"):
        assert options(host, service)["message_size_limit"] == str(limit + 102400)


def test_main_cf(host: Host) -> None:
    found = host.check_output("postconf -n").splitlines()
    for name, value in MAIN.items():
        assert f"{name} = {value}".strip() in [line.strip() for line in found]


def test_postfix_and_the_filter_agree_on_how_many_at_a_time(host: Host) -> None:
    configuration = json.loads(host.file("/etc/filter-stack/daemon.json").content_string)
    assert host.check_output("postconf -M scan/unix").split()[6] == str(configuration["instances"])
    assert host.check_output("postconf -hx message_size_limit") == str(configuration["message_size_limit"])


def test_every_other_line_of_master_cf_is_as_it_came(host: Host) -> None:
    original = host.file("/usr/share/postfix/master.cf.dist").content
    assert host.file("/etc/postfix/master.cf").content.startswith(original)


def test_postfix_finds_no_error(host: Host) -> None:
    assert host.run("postfix check").succeeded
    # nor does reading the files make it complain
    assert host.run("postconf -M").stderr == ""


@pytest.mark.parametrize("address", ["0.0.0.0", "::"])
def test_nobody_outside_reaches_the_way_around_the_filter(host: Host, address: str) -> None:
    assert not host.socket(f"tcp://{address}:10025").is_listening
    assert host.socket("tcp://127.0.0.1:10025").is_listening
