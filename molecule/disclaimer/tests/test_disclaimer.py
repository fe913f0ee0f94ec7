# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Mail from inside gets its text and is scanned after that; mail from outside and of the machine itself does not."""

from __future__ import annotations

import email
import email.policy
import re
import subprocess
import time
from pathlib import Path

import pytest
from mailhost import EICAR, MailHost, wait_for
from plays import Play, play
from testinfra.host import Host

INSIDE, MACHINE = "127.0.0.2", "127.0.0.1"
_WORK = "/var/spool/filter-disclaimer"
TEXT = "This letter is confidential"

_CLIENT = """
import smtplib, sys
address, sender, recipients = sys.argv[1:4]
with smtplib.SMTP(address, 25, local_hostname="client.example.com", timeout=60) as client:
    client.sendmail(sender, recipients.split(), sys.stdin.buffer.read())
"""


def send(host: Host, address: str, content: bytes, sender: str = "anna@example.com", *recipients: str) -> None:
    """Send it to one of the host's interfaces, from the host."""
    who = " ".join(recipients or ("alice@example.com",))
    subprocess.run(
        ["docker", "exec", "-i", host.backend.host, "python3", "-c", _CLIENT, address, sender, who],
        input=content,
        check=True,
        timeout=120,
    )


def body(content: bytes) -> str:
    """The text of a message."""
    return email.message_from_bytes(content, policy=email.policy.default).get_body(("plain",)).get_content()


@pytest.fixture
def program(host: Host) -> str:
    """Which of the two programs this host has."""
    return host.check_output("hostname -s")


class TestWhoGetsIt:
    def test_mail_from_inside(self, host: Host, mail: MailHost) -> None:
        token, content = mail.message()
        send(host, INSIDE, content)
        delivered = mail.wait_delivered(token)
        assert TEXT in body(delivered)
        assert "only, Tester" in body(delivered)
        message = email.message_from_bytes(delivered)
        assert message["x-terms"] == "https://www.example.com/terms"
        assert message.get_all("x-filter-disclaimer") == [
            f"added by filter-stack at {host.check_output('hostname -f')}"
        ]

    def test_mail_from_outside(self, mail: MailHost) -> None:
        token, content = mail.message()
        mail.send(content)
        assert TEXT not in mail.wait_delivered(token).decode()

    def test_mail_of_the_machine_itself(self, host: Host, mail: MailHost) -> None:
        token, content = mail.message()
        send(host, MACHINE, content)
        assert TEXT not in mail.wait_delivered(token).decode()
        token, content = mail.message()
        command = ["docker", "exec", "-i", host.backend.host, "/usr/sbin/sendmail", "alice@example.com"]
        subprocess.run(command, input=content.replace(b"\r\n", b"\n"), check=True, timeout=60)
        assert TEXT not in mail.wait_delivered(token).decode()

    def test_texts_by_sender_and_recipient(self, host: Host, mail: MailHost) -> None:
        token, content = mail.message()
        send(host, INSIDE, content, "x@branch.example.com", "alice@example.com")
        assert body(mail.wait_delivered(token)).rstrip().endswith("Branch office")
        token, content = mail.message()
        send(host, INSIDE, content, "anna@example.com", "alice@example.com", "bob@example.com")
        assert TEXT in body(mail.wait_delivered(token))
        assert TEXT not in body(mail.wait_delivered(token, "bob"))

    def test_it_is_added_once_and_scanned_after_that(self, host: Host, mail: MailHost) -> None:
        token, content = mail.message(subject="once")
        send(host, INSIDE, content)
        assert mail.wait_delivered(token).decode().count(TEXT) == 1
        log = host.run("journalctl --no-pager -o cat -t postfix/pipe -t postfix/lmtp").stdout
        assert "relay=disclaimer" in log
        virus, content = mail.message(EICAR)
        send(host, INSIDE, content, "virus@example.com")
        wait_for("the virus in quarantine", lambda: mail.quarantined("virus@example.com"))
        assert mail.delivered(virus) == []


