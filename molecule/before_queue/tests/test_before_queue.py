# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter before the queue: the wiring, what passes, and the ways into the other modes and back while mail flows."""

from __future__ import annotations

import uuid

import pytest
from load import Load
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
MODES = [
    {"filter_stack_mode": "content_filter", "filter_stack_protocol": "lmtp"},
    {"filter_stack_mode": "smtpd_proxy_filter", "filter_postfix_speed_adjust": True},
    {"filter_stack_mode": "content_filter", "filter_stack_protocol": "smtp"},
]


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


def test_from_mode_to_mode_while_mail_flows(host: Host, mail: MailHost) -> None:
    # Given a steady load, with an infected message now and then
    load = Load(mail)
    with load.running():
        for mode in [*MODES, {"filter_stack_mode": "smtpd_proxy_filter"}]:
            # when the mode is changed
            assert converge(**mode).changed > 0
        # then the second run changes nothing
        assert converge(filter_stack_mode="smtpd_proxy_filter").changed == 0
    # and nothing is lost, nothing infected is delivered, and nothing comes twice
    print(load.account())
    assert options(host, "smtp/inet") == PROXY


def test_more_instances_and_new_code_while_mail_flows(host: Host, mail: MailHost) -> None:
    load = Load(mail)
    with load.running():
        # Given code that is older than the collection's
        host.check_output("echo '# older' >>/usr/local/lib/filter-stack/filterd/__init__.py")
        # when both are changed, the scratch tmpfs with the number
        done = play("site", filter_stack_instances=5)
        assert done.code == 0, done.output
    # then nothing is lost
    print(load.account())
    assert "older" not in host.file("/usr/local/lib/filter-stack/filterd/__init__.py").content_string
    assert host.check_output("postconf -M scan/unix").split()[6] == "5"


def test_removal_leaves_both_files_as_they_were_and_mail_flowing(host: Host, mail: MailHost) -> None:
    load = Load(mail, infected_each=0)
    with load.running():
        done = play("remove")
        assert done.code == 0, done.output
    print(load.account())
    assert host.file("/etc/postfix/master.cf").content == host.file("/usr/share/postfix/master.cf.dist").content
    assert "filter" not in host.check_output("postconf -n")
    assert host.file("/etc/postfix/main.cf").content == host.file("/root/main.cf.plain").content
    for path in ("/var/lib/filter-stack", "/etc/filter-stack", "/usr/local/lib/filter-stack", "/var/spool/vscan"):
        assert not host.file(path).exists
    assert not host.user("vscan").exists
    # and it can all come again, on a host that is taking mail
    load = Load(mail, infected_each=0)
    with load.running():
        done = play("site")
        assert done.code == 0, done.output
    print(load.account())


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
