# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""After the queue by SMTP, and switch-overs that are made to fail: the host is as before, and the play says why."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from load import under_load
from mailhost import MailHost, wait_for
from plays import converge, play

# Written for LMTP, and no less true by SMTP.
from test_mail import (  # noqa: F401
    test_each_recipient_gets_it_once,
    test_no_ending_smuggles_a_second_message,
    test_the_body_arrives_byte_for_byte,
    test_the_null_sender_is_served,
)
from testinfra.host import Host

#: All that a change of the wiring, or of the daemon, could leave behind: bytes, owners, modes, and what runs.
STATE = r"""
here='/etc/postfix/main.cf /etc/postfix/master.cf /etc/filter-stack /etc/fstab /etc/cron.d /etc/passwd /etc/group
      /etc/systemd/system /usr/local /var/lib/filter-stack'
find $here -not -name __pycache__ -not -name '*.pyc' -printf '%p %u %g %m %y %l\n' | sort
find $here -type f -not -name '*.pyc' -exec md5sum {} + | sort
findmnt -no OPTIONS /var/spool/vscan
ss -Hltn | awk '{print $4}' | sort
systemctl show -P ActiveState -P UnitFileState -P NeedDaemonReload filter-daemon.socket filter-daemon.service postfix
# the configuration that the process has read
systemctl show -P StatusText filter-daemon.service
"""
#: What is tried: from after the queue to before it, with little patience.
CHANGE = {"filter_stack_mode": "smtpd_proxy_filter", "filter_postfix_probe_timeout": 10}


def test_the_transport_speaks_smtp(host: Host) -> None:
    assert host.check_output("postconf -M scan/unix").split()[7] == "smtp"
    found = host.check_output("postconf -P 'scan/unix/*'")
    for setting in ("smtp_data_done_timeout = 1200s", "smtp_send_xforward_command = yes", "smtp_line_length_limit = 0"):
        assert f"scan/unix/{setting}" in found


def fails_and_leaves_everything(mail: MailHost, variables: dict[str, Any], *arguments: str) -> str:
    """Run the wiring, or what else is asked for, expect it to fail, and see that nothing is changed; its words."""
    before = state(mail)
    done = play("site", *(arguments or ("--tags", "filter_postfix")), **variables)
    assert done.code != 0
    assert state(mail) == before
    return " ".join(done.output.split())


def state(mail: MailHost) -> str:
    return mail.host.check_output(STATE)


def mail_flows(mail: MailHost) -> None:
    token, content = mail.message()
    mail.send(content)
    mail.wait_delivered(token)


def test_mail_that_waits_for_a_former_next_hop_goes_to_the_new_one(mail: MailHost) -> None:
    # Given mail that came in while another next hop was fed, where nobody answers
    mail.host.check_output("postconf -e 'content_filter = scan:[127.0.0.1]:10999' && postfix reload")
    token, content = mail.message()
    mail.send(content)
    deferred = wait_for("its way", lambda: [item for item in mail.queue() if item["queue_name"] == "deferred"])
    # when the wiring is put right
    converge()
    # then it goes through the filter that is fed now
    mail.wait_delivered(token)
    again = mail.log(f"orig_id={deferred[0]['queue_id']}").partition(":")[0]
    assert "relay=127.0.0.1[127.0.0.1]:10024" in mail.log(f"^{again}: to=")
    assert not mail.queue()


#: Listeners in the daemon's place. (A daemon that is stopped would be restarted by its watchdog.)
STALLS = {
    "says nothing": "import socket, time; kept = socket.create_server(('127.0.0.1', 10024)); time.sleep(900)",
    # It is polite until the end of the data.
    "takes a message and says nothing": """
import socket, threading, time
def serve(client):
    client.sendall(b"220 here\\r\\n")
    for line in client.makefile("rb"):
        verb = line[:4].upper()
        client.sendall({b"DATA": b"354 go on", b"QUIT": b"221 bye"}.get(verb, b"250 ok") + b"\\r\\n")
        if verb == b"DATA":
            time.sleep(900)
server = socket.create_server(("127.0.0.1", 10024))
while True:
    threading.Thread(target=serve, args=(server.accept()[0],), daemon=True).start()
""",
}


@contextmanager
def stalling(mail: MailHost, how: str) -> Iterator[None]:
    mail.host.check_output("systemctl stop filter-daemon.socket filter-daemon.service")
    mail.host.check_output("systemd-run --unit=stalls python3 -c %s", STALLS[how])
    try:
        yield
    finally:
        mail.host.check_output("systemctl stop stalls")
        mail.host.check_output("systemctl start filter-daemon.socket filter-daemon.service")


