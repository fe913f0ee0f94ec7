# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One connection to a scorer on which a question is written and an answer of bounded size is read, until a time."""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import Iterable
from typing import Optional

from ..connect import connected
from ..values import Address
from .connection import Connection

#: What is written at a time.
_PIECE = 65536


class Exchange(Connection):
    """The connection. What goes wrong with it is told by ConnectionError, in words for the log."""

    def __init__(self, loop: asyncio.AbstractEventLoop, limit: int) -> None:
        super().__init__(loop)
        self._limit = limit
        self._received: list[bytes] = []
        self._room = limit
        self._ended = False
        self._reader: Optional[asyncio.Future[None]] = None
        self._timer: Optional[asyncio.TimerHandle] = None
        #: The other side ended it, by itself.
        self.left = False

    def data_received(self, data: bytes) -> None:
        self._room -= len(data)
        if self._room < 0:
            self.abort(f"said more than {self._limit} bytes")
            return
        self._received.append(data)
        self._wake()

    def eof_received(self) -> bool:
        self._ended = self.left = True
        self._wake()
        return True  # what has come is still to be read; `close` follows

    def connection_lost(self, exc: Optional[Exception]) -> None:
        self.left = self.left or self.lost is None
        super().connection_lost(exc)

    def _wake(self) -> None:
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)
        self.resume_writing()  # who has said something, or nothing more, is not asked any further

    def limit_time(self, end: float, seconds: float) -> None:
        """Abort at `end` of the loop's clock, after `seconds` in words. A new limit replaces the old one."""
        self.unlimit_time()
        self._timer = self._loop.call_at(end, self.abort, f"no answer within {seconds:g} s")

    def unlimit_time(self) -> None:
        """Nobody waits any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    @property
    def usable(self) -> bool:
        """Whether another question can be asked: it is open and nothing unexpected has come."""
        return self.lost is None and not self._ended and not self._received

    async def send(self, pieces: Iterable[bytes], last: bool = False) -> bool:
        """Write all; `last` closes our direction. False when the other side answered or went before it had all."""
        assert self._transport is not None
        self._room = self._limit
        pending: list[bytes] = []
        size = 0
        for piece in pieces:
            pending.append(piece)
            size += len(piece)
            if size >= _PIECE:
                if not await self._write(b"".join(pending)):
                    return False
                pending, size = [], 0
        if not self.usable:
            return False
        self._transport.write(b"".join(pending))
        if last and self._transport.can_write_eof():
            with contextlib.suppress(OSError):  # it has just been reset, which `more` tells
                self._transport.write_eof()
        return True

    async def _write(self, data: bytes) -> bool:
        if not self.usable:
            return False
        await self._written(data)
        return self.usable

    async def more(self) -> bytes:
        """What has come since, b"" at the end. Raises ConnectionError when the connection broke."""
        while not self._received and not self._ended and self.lost is None:
            self._reader = self._loop.create_future()
            try:
                await self._reader
            finally:
                self._reader = None
        if self._received:
            data = b"".join(self._received)
            self._received.clear()
            return data
        if self._ended:
            return b""
        raise ConnectionError(self.lost)

    def close(self) -> None:
        """Close."""
        self.unlimit_time()
        self.abort("closed")


async def opened(
    socket: str, address: Optional[Address], timeout: float, limit: int, loop: asyncio.AbstractEventLoop
) -> Exchange:
    """A connection within `timeout` seconds. Each answer may have `limit` bytes. Raises OSError, TimeoutError."""
    factory = functools.partial(Exchange, loop, limit)
    if address is not None:
        return await connected(loop.create_connection(factory, address.host, address.port), timeout)
    return await connected(loop.create_unix_connection(factory, socket), timeout)


def words(error: BaseException, timeout: float) -> str:
    """What a log says of an OSError or TimeoutError."""
    if isinstance(error, asyncio.TimeoutError):
        return f"no answer within {timeout:g} s"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error)
