# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter before the queue: the wiring, what passes, and the ways into the other modes and back while mail flows."""

from __future__ import annotations

import uuid

import pytest
from load import under_load
from mailhost import EICAR, MailHost, wait_for
from plays import converge, play

# Written for a filter behind the queue, and no less true in front of it.
from test_mail import (  # noqa: F401
    test_each_recipient_gets_it_once,
    test_no_ending_smuggles_a_second_message,
    test_the_body_arrives_byte_for_byte,
    test_the_null_sender_is_served,
)
from testinfra.host import Host

PROXY = {
    "smtpd_proxy_filter": "127.0.0.1:10024",
    "smtpd_proxy_timeout": "100s",
    "smtpd_client_connection_count_limit": "10",
}
MODES: dict[str, dict[str, object]] = {
    "before": {"filter_stack_mode": "smtpd_proxy_filter"},
    "lmtp": {"filter_stack_mode": "content_filter", "filter_stack_protocol": "lmtp"},
    "smtp": {"filter_stack_mode": "content_filter", "filter_stack_protocol": "smtp"},
    "none": {"filter_stack_mode": "none"},
    "before, speed_adjust": {"filter_stack_mode": "smtpd_proxy_filter", "filter_postfix_speed_adjust": True},
}
#: From "before", each mode into each other one, and back.
WAY = ["lmtp", "before", "smtp", "before", "none", "lmtp", "smtp", "lmtp", "none", "smtp", "none", "before"]
WAY += ["before, speed_adjust", "before"]


def options(host: Host, service: str) -> dict[str, str]:
    lines = host.check_output(f"postconf -P '{service}/*'").splitlines()
    pairs = (line.removeprefix(f"{service}/").partition(" =") for line in lines)
    return {name: value.strip() for name, _, value in pairs}


def test_port_25_hands_mail_to_the_filter_while_the_client_waits(host: Host) -> None:
    fields = host.check_output("postconf -M smtp/inet").split()
    assert (fields[6], fields[7]) == ("20", "smtpd")
    assert options(host, "smtp/inet") == PROXY
    assert host.check_output("postconf -hx content_filter") == ""


def test_the_way_back_does_what_no_first_pass_has_done(host: Host, mail: MailHost) -> None:
    found = options(host, "127.0.0.1:10025/inet")["receive_override_options"]
    assert found == "no_unknown_recipient_checks,no_milters"
    # Given an alias that only cleanup(8) knows
    host.check_output("postconf -e 'virtual_alias_maps=inline:{{sales@example.com=alice@example.com}}'")
    host.check_output("postfix reload")
    token, content = mail.message()
    # when mail comes in for it, then it is delivered to whom it stands for
    wait_for("the alias", lambda: accepted(mail, content, "sales@example.com"))
    mail.wait_delivered(token, "alice")
    host.check_output("postconf -X virtual_alias_maps")
    host.check_output("postfix reload")


def accepted(mail: MailHost, content: bytes, recipient: str) -> bool:
    try:
        mail.send(content, recipients=(recipient,))
    except AssertionError:
        return False
    return True


def test_a_virus_has_its_answer_in_the_dialogue(mail: MailHost) -> None:
    sender = f"{uuid.uuid4().hex}@example.org"
    token, content = mail.message(EICAR)
    mail.send(content, sender=sender)
    assert len(mail.quarantined(sender)) == 1
    assert mail.log(f"proxy-accept: END-OF-MESSAGE: 250 .*quarantined as .*from=<{sender}>")
    assert mail.delivered(token) == []


def test_mail_from_the_host_itself_is_filtered_too(host: Host, mail: MailHost) -> None:
    clean, infected = uuid.uuid4().hex, uuid.uuid4().hex
    for token, text in ((clean, "Hello."), (infected, EICAR.decode())):
        host.check_output("printf 'Subject: %s\\n\\n%%s\\n' %s | sendmail -f bob alice", token, text)
    mail.wait_delivered(clean)
    wait_for("the verdict", lambda: len(mail.quarantined("bob@example.com")) == 1)
    assert mail.delivered(infected) == []


def test_from_each_mode_into_each_other_one_while_mail_flows(host: Host, mail: MailHost) -> None:
    proven = {"before"}
    now = "before"
    for mode in WAY:
        # Given a steady load, with an infected message now and then where something filters,
        unfiltered = "none" in (now, mode)
        # when the mode is changed, then nothing is lost, nothing infected delivered, and nothing comes twice
        with under_load(mail, f"{now} -> {mode}", 0 if unfiltered else 7):
            assert converge(**MODES[mode]).changed > 0
        now = mode
        # and no mode lets a message be smuggled
        if mode not in proven:
            test_no_ending_smuggles_a_second_message(mail)
            proven.add(mode)
    # and the second run changes nothing
    with under_load(mail, "a second run"):
        done = play("site")
        assert (done.code, done.changed) == (0, 0), done.output
    assert options(host, "smtp/inet") == PROXY


