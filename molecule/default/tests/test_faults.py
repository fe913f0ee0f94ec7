# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What breaks delays mail; it loses none, and lets no virus through."""

from __future__ import annotations

import smtplib
import threading
import time
import uuid
from collections import Counter

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


def test_a_killed_daemon_loses_nothing_and_lets_no_virus_through(mail: MailHost) -> None:
    # Given 200 messages on their way, every tenth of them infected
    run = uuid.uuid4().hex[:8]
    names = [f"kill-{run}-{number:03}" for number in range(200)]
    infected = set(names[::10])

    def send(part: list[str]) -> None:
        with smtplib.SMTP(mail.address, 25, timeout=120) as client:
            client.ehlo("client.example.org")
            for name in part:
                _, content = mail.message(EICAR if name in infected else b"clean", subject=f"{name} end")
                assert client.sendmail("tester@example.org", ["bob@example.com"], content) == {}

    senders = [threading.Thread(target=send, args=(names[start::4],)) for start in range(4)]
    for sender in senders:
        sender.start()
    # when all of the daemon's processes are killed, again and again
    kills = 0
    while any(sender.is_alive() for sender in senders) or kills < 3:
        mail.host.run("systemctl kill --signal=SIGKILL --kill-whom=all filter-daemon.service")
        kills += 1
        time.sleep(0.3)
    for sender in senders:
        sender.join()
    # then, when Postfix has tried them again, all clean ones are there and no infected one is
    wait_for("an empty queue", mail.flush, seconds=240)
    lines = mail.host.check_output(f"grep -rhoE '^Subject: kill-{run}-[0-9]+' /home/bob/Maildir/new")
    arrived = Counter(line.split()[1] for line in lines.splitlines())
    assert set(arrived) == set(names) - infected
    # A message is there twice only where the daemon was killed between the way back's answer and its own.
    assert sum(arrived.values()) - len(arrived) <= kills * 5
    # and nothing is left in scratch
    assert mail.host.check_output("ls -A /var/spool/vscan") == ""
