# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What breaks delays mail; it loses none, and lets no virus through."""

from __future__ import annotations

import smtplib
import uuid
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

from mailhost import EICAR, MailHost, wait_for


def test_without_clamd_mail_is_deferred_and_with_it_delivered(mail: MailHost) -> None:
    # Given no clamd
    mail.host.check_output("systemctl stop clamav-daemon.socket clamav-daemon.service")
    token, content = mail.message()
    try:
        # when a clean message comes in
        front = mail.send(content)
        # then it is deferred and not passed
        deferral = wait_for("the deferral", lambda: mail.log(f"^{front}: to=.*status=deferred"))
        assert "451 4." in deferral
        assert mail.delivered(token) == []
    finally:
        mail.host.check_output("systemctl start clamav-daemon.socket clamav-daemon.service")
    # and with clamd back it is delivered, once
    wait_for("an empty queue", mail.flush, seconds=90)
    mail.wait_delivered(token)
    assert len(mail.delivered(token)) == 1


def restarts(mail: MailHost) -> int:
    return int(mail.host.check_output("systemctl show -P NRestarts filter-daemon.service"))


def kill_daemon(mail: MailHost) -> None:
    """All of its processes at once, when they run, as the kernel does when memory is short."""
    before = restarts(mail)
    wait_for("a running daemon", lambda: mail.host.service("filter-daemon").is_running)
    mail.host.check_output("systemctl kill --signal=SIGKILL --kill-whom=all filter-daemon.service")
    wait_for("its restart", lambda: restarts(mail) > before)


def test_a_killed_daemon_loses_nothing_and_lets_no_virus_through(mail: MailHost) -> None:
    # Given 200 messages on their way, 20 of them infected, held up by clamd. The first ones are clean: EICAR is found
    # without clamd, and would not be held up.
    run = uuid.uuid4().hex[:8]
    names = [f"kill-{run}-{number:03}" for number in range(200)]
    infected = set(names[40::8])

    def send(part: list[str]) -> None:
        with smtplib.SMTP(mail.address, 25, timeout=120) as client:
            client.ehlo("client.example.org")
            for name in part:
                _, content = mail.message(EICAR if name in infected else b"clean", subject=f"{name} end")
                assert client.sendmail("tester@example.org", ["bob@example.com"], content) == {}

    def arrived() -> Counter[str]:
        lines = mail.host.run(f"grep -rhoE '^Subject: kill-{run}-[0-9]+' /home/bob/Maildir/new").stdout
        return Counter(line.split()[1] for line in lines.splitlines())

    mail.host.check_output("systemctl kill --signal=SIGSTOP clamav-daemon.service")
    try:
        with ThreadPoolExecutor(4) as senders:
            list(senders.map(send, [names[start::4] for start in range(4)]))
        waiting = {entry["queue_id"] for entry in mail.queue()}
        assert len(waiting) == len(names)
        # when the daemon is killed with as many of them in its hands as it takes
        kill_daemon(mail)
        assert wait_for("a deferral", lambda: mail.log(r"status=deferred \(lost connection with 127.0.0.1"))
        assert not arrived()
    finally:
        mail.host.check_output("systemctl kill --signal=SIGCONT clamav-daemon.service")
    # and again, twice, while it works them off
    for part in (20, 80):
        wait_for("progress", lambda part=part: mail.flush() or arrived().total() >= part, seconds=120)
        kill_daemon(mail)
    # then, when Postfix has tried them again, all clean ones are there and no infected one is
    wait_for("an empty queue", mail.flush, seconds=240)
    found = arrived()
    assert set(found) == set(names) - infected
    # A message is there twice only where a kill came between the answer from the way back and the daemon's own.
    instances = int(mail.host.check_output("postconf -M scan/unix").split()[6])
    assert found.total() - len(found) <= 3 * instances
    # and nothing is left in scratch
    assert mail.host.check_output("ls -A /var/spool/vscan") == ""
