# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""clamd by INSTREAM over kept sessions (clamd(8): IDSESSION, INSTREAM). Paths are never handed over: permissions.

A session that clamd closed while it was idle (its IdleTimeout is 30 s by default) is opened again once.
Anything but a clear verdict is a ScannerFailure.
"""

from __future__ import annotations

import asyncio
import re
import struct
from collections import deque
from collections.abc import Iterable
from typing import Optional

from ..config import ClamdSettings
from ..findings import UNCHECKED, VIRUS, Finding, ScannerFailure

#: An idle session is not used again after this many seconds; clamd's own limit is 30.
IDLE_LIMIT = 20.0
_REPLY_LIMIT = 65536
_REPLY = re.compile(r"(?:\d+: )?(?:stream: )?(.*?)(?: (FOUND|ERROR))?\Z", re.DOTALL)
#: Results that mean that clamd did not look at everything, or could not.
_UNCHECKED_PREFIXES = ("Heuristics.Limits.Exceeded", "Heuristics.Encrypted")


def read_verdict(reply: str, source: str) -> list[Finding]:
    """The findings in one INSTREAM reply. Raises ScannerFailure for anything but OK and FOUND."""
    match = _REPLY.match(reply)
    name, word = (match.group(1), match.group(2)) if match else (reply, None)
    if word is None and name == "OK":
        return []
    if word == "FOUND" and name:
        category = UNCHECKED if name.startswith(_UNCHECKED_PREFIXES) else VIRUS
        return [Finding(category, name, source)]
    raise ScannerFailure(f"{source}: said {reply[:200]!r}")


class _Session(asyncio.Protocol):
    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.transport: Optional[asyncio.Transport] = None
        self._received = b""
        self._reply: Optional[asyncio.Future[str]] = None
        self._writable: Optional[asyncio.Future[None]] = None
        self.lost: Optional[str] = None
        self.used = False
        self.idle_since = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.write(b"zIDSESSION\0")

    def data_received(self, data: bytes) -> None:
        self._received += data
        end = self._received.find(b"\0")
        if end >= 0 and self._reply is not None and not self._reply.done():
            self._reply.set_result(self._received[:end].decode("utf-8", "replace"))
            self._received = self._received[end + 1 :]
        elif end >= 0 or len(self._received) > _REPLY_LIMIT:
            self._end("said something that nobody asked for")

    def connection_lost(self, exc: Optional[Exception]) -> None:
        self._end(f"closed the connection ({exc})" if exc else "closed the connection")

    def _end(self, words: str) -> None:
        if self.lost is None:
            self.lost = words
        if self._reply is not None and not self._reply.done():
            self._reply.set_exception(ConnectionError(self.lost))
        self.resume_writing()
        if self.transport is not None:
            self.transport.abort()

    def pause_writing(self) -> None:
        self._writable = self._loop.create_future()

    def resume_writing(self) -> None:
        if self._writable is not None and not self._writable.done():
            self._writable.set_result(None)
        self._writable = None

    def abort(self, words: str) -> None:
        self._end(words)

    async def scan(self, chunks: Iterable[bytes]) -> str:
        assert self.transport is not None
        reply: asyncio.Future[str] = self._loop.create_future()
        self._reply = reply
        pending: list[bytes] = [b"zINSTREAM\0"]
        try:
            for chunk in chunks:
                pending += (struct.pack("!I", len(chunk)), chunk)
                if len(chunk) >= 32768 or len(pending) > 64:
                    self.transport.writelines(pending)
                    pending = []
                    if self._writable is not None:
                        await self._writable
                    if reply.done() or self.lost is not None:
                        break
            else:
                pending.append(b"\0\0\0\0")
                self.transport.writelines(pending)
            return await reply
        except ConnectionError:
            # clamd may have told why before it closed.
            if reply.done() and reply.exception() is None:
                return reply.result()
            raise
        finally:
            self._reply = None
            if reply.done() and not reply.cancelled():
                reply.exception()  # looked at, whatever it is


class Clamd:
    """One clamd. Sessions are kept and shared by all messages of a worker, one message at a time on each."""

    def __init__(self, settings: ClamdSettings, loop: asyncio.AbstractEventLoop) -> None:
        self._settings = settings
        self._loop = loop
        self._idle: deque[_Session] = deque()
        self.name = settings.name

    async def scan(self, chunks: Iterable[bytes]) -> list[Finding]:
        """Findings for a whole message. `chunks` can be read again. Raises ScannerFailure."""
        current: list[_Session] = []
        timer = self._loop.call_later(self._settings.timeout, self._give_up, current)
        try:
            while True:
                session = await self._session()
                current[:] = [session]
                try:
                    reply = await session.scan(chunks)
                except ConnectionError:
                    words = session.lost or "closed the connection"
                    if session.used and not words.startswith("no answer"):
                        continue
                    raise ScannerFailure(f"{self.name}: {words}") from None
                except BaseException:
                    session.abort("given up")
                    raise
                findings = self._read(session, reply)
                self._keep(session)
                return findings
        except (OSError, asyncio.TimeoutError) as error:
            raise ScannerFailure(f"{self.name}: {_words(error)}") from None
        finally:
            timer.cancel()

    def _read(self, session: _Session, reply: str) -> list[Finding]:
        try:
            return read_verdict(reply, self.name)
        except ScannerFailure:
            session.abort("its reply was not understood")
            raise

    def _give_up(self, current: list[_Session]) -> None:
        for session in current:
            session.abort(f"no answer within {self._settings.timeout:g} s")

    async def _session(self) -> _Session:
        now = self._loop.time()
        while self._idle:
            session = self._idle.pop()
            if session.lost is None and now - session.idle_since < IDLE_LIMIT:
                return session
            session.abort("idle for too long")
        settings = self._settings
        factory = lambda: _Session(self._loop)  # noqa: E731
        if settings.address is not None:
            connecting = self._loop.create_connection(factory, settings.address.host, settings.address.port)
            _, session = await asyncio.wait_for(connecting, settings.timeout)
        else:
            _, session = await asyncio.wait_for(
                self._loop.create_unix_connection(factory, settings.socket), settings.timeout
            )
        return session

    def _keep(self, session: _Session) -> None:
        if session.lost is None:
            session.used = True
            session.idle_since = self._loop.time()
            self._idle.append(session)

    def sweep(self) -> None:
        """Close sessions that have been idle for long."""
        now = self._loop.time()
        while self._idle and now - self._idle[0].idle_since >= IDLE_LIMIT:
            self._idle.popleft().abort("idle for too long")

    def close(self) -> None:
        """Close all idle sessions."""
        while self._idle:
            self._idle.pop().abort("service stops")

    async def command(self, command: str) -> str:
        """The reply to a plain command such as VERSION, on a connection of its own. Raises OSError, TimeoutError."""
        if self._settings.address is not None:
            opening = asyncio.open_connection(self._settings.address.host, self._settings.address.port)
        else:
            opening = asyncio.open_unix_connection(self._settings.socket)
        reader, writer = await asyncio.wait_for(opening, self._settings.timeout)
        try:
            writer.write(f"z{command}\0".encode("ascii"))
            reply = await asyncio.wait_for(reader.read(_REPLY_LIMIT), self._settings.timeout)
            return reply.rstrip(b"\0\n").decode("utf-8", "replace")
        finally:
            writer.close()


def _words(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or "no answer in time"