class TestFilesAndWiring:
    @pytest.mark.parametrize(
        ("path", "owner", "group", "mode"),
        [
            ("/etc/postfix/filter", "root", "filter", 0o770),
            ("/etc/postfix/filter/add_disclaimer", "root", "filter", 0o750),
            ("/etc/postfix/filter/disclaimer.json", "root", "filter", 0o640),
            ("/etc/postfix/filter/disclaimer-2-everybody.txt", "root", "filter", 0o640),
            ("/etc/postfix/filter/disclaimer-2-everybody.html", "root", "filter", 0o640),
            ("/var/spool/filter-disclaimer", "filter", "filter", 0o700),
        ],
    )
    def test_modes(self, host: Host, path: str, owner: str, group: str, mode: int) -> None:
        file = host.file(path)
        assert (file.user, file.group, file.mode) == (owner, group, mode)

    def test_the_transport(self, host: Host) -> None:
        words = host.check_output("postconf -M disclaimer/unix").split()
        assert words[7] == "pipe"
        assert "flags=Rq" in words
        assert "user=filter" in words
        assert "null_sender=" in words
        assert host.check_output("postconf -hx disclaimer_destination_recipient_limit") == "1"

    def test_nothing_is_left_in_the_working_directory(self, host: Host) -> None:
        assert host.check_output("ls -A /var/spool/filter-disclaimer") == ""


class TestFaults:
    """The mail stays in the queue, and arrives when the fault is gone."""

    @pytest.mark.parametrize(
        ("breaking", "mending"),
        [
            *(
                (f"mv {path} {path}.gone", f"mv {path}.gone {path}")
                for path in (
                    "/etc/postfix/filter/add_disclaimer",
                    "/etc/postfix/filter/disclaimer-2-everybody.txt",
                    "/etc/postfix/filter/disclaimer.json",
                    "/usr/local/lib/filter-disclaimer/filterd",
                )
            ),
            ("chown root: /var/spool/filter-disclaimer", "chown filter: /var/spool/filter-disclaimer"),
            # Debian 13 gives Postfix a mount namespace of its own, which is made at its start.
            (
                f"mount -t tmpfs -o size=4k,uid=$(id -u filter),mode=700 tmpfs {_WORK} && systemctl restart postfix",
                f"systemctl stop postfix; umount {_WORK}; systemctl start postfix",
            ),
        ],
    )
    def test_deferred_and_delivered_later(self, host: Host, mail: MailHost, breaking: str, mending: str) -> None:
        token, content = mail.message(b"x" * 20000)
        host.check_output(breaking)
        try:
            send(host, INSIDE, content)
            waiting = wait_for("a deferral", lambda: [one for one in mail.queue() if one["queue_name"] == "deferred"])
            assert [(one["sender"], one["recipients"][0]["address"]) for one in waiting] == [
                ("anna@example.com", "alice@example.com")
            ]
            assert mail.delivered(token) == []
        finally:
            host.check_output(mending)
        wait_for("an empty queue", mail.flush, 120)
        assert mail.wait_delivered(token).decode().count("confidential: it is for you") == 1
        assert mail.delivered(token, "root") == []

    def test_killed_while_it_works_nothing_is_lost(self, host: Host, mail: MailHost) -> None:
        tokens = []
        for _ in range(10):
            token, content = mail.message(b"x" * 100000)
            tokens.append(token)
            send(host, INSIDE, content)
            host.run("pkill -KILL -u filter")
        wait_for("an empty queue", mail.flush, 240)
        for token in tokens:
            assert TEXT in body(mail.wait_delivered(token))
        time.sleep(1)
        assert host.check_output("ls -A /var/spool/filter-disclaimer") == ""

    def test_a_line_with_one_dot_and_addresses_for_shells(self, host: Host, mail: MailHost) -> None:
        token, content = mail.message()
        content = content.replace(b"Hello.\r\n", b"one\r\n.\r\ntwo\r\n")
        send(host, INSIDE, content, '"$(touch /tmp/x) a;b"@example.com')
        delivered = body(mail.wait_delivered(token))
        assert "one\n.\ntwo\n" in delivered.replace("\r\n", "\n")
        assert TEXT in delivered
        assert not host.file("/tmp/x").exists

    def test_nothing_was_returned_to_its_sender(self, mail: MailHost) -> None:
        assert "status=bounced" not in mail.log("status=bounced")


