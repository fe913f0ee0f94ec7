# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What all connections to scanners share: what ended them, and waiting while the other side does not read."""

from __future__ import annotations

import asyncio
from typing import Optional


class Connection(asyncio.Protocol):
    """A connection to a scanner, or to a scorer."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._transport: Optional[asyncio.Transport] = None
        self._writable: Optional[asyncio.Future[None]] = None
        #: What ended it, in words for the log; None while it can be used.
        self.lost: Optional[str] = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, exc: Optional[Exception]) -> None:
        self._end(f"closed the connection ({exc})" if exc else "closed the connection")

    def pause_writing(self) -> None:
        self._writable = self._loop.create_future()

    def resume_writing(self) -> None:
        if self._writable is not None and not self._writable.done():
            self._writable.set_result(None)
        self._writable = None

    async def _written(self, data: bytes) -> None:
        """Write it, and wait until more can be written."""
        assert self._transport is not None
        self._transport.write(data)
        if self._writable is not None:
            await self._writable
        else:
            await asyncio.sleep(0)  # other messages have their turn, however fast the other side reads

    def _wake(self) -> None:
        """Something has come, or nothing will come any more: whoever waits for it goes on."""

    def _end(self, words: str) -> None:
        if self.lost is None:
            self.lost = words
        self._wake()
        self.resume_writing()

    def abort(self, words: str) -> None:
        """Close at once. Whoever waits hears these words."""
        self._end(words)
        if self._transport is not None:
            self._transport.abort()
