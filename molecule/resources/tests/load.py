# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A steady load on port 25, each message with a name of its own, and the account of what became of them."""

from __future__ import annotations

import re
import smtplib
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from mailhost import EICAR, MailHost, wait_for


@dataclass
class Load:
    """What was sent, and what the clients saw."""

    host: MailHost
    port: int = 25
    #: One message of this many is infected; none with 0.
    infected_each: int = 7
    #: Messages that may be there twice although no client saw a broken connection (a filter was killed).
    may_repeat: int = 0
    run: str = field(default_factory=lambda: uuid.uuid4().hex[:12])
    #: Names of messages that were taken (2xx), and of the infected among them.
    taken: set[str] = field(default_factory=set)
    infected: set[str] = field(default_factory=set)
    #: Replies and broken connections that clients saw instead, for a message that was then tried again.
    errors: Counter[str] = field(default_factory=Counter)
    #: Names of messages for which the connection broke, so that they may have been taken twice.
    unsure: set[str] = field(default_factory=set)
    #: Where the host's journal was when the load began.
    _cursor: str = ""
    _stop: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def running(self, senders: int = 2, pause: float = 0.1) -> Iterator[None]:
        """Send all the while; a message that was not taken is sent again, as a mail server does."""
        self._cursor = self.host.host.check_output("journalctl --no-pager -q -n 0 --show-cursor").partition("cursor: ")[
            2
        ]
        threads = [threading.Thread(target=self._send, args=(number, pause)) for number in range(senders)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._stop.set()
            for thread in threads:
                thread.join(180)

    def account(self, what: str = "the load") -> str:
        """Wait until all is delivered, fail on what must not be, and say the figures (for docs/postfix.md)."""
        wait_for("an empty queue", self.host.flush, seconds=240)
        clean = self.taken - self.infected
        wait_for("the last message", lambda: clean <= set(self._arrived()), seconds=60)
        arrived = self._arrived()
        assert set(arrived) & self.infected == set(), "an infected message was delivered"
        twice = {name for name, times in arrived.items() if times > 1}
        assert len(twice - self.unsure) <= self.may_repeat, f"delivered twice without need: {twice - self.unsure}"
        deferred, why = self.deferred()
        return (
            f"{what}: sent {len(self.taken)}, infected {len(self.infected)}, delivered {len(set(arrived))}, "
            f"deferred {deferred}, lost {len(clean - set(arrived))}, twice {len(twice)}, "
            f"errors seen by clients {dict(self.errors)}" + (f", deferred for: {'; '.join(why)}" if why else "")
        )

    def _arrived(self) -> Counter[str]:
        found = self.host.host.run(f"grep -rhoE '^Subject: {self.run}-[0-9-]+' /home/bob/Maildir/new").stdout
        return Counter(line.split()[1] for line in found.splitlines())

    def deferred(self) -> tuple[int, list[str]]:
        """How many messages of this load were deferred once or more, and the reasons, most frequent first."""
        lines = self.host.host.run(
            "journalctl --no-pager -q -o cat --after-cursor %s --grep 'message-id=<|status=deferred'", self._cursor
        ).stdout.splitlines()
        named = re.compile(rf"^(\w+): message-id=<{self.run}-([0-9-]+)@")
        ours = {match[1]: match[2] for match in map(named.match, lines) if match}
        found, why = set(), Counter[str]()
        for line in lines:
            queue_id = line.partition(":")[0]
            if "status=deferred" in line and queue_id in ours:
                found.add(ours[queue_id])
                why[re.sub(r"[0-9A-Fa-f]{8,}", "ID", line.partition("status=deferred ")[2])] += 1
        return len(found), [f"{times} x {reason}" for reason, times in why.most_common(4)]

    def _send(self, number: int, pause: float) -> None:
        count = 0
        while not self._stop.is_set():
            count += 1
            name = f"{self.run}-{number}-{count}"
            infected = self.infected_each > 0 and count % self.infected_each == 0
            token, content = MailHost.message(EICAR if infected else None, subject=f"{name} end")
            content = content.replace(b"<%s@" % token.encode(), b"<%s@" % name.encode())
            while not self._try(name, content):
                time.sleep(0.5)
            self.taken.add(name)
            if infected:
                self.infected.add(name)
            time.sleep(pause)

    def _try(self, name: str, content: bytes) -> bool:
        sending = False
        try:
            with smtplib.SMTP(self.host.address, self.port, timeout=120) as client:
                client.ehlo("client.example.org")
                for code, reply in (client.mail("tester@example.org"), client.rcpt("bob@example.com")):
                    if code != 250:
                        self.errors[f"{code} {reply.decode()}"] += 1
                        return False
                sending = True
                code, reply = client.data(content)
        except (OSError, smtplib.SMTPException) as error:
            self.errors[type(error).__name__] += 1
            if sending:
                self.unsure.add(name)
            return False
        if code != 250:
            self.errors[f"{code} {reply.decode()}"] += 1
        return code == 250


@contextmanager
def under_load(mail: MailHost, what: str, infected_each: int = 7) -> Iterator[Load]:
    """While what is in the block happens, mail flows; afterwards nothing is lost, and the figures are printed."""
    load = Load(mail, infected_each=infected_each)
    with load.running():
        yield load
    print(load.account(what))