class TestPlays:
    """Each on its own host, so that what is tried on one does not change the other."""

    def run(self, host: Host, name: str, *arguments: str, **variables: object) -> Play:
        return play(name, "--limit", host.backend.get_hostname(), *arguments, **variables)

    def test_texts_that_cannot_be_used_are_refused_before_the_host_is_touched(self, host: Host, tmp_path: Path) -> None:
        before = host.check_output("md5sum /etc/postfix/filter/*")
        (tmp_path / "latin.txt").write_bytes("First\nKöln\n".encode("latin-1"))
        done = self.run(
            host,
            "site",
            *("--tags", "filter_disclaimer"),
            filter_stack_disclaimer_html="<p>\n${nonsense}",
            filter_disclaimer_texts=[{"text_file": str(tmp_path / "latin.txt")}],
        )
        assert done.code != 0
        words = re.sub(r"\s+", " ", done.output)
        assert f"{tmp_path}/latin.txt:2: is not valid UTF-8 (byte 0xf6)" in words
        assert "filter_stack_disclaimer_html:1: has <p>, which is never closed" in words
        assert "filter_stack_disclaimer_html:2: has the unknown variable ${nonsense}" in words
        assert host.check_output("md5sum /etc/postfix/filter/*") == before

    def test_a_check_run_shows_the_text_that_would_change_and_changes_nothing(self, host: Host) -> None:
        before = host.check_output("md5sum /etc/postfix/filter/*")
        arguments = ("--tags", "filter_disclaimer", "--check", "--diff")
        done = self.run(host, "site", *arguments, filter_stack_disclaimer_text="Another text\n")
        assert done.code == 0, done.output
        assert "-This letter is confidential" in done.output
        assert "+Another text" in done.output
        assert done.changed == 1
        assert host.check_output("md5sum /etc/postfix/filter/*") == before

    def test_the_daemon_adds_it_too_and_not_twice(self, host: Host, mail: MailHost) -> None:
        done = self.run(
            host,
            "site",
            *("--tags", "filter_daemon"),
            filter_daemon_disclaimers=[{"text": "Of the daemon, for ${sender_name}'s reader"}],
            filter_daemon_disclaimer_clients=["127.0.0.0/8"],
        )
        assert done.code == 0, done.output
        token, content = mail.message()
        send(host, MACHINE, content)
        assert body(mail.wait_delivered(token)).rstrip().endswith("Of the daemon, for Tester's reader")
        token, content = mail.message()
        send(host, INSIDE, content)
        delivered = body(mail.wait_delivered(token))
        assert TEXT in delivered
        assert "Of the daemon" not in delivered
        token, content = mail.message()
        mail.send(content)
        assert "Of the daemon" not in body(mail.wait_delivered(token))

    def test_before_the_queue_as_well(self, host: Host, mail: MailHost) -> None:
        done = self.run(host, "site", "--tags", "filter_postfix", filter_stack_mode="smtpd_proxy_filter")
        assert done.code == 0, done.output
        token, content = mail.message()
        send(host, INSIDE, content)
        assert mail.wait_delivered(token).decode().count(TEXT) == 1
        virus, content = mail.message(EICAR)
        send(host, INSIDE, content, "second@example.com")
        wait_for("the virus in quarantine", lambda: mail.quarantined("second@example.com"))
        assert mail.delivered(virus) == []

    def test_removal_takes_it_all_away_and_mail_flows(self, host: Host, mail: MailHost) -> None:
        done = self.run(host, "remove")
        assert done.code == 0, done.output
        assert host.run("postconf -M disclaimer/unix").stdout == ""
        assert "disclaimer" not in host.check_output("postconf -n")
        assert host.file("/etc/postfix/main.cf").content == host.file("/root/main.cf.plain").content
        for path in (_WORK, "/usr/local/lib/filter-disclaimer", "/etc/postfix/filter/add_disclaimer"):
            assert not host.file(path).exists
        assert host.run("ls /etc/postfix/filter/disclaimer*").stdout == ""
        token, content = mail.message()
        mail.send(content)
        assert TEXT not in body(mail.wait_delivered(token))