def test_new_code_while_mail_flows(host: Host, mail: MailHost) -> None:
    # Given code that is older than the collection's
    host.check_output("echo '# older' >>/usr/local/lib/filter-stack/filterd/__init__.py")
    process = host.check_output("systemctl show -P MainPID filter-daemon.service")
    with under_load(mail, "new code of the daemon"):
        done = play("site")
        assert done.code == 0, done.output
    assert "older" not in host.file("/usr/local/lib/filter-stack/filterd/__init__.py").content_string
    assert host.check_output("systemctl show -P MainPID filter-daemon.service") != process


@pytest.mark.parametrize("instances", [6, 3, 4])
def test_more_and_fewer_instances_while_mail_flows(host: Host, mail: MailHost, instances: int) -> None:
    before = host.check_output("findmnt -bno SIZE /var/spool/vscan")
    limit = int(host.check_output("postconf -hx message_size_limit"))
    with under_load(mail, f"n becomes {instances}"):
        done = play("site", filter_stack_instances=instances)
        assert done.code == 0, done.output
    size = host.check_output("findmnt -bno SIZE /var/spool/vscan")
    assert size != before
    # n*(1+f)*limit*7/8, rounded up to a page
    assert 0 <= int(size) - instances * 3 * limit * 7 // 8 <= 4096
    assert host.check_output("postconf -M scan/unix").split()[6] == str(instances)


def test_removal_leaves_both_files_as_they_were_and_mail_flowing(host: Host, mail: MailHost) -> None:
    with under_load(mail, "removal", infected_each=0):
        done = play("remove")
        assert done.code == 0, done.output
    assert host.file("/etc/postfix/master.cf").content == host.file("/usr/share/postfix/master.cf.dist").content
    assert "filter" not in host.check_output("postconf -n")
    assert host.file("/etc/postfix/main.cf").content == host.file("/root/main.cf.plain").content
    assert gone(host) == []
    # and a second removal finds nothing to do
    assert play("remove").changed == 0


def gone(host: Host) -> list[str]:
    """What of ours is left: files by their names, users, groups, units, mounts and lines of fstab."""
    left = host.run(
        "find /etc /usr/local /run /var/lib /var/spool -xdev "
        "\\( -name '*filter-stack*' -o -name '*filter-daemon*' -o -name '*filter_daemon*' -o -name 'vscan*' \\) "
        "-not -path '/var/lib/vscan' -not -path '/var/lib/systemd/*' -not -path '/run/credentials/*'"
    ).stdout.splitlines()
    left += [
        account
        for account in ("filter", "vscan")
        if host.run(f"getent passwd {account} || getent group {account}").rc == 0
    ]
    left += host.run("grep vscan /etc/fstab /proc/mounts").stdout.splitlines()
    left += host.run("systemctl list-unit-files --no-legend 'filter-daemon*'").stdout.splitlines()
    return left + host.run("find /etc/postfix -name 'filter*'").stdout.splitlines()


def test_the_first_installation_while_mail_flows(mail: MailHost) -> None:
    # Given a host that takes mail without a filter
    with under_load(mail, "first installation", infected_each=0):
        done = play("site")
        assert done.code == 0, done.output


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"filter_postfix_proxy_timeout": 60}, "Postfix would give up a message that the filter still delivers"),
        ({"filter_postfix_instances": 9}, "have room for 4"),
        ({"filter_stack_mode": "both"}, 'it takes "content_filter" or "smtpd_proxy_filter"'),
        ({"filter_postfix_reinject_address": "0.0.0.0:10025"}, "filter_postfix_reinject_clients is empty"),
        ({"filter_postfix_reinject_address": "127.0.0.1:10024"}, "in a loop"),
        (
            {"filter_postfix_listeners": [{"role": "external", "port": 2525, "options": {"content_filter": "x:"}}]},
            "name a filter of their own",
        ),
    ],
    ids=["time-outs", "room", "mode", "open way back", "loop", "two filters"],
)
def test_wrong_choices_are_refused_before_anything_is_touched(
    host: Host, variables: dict[str, object], words: str
) -> None:
    before = host.check_output("cat /etc/postfix/main.cf /etc/postfix/master.cf | md5sum")
    done = play("site", "--tags", "filter_postfix", **variables)
    assert done.code != 0
    assert words in " ".join(done.output.split()), done.output
    assert host.check_output("cat /etc/postfix/main.cf /etc/postfix/master.cf | md5sum") == before