@contextmanager
def blocked(mail: MailHost, port: int) -> Iterator[None]:
    """Nobody reaches this port, and nobody is told so."""
    mail.host.check_output("command -v nft || apt-get -q -y install nftables")
    mail.host.check_output("nft add table ip block")
    try:
        mail.host.check_output("nft 'add chain ip block in { type filter hook input priority 0; }'")
        mail.host.check_output("nft add rule ip block in tcp dport %s drop", str(port))
        yield
    finally:
        mail.host.check_output("nft delete table ip block")


def test_a_filter_that_accepts_and_stalls(mail: MailHost) -> None:
    # Given mail that already goes through the filter, which has just begun to stall
    with stalling(mail, "says nothing"):
        said = fails_and_leaves_everything(mail, CHANGE)
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


#: Scanners that this host has not; whether something listens on an address is found out by the daemon's own check.
MISSING = [{"type": "clamd", "socket": "/run/clamav/clamd.ctl"}]
SILENT = [{"type": "clamd", "address": "127.0.0.1:3310"}]


@contextmanager
def older_code(mail: MailHost) -> Iterator[None]:
    """The daemon runs code that is not the collection's; afterwards it runs what it ran before."""
    code = "/usr/local/lib/filter-stack/filterd/__init__.py"
    mail.host.check_output("cp -p %s /root/code.kept", code)
    mail.host.check_output("echo '# older' >>%s", code)
    mail.host.check_output("systemctl restart filter-daemon.service")
    try:
        yield
    finally:
        mail.host.check_output("mv /root/code.kept %s", code)
        mail.host.check_output("systemctl restart filter-daemon.service")


def test_a_scanner_that_is_missing(mail: MailHost) -> None:
    # Given code of the daemon that is to be replaced, and a change of its configuration and of the mode besides
    variables = {**CHANGE, "filter_daemon_scanners": SILENT, "filter_daemon_message_deadline": 80}
    with older_code(mail):
        said = fails_and_leaves_everything(mail, variables, "--diff")
    assert "127.0.0.1:3310" in said
    assert "The filter daemon is as it was before" in said
    mail_flows(mail)


FAILURES = ["says nothing", "takes a message and says nothing", "blocked way back", "missing scanner"]


def test_switch_overs_that_fail_do_not_touch_mail_that_goes_another_way(mail: MailHost) -> None:
    # Given mail that does not go through the filter yet
    converge(filter_stack_mode="none")
    for failure in FAILURES:
        variables: dict[str, Any] = {"filter_postfix_probe_timeout": 10}
        with under_load(mail, f"failing: {failure}", infected_each=0) as load:
            # when the change to the filter fails
            if failure in STALLS:
                with stalling(mail, failure):
                    said = fails_and_leaves_everything(mail, variables)
                # (the probe asks for more than a greeting only where there was one)
                task = "Greet the filter" if failure == "says nothing" else "Send a message to the filter alone"
                assert f"did not work at '{task}'" in said
            elif failure == "blocked way back":
                # (the daemon, which was changed as well, and works, goes back with the rest)
                with blocked(mail, 10025):
                    said = fails_and_leaves_everything(
                        mail, {**variables, "filter_daemon_message_deadline": 80}, "--diff"
                    )
                assert "The filter daemon is as it was before. Postfix is as it was before" in said
                assert "did not work at 'Greet the smtpd that takes mail back'" in said
            else:
                # (nor has the scratch tmpfs another size)
                missing = {"filter_daemon_scanners": MISSING, "filter_stack_instances": 6}
                said = fails_and_leaves_everything(mail, missing, "--diff")
                assert "/run/clamav/clamd.ctl" in said
        # then no client and no message has seen anything of it
        assert (load.errors, load.deferred()) == ({}, (0, []))
    # and it works when nothing is in its way
    assert converge().changed > 0
    mail_flows(mail)


def test_verify_says_what_it_saw_and_changes_nothing(mail: MailHost) -> None:
    before = state(mail)
    for how in ("text", "json"):
        done = play("verify", filter_verify_format=how)
        assert (done.code, done.changed) == (0, 0), done.output
        for kind in ("8bit", "utf8", "dsn", "null_sender", "lines", "disclaimer"):
            assert kind in done.output
        assert "NOT SO" not in done.output
    assert state(mail) == before
    assert mail.queue() == []


@pytest.mark.parametrize("line", ["smtp inet n - y - - smtpd -o content_filter=other:[192.0.2.1]:25"])
def test_an_entry_with_a_filter_of_its_own_is_named(mail: MailHost, line: str) -> None:
    mail.host.check_output("cp -p /etc/postfix/master.cf /root/master.cf.kept")
    mail.host.check_output("postconf -M %s", f"smtp/inet={line}")
    number = mail.host.check_output("grep -n '^smtp .*inet' /etc/postfix/master.cf").partition(":")[0]
    try:
        said = fails_and_leaves_everything(mail, CHANGE)
    finally:
        mail.host.check_output("mv /root/master.cf.kept /etc/postfix/master.cf")
    assert f"line {number}, smtp/inet: -o content_filter=other:[192.0.2.1]:25" in said
