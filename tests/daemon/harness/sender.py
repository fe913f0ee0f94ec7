# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A client that behaves like Postfix' queue: it tries again until each message is answered with 2xx or 5xx."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from .behaviour import PATIENCE
from .clamd import EICAR
from .client import Client, ConnectionClosed, Reply, stuff
from .downstream import Downstream

#: `account` of a run in which nothing went wrong; duplicates are judged by each test.
NOTHING_WRONG = {"lost": 0, "infected delivered": 0, "falsely rejected": 0, "unanswered": 0, "changed": 0}


class Sender:
    """Sends numbered messages, every fifth of them infected, every tenth large, and accounts for them."""

    def __init__(self, address: tuple[str, int], verb: str, viruses: Sequence[bytes] = (EICAR,)) -> None:
        self._address = address
        self._verb = verb
        self._viruses = viruses
        self._lock = threading.Lock()
        self.answers: dict[int, Reply] = {}  #: the final one of each message
        self.deferrals = 0  #: attempts that were answered with 4xx, or not at all
        self.refused_connections = 0
        self.done = threading.Event()

    @staticmethod
    def infected(number: int) -> bool:
        """Whether message `number` is infected."""
        return number % 5 == 3

    def content(self, number: int) -> bytes:
        """Message `number`."""
        text = b"Subject: message %d\r\n\r\n" % number
        if self.infected(number):
            text += self._viruses[number // 5 % len(self._viruses)] + b"\r\n"
        return text + b"0123456789\r\n" * (30_000 if number % 10 == 5 else 3)

    def send(self, numbers: range, threads: int = 8, patience: float = 60) -> None:
        """Send them all, to the end."""
        end = time.monotonic() + patience
        try:
            with ThreadPoolExecutor(threads) as pool:
                list(pool.map(lambda first: self._some(numbers[first::threads], end), range(threads)))
        finally:
            self.done.set()

    def _some(self, numbers: range, end: float) -> None:
        client = None
        for number in numbers:
            while True:
                assert time.monotonic() < end, f"message {number} was not answered in time"
                try:
                    client = client or self._connect()
                    reply = self._attempt(client, number)
                except ConnectionRefusedError:
                    with self._lock:
                        self.refused_connections += 1
                    time.sleep(0.01)
                    continue
                except (OSError, ConnectionClosed, AssertionError):
                    if client is not None:
                        client.close()
                    client = None
                    with self._lock:
                        self.deferrals += 1
                    continue
                if reply.code // 100 != 4:
                    with self._lock:
                        self.answers[number] = reply
                    break
                with self._lock:
                    self.deferrals += 1
                if reply.code == 421:
                    client.close()
                    client = None
        if client is not None:
            client.close()

    def _connect(self) -> Client:
        client = Client(self._address, PATIENCE)
        client.hello(self._verb)
        return client

    def _attempt(self, client: Client, number: int) -> Reply:
        client.envelope(f"{number}@example.com", ["bob@example.com"])
        client.good("DATA")
        client.send(stuff(self.content(number)))
        return client.reply()

    def account(self, downstream: Downstream, numbers: range) -> dict[str, int]:
        """What became of the messages: lost, infected delivered, falsely rejected, changed, duplicated."""
        numbered = [(int(item.sender.split("@")[0]), item.content) for item in downstream.accepted]
        delivered = Counter(number for number, _ in numbered)
        return {
            "lost": sum(not delivered[number] for number in numbers if not self.infected(number)),
            "infected delivered": sum(delivered[number] for number in numbers if self.infected(number)),
            "falsely rejected": sum(
                self.answers[number].code // 100 != 2 for number in numbers if number in self.answers
            ),
            "unanswered": sum(number not in self.answers for number in numbers),
            "changed": sum(text != self.content(number) for number, text in numbered),
            "duplicates": sum(count - 1 for count in delivered.values()),
        }
