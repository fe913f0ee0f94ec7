# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""After the queue by SMTP, and switch-overs that are made to fail: the host is as before, and the play says why."""

from __future__ import annotations

from typing import Any

import pytest
from mailhost import MailHost
from plays import play

# Written for LMTP, and no less true by SMTP.
from test_mail import (  # noqa: F401
    test_each_recipient_gets_it_once,
    test_no_ending_smuggles_a_second_message,
    test_the_body_arrives_byte_for_byte,
    test_the_null_sender_is_served,
)
from testinfra.host import Host

WIRING = "cat /etc/postfix/main.cf /etc/postfix/master.cf /var/lib/filter-stack/*.cf.json | md5sum"
#: What is tried: from after the queue to before it, with little patience.
CHANGE = {"filter_stack_mode": "smtpd_proxy_filter", "filter_postfix_probe_timeout": 10}


def test_the_transport_speaks_smtp(host: Host) -> None:
    assert host.check_output("postconf -M scan/unix").split()[7] == "smtp"
    found = host.check_output("postconf -P 'scan/unix/*'")
    for setting in ("smtp_data_done_timeout = 1200s", "smtp_send_xforward_command = yes", "smtp_line_length_limit = 0"):
        assert f"scan/unix/{setting}" in found


def fails_and_leaves_everything(mail: MailHost, variables: dict[str, Any]) -> str:
    """Run the wiring, expect it to fail, and see that nothing is changed and mail flows; what the play said."""
    before = mail.host.check_output(WIRING)
    done = play("site", "--tags", "filter_postfix", **variables)
    assert done.code != 0
    assert mail.host.check_output(WIRING) == before
    assert not mail.host.file("/var/lib/filter-stack/before-switch").exists
    return " ".join(done.output.split())


def mail_flows(mail: MailHost) -> None:
    token, content = mail.message()
    mail.send(content)
    mail.wait_delivered(token)


#: A listener in the daemon's place that says nothing. (A daemon that is stopped would be restarted by its watchdog.)
STALLS = "import socket, time; kept = socket.create_server(('127.0.0.1', 10024)); time.sleep(900)"


def test_a_filter_that_accepts_and_stalls(mail: MailHost) -> None:
    mail.host.check_output("systemctl stop filter-daemon.socket filter-daemon.service")
    mail.host.check_output("systemd-run --unit=stalls python3 -c %s", STALLS)
    try:
        said = fails_and_leaves_everything(mail, CHANGE)
    finally:
        mail.host.check_output("systemctl stop stalls")
        mail.host.check_output("systemctl start filter-daemon.socket filter-daemon.service")
    assert "did not work at 'Greet the filter'" in said
    assert "Postfix is as it was before" in said
    mail_flows(mail)


def test_a_way_back_that_the_filter_cannot_reach(mail: MailHost) -> None:
    # Given a way back that was moved for Postfix alone: the filter knows the old one, which goes with the change
    said = fails_and_leaves_everything(mail, {**CHANGE, "filter_postfix_reinject_address": "127.0.0.1:10027"})
    assert "did not work at 'Send a message the whole way'" in said
    # then the dialogue and the log say it, and the old way back is there again
    assert "Dialogue: " in said
    assert mail.host.socket("tcp://127.0.0.1:10025").is_listening
    assert not mail.host.socket("tcp://127.0.0.1:10027").is_listening
    mail_flows(mail)


def test_a_scanner_that_is_missing(mail: MailHost) -> None:
    before = mail.host.check_output("cat /etc/postfix/main.cf /etc/postfix/master.cf | md5sum")
    scanners = [{"type": "clamd", "socket": "/run/clamav/clamd.ctl"}]
    done = play("site", **{**CHANGE, "filter_daemon_scanners": scanners})
    assert done.code != 0
    assert "/run/clamav/clamd.ctl" in done.output
    assert mail.host.check_output("cat /etc/postfix/main.cf /etc/postfix/master.cf | md5sum") == before
    mail_flows(mail)


@pytest.mark.parametrize("line", ["smtp inet n - y - - smtpd -o content_filter=other:[192.0.2.1]:25"])
def test_an_entry_with_a_filter_of_its_own_is_named(mail: MailHost, line: str) -> None:
    mail.host.check_output("cp -p /etc/postfix/master.cf /root/master.cf.kept")
    mail.host.check_output("postconf -M 'smtp/inet=%s'", line)
    number = mail.host.check_output("grep -n '^smtp .*inet' /etc/postfix/master.cf").partition(":")[0]
    try:
        said = fails_and_leaves_everything(mail, CHANGE)
    finally:
        mail.host.check_output("mv /root/master.cf.kept /etc/postfix/master.cf")
    assert f"line {number}, smtp/inet: -o content_filter=other:[192.0.2.1]:25" in said
