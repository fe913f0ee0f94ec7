# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Admission: at most n messages in the filter at a time, over all workers.

The service process keeps the count; a worker asks for a place over its channel and gives it back. When a
worker dies, its channel closes and its places are free at once. A message that is still being received has
asked for a place only because it is too large for memory. Such messages never take the last place but where n is 1,
and while others wait they have to keep a pace: a slow client cannot keep everybody else waiting.

On the channel every message is one byte. Bytes that find the channel full are kept and sent together.
"""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from typing import Callable

ASK = b"A"  #: a place for a complete message
ASK_RECEIVING = b"L"  #: a place for a large message that is still being received
GRANT = b"G"  #: a place for the request asked first
GRANT_RECEIVING = b"M"
GIVE_BACK = b"R"
GIVE_BACK_RECEIVING = b"S"
COMPLETE = b"C"  #: the large message is complete: its place counts as any other
CANCEL = b"X"  #: the last request is not needed any more
CANCEL_RECEIVING = b"Y"
ALIVE = b"H"  #: the worker's loop turns
HURRY = b"P"  #: others wait for the places of messages that this worker is still receiving
#: Most messages that are read from a channel at a time.
BATCH = 4096


class Book:
    """Who has a place and who waits: the service's side, without I/O. Clients are any hashable objects."""

    def __init__(self, places: int) -> None:
        self.places = places
        self._held: dict[object, int] = {}
        self._receiving: dict[object, int] = {}
        self._waiting: deque[tuple[object, bool]] = deque()

    @property
    def in_use(self) -> int:
        """Places taken now."""
        return sum(self._held.values())

    @property
    def waiting(self) -> int:
        """Requests that wait."""
        return len(self._waiting)

    def keeps_waiting(self, client: object) -> bool:
        """Whether others wait while this worker has places for messages that it is still receiving."""
        return bool(self._waiting) and self._receiving.get(client, 0) > 0

    def take(self, client: object, message: bytes) -> list[tuple[object, bytes]]:
        """One message from a worker; the answers to send."""
        if message in (ASK, ASK_RECEIVING):
            self._waiting.append((client, message == ASK_RECEIVING))
        elif message in (CANCEL, CANCEL_RECEIVING):
            self._cancel(client, message == CANCEL_RECEIVING)
        elif message == COMPLETE:
            self._count(self._receiving, client, -1)
        elif message == GIVE_BACK:
            self._count(self._held, client, -1)
        elif message == GIVE_BACK_RECEIVING:
            self._count(self._held, client, -1)
            self._count(self._receiving, client, -1)
        return self._grant()

    def forget(self, client: object) -> list[tuple[object, bytes]]:
        """A worker is gone; the answers to send to the others."""
        self._held.pop(client, None)
        self._receiving.pop(client, None)
        self._waiting = deque(item for item in self._waiting if item[0] != client)
        return self._grant()

    def _grant(self) -> list[tuple[object, bytes]]:
        answers: list[tuple[object, bytes]] = []
        while True:
            free = self.places - self.in_use
            receiving_free = min(free, max(1, self.places - 1) - sum(self._receiving.values()))
            eligible = (item for item in self._waiting if (receiving_free if item[1] else free) > 0)
            first = next(eligible, None)
            if first is None:
                return answers
            self._waiting.remove(first)
            client, receiving = first
            self._count(self._held, client, 1)
            if receiving:
                self._count(self._receiving, client, 1)
            answers.append((client, GRANT_RECEIVING if receiving else GRANT))

    def _cancel(self, client: object, receiving: bool) -> None:
        for index in range(len(self._waiting) - 1, -1, -1):
            if self._waiting[index] == (client, receiving):
                del self._waiting[index]
                return

    @staticmethod
    def _count(table: dict[object, int], client: object, change: int) -> None:
        table[client] = max(0, table.get(client, 0) + change)


class Admission:
    """The worker's side: one request, one grant, in order."""

    def __init__(self, channel: socket.socket, loop: asyncio.AbstractEventLoop) -> None:
        self._channel = channel
        self._loop = loop
        self._waiting: dict[bytes, deque[asyncio.Future[None]]] = {GRANT: deque(), GRANT_RECEIVING: deque()}
        self._unsent = b""
        self._full = False  # the channel takes no more now
        self.orphaned: asyncio.Future[None] = loop.create_future()
        #: Called when others wait for the places of messages that are still being received.
        self.on_hurry: Callable[[], None] = lambda: None
        channel.setblocking(False)
        loop.add_reader(channel.fileno(), self._readable)

    async def enter(self, receiving: bool) -> Place:
        """Wait for a place. Cancelling the wait gives it up."""
        grant = GRANT_RECEIVING if receiving else GRANT
        future: asyncio.Future[None] = self._loop.create_future()
        self._waiting[grant].append(future)
        self.send(ASK_RECEIVING if receiving else ASK)
        try:
            await future
        except asyncio.CancelledError:
            if future in self._waiting[grant]:
                self._waiting[grant].remove(future)
                self.send(CANCEL_RECEIVING if receiving else CANCEL)
            elif not future.cancelled():
                self.send(GIVE_BACK_RECEIVING if receiving else GIVE_BACK)
            raise
        return Place(self, receiving)

    def send(self, message: bytes) -> None:
        """One message to the service."""
        self._unsent += message
        if not self._full:
            self._flush()

    def _flush(self) -> None:
        try:
            while self._unsent:
                self._unsent = self._unsent[self._channel.send(self._unsent[:BATCH]) :]
        except BlockingIOError:
            if not self._full:
                self._full = True
                self._loop.add_writer(self._channel.fileno(), self._flush)
            return
        except OSError:
            # The service is gone: this worker must end, its clients will try again.
            self._unsent = b""
            self._orphan()
            return
        if self._full:
            self._full = False
            self._loop.remove_writer(self._channel.fileno())

    def _readable(self) -> None:
        try:
            messages = self._channel.recv(BATCH)
        except BlockingIOError:
            return
        except OSError:
            messages = b""
        if not messages:
            self._orphan()
        for number in messages:
            self._message(bytes((number,)))

    def _message(self, message: bytes) -> None:
        if message == HURRY:
            self.on_hurry()
            return
        waiting = self._waiting.get(message)
        if waiting is None:
            return
        future = waiting.popleft() if waiting else None
        if future is not None and not future.done():
            future.set_result(None)
        else:
            # Granted while the request was being cancelled.
            self.send(GIVE_BACK_RECEIVING if message == GRANT_RECEIVING else GIVE_BACK)

    def _orphan(self) -> None:
        self._loop.remove_reader(self._channel.fileno())
        self._loop.remove_writer(self._channel.fileno())
        if not self.orphaned.done():
            self.orphaned.set_result(None)


class Place:
    """One of the n places."""

    def __init__(self, admission: Admission, receiving: bool) -> None:
        self._admission = admission
        self._receiving = receiving
        self._left = False

    def complete(self) -> None:
        """The message has been received whole."""
        if self._receiving:
            self._receiving = False
            self._admission.send(COMPLETE)

    def leave(self) -> None:
        """Give the place back; once is enough."""
        if not self._left:
            self._left = True
            self._admission.send(GIVE_BACK_RECEIVING if self._receiving else GIVE_BACK)
