# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""clamd by INSTREAM over kept sessions (clamd(8): IDSESSION, INSTREAM). Paths are never handed over: permissions.

A clamd without AlertExceedsMax says OK of what is beyond its limits, which nobody can tell from a verdict: `probe`
finds out and `check` warns of it.

A session that clamd closed while it was idle (its IdleTimeout is 30 s by default) is opened again once.
Anything but a clear verdict is a ScannerFailure.
"""

from __future__ import annotations

import asyncio
import functools
import re
import struct
from collections import deque
from collections.abc import Iterable
from typing import Callable, Optional

from ..connect import connected
from ..content.eicar import PATTERN
from ..findings import ENCRYPTED, UNCHECKED, VIRUS, Finding, ScannerFailure, Verdict
from . import VIRUS_SCANNER, Probe, Subject, nested
from .connection import Connection
from .settings import ClamdSettings

#: An idle session is not used again after this many seconds; clamd's own limit is 30.
IDLE_LIMIT = 20.0
_REPLY_LIMIT = 65536
#: Scans of one message that clamd may have before it, on one session.
_PIPELINED = 8
_REPLY = re.compile(r"(?:\d+: )?(?:stream: )?(.*?)(?: (FOUND|ERROR))?\Z", re.DOTALL)
#: Results that mean that clamd did not look at everything, or could not.
_UNCHECKED = "Heuristics.Limits.Exceeded"
_ENCRYPTED = "Heuristics.Encrypted"


def _category(name: str) -> str:
    if name.startswith(_UNCHECKED):
        return UNCHECKED
    return ENCRYPTED if name.startswith(_ENCRYPTED) else VIRUS


def read_verdict(reply: str, source: str) -> list[Finding]:
    """The findings in one INSTREAM reply. Raises ScannerFailure for anything but OK and FOUND."""
    match = _REPLY.match(reply)
    name, word = (match.group(1), match.group(2)) if match else (reply, None)
    if word is None and name == "OK":
        return []
    if word == "ERROR" and name.startswith("INSTREAM size limit exceeded"):
        return [Finding(UNCHECKED, "StreamMaxLength exceeded", source)]
    if word == "FOUND" and name:
        return [Finding(_category(name), name, source)]
    raise ScannerFailure(f"{source}: said {reply[:200]!r}")


class _Session(Connection):
    """One IDSESSION. Several INSTREAM may be under way; clamd answers each with its number, in any order."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self._received = b""
        self._number = 0
        self._outstanding: set[int] = set()
        self._replies: list[str] = []
        self._waiter: Optional[asyncio.Future[None]] = None
        self.used = False
        self.idle_since = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        super().connection_made(transport)
        transport.write(b"zIDSESSION\0")

    def data_received(self, data: bytes) -> None:
        *replies, self._received = (self._received + data).split(b"\0")
        for reply in replies:
            number, _, text = reply.partition(b": ")
            if not number.isdigit():
                number, text = b"", reply
            expected = int(number) if number else min(self._outstanding, default=0)
            if expected not in self._outstanding:
                self.abort("said something that nobody asked for")
                return
            self._outstanding.remove(expected)
            self._replies.append(text.decode("utf-8", "replace"))
        if len(self._received) > _REPLY_LIMIT:
            self.abort("said something endless")
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def scan(self, streams: Iterable[Iterable[bytes]]) -> list[str]:
        """The replies to all streams, or those that came before the first one that is not OK.

        Raises ConnectionError when the session ends before that.
        """
        self._replies = []
        for stream in streams:
            await self._send(stream)
            await self._outstanding_at_most(_PIPELINED - 1)
            if self._decided:
                break
        await self._outstanding_at_most(0)
        return self._replies

    @property
    def _decided(self) -> bool:
        return any(not reply.endswith("OK") for reply in self._replies)

    async def _send(self, stream: Iterable[bytes]) -> None:
        assert self._transport is not None
        self._number += 1
        self._outstanding.add(self._number)
        # Joined here: with the transport's writelines (seen in Python 3.12.1 and 3.13.0) nothing holds the sender back,
        # and a connection that was lost meanwhile leaves its descriptor behind in the event loop.
        pending: list[bytes] = [b"zINSTREAM\0"]
        for chunk in stream:
            if not chunk:
                continue  # to clamd a length of 0 is the end
            pending += (struct.pack("!I", len(chunk)), chunk)
            if len(chunk) >= 32768 or len(pending) > 64:
                await self._written(b"".join(pending))
                pending = []
                if self._number not in self._outstanding or self.lost is not None:
                    self._answered_early()
                    return
        pending.append(b"\0\0\0\0")
        self._transport.write(b"".join(pending))

    def _answered_early(self) -> None:
        """Before the end clamd can only have an error to tell (its size limit): no verdict is about half a stream."""
        if self._number not in self._outstanding and not self._replies[-1].endswith("ERROR"):
            self._replies[-1] += ", before it had the whole message"

    async def _outstanding_at_most(self, count: int) -> None:
        while len(self._outstanding) > count and self.lost is None:
            self._waiter = self._loop.create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        if len(self._outstanding) > count and not self._decided:
            raise ConnectionError(self.lost)


class Clamd:
    """One clamd. Sessions are kept and shared by all messages of a worker, one message at a time on each."""

    def __init__(self, settings: ClamdSettings, loop: asyncio.AbstractEventLoop) -> None:
        self._settings = settings
        self._loop = loop
        self._idle: deque[_Session] = deque()
        self.name = settings.name
        self.kind = VIRUS_SCANNER
        self.backup = settings.backup

    async def scan(self, subject: Subject) -> Verdict:
        """What clamd says of all streams of one message. Raises ScannerFailure."""
        return Verdict(tuple(await self._scan(lambda: subject.streams(self._settings.content))))

    async def probe(self) -> Probe:
        """Version, what it says of the test pattern, and whether it tells of its limits. Raises ScannerFailure."""
        try:
            version = await self.command("VERSION")
        except (OSError, asyncio.TimeoutError) as error:
            raise ScannerFailure(f"{self.name}: {_words(error)}") from None
        findings = await self._scan(lambda: [[PATTERN]])
        if not findings:
            return Probe(f"{version}; does not know the EICAR test pattern", False)
        words = f"{version}; finds {findings[0].name} in the EICAR test pattern"
        if not await self._scan(lambda: [[nested.archive()]]):
            return Probe(f"{words}; calls clean what is beyond its limits (AlertExceedsMax is not set)", False)
        return Probe(words, True)

    async def _scan(self, streams: Callable[[], Iterable[Iterable[bytes]]]) -> list[Finding]:
        current: list[_Session] = []
        end = self._loop.time() + self._settings.timeout
        timer = self._loop.call_at(end, self._give_up, current)
        try:
            while True:
                session = await self._session()
                current[:] = [session]
                if self._loop.time() >= end:
                    self._give_up(current)
                try:
                    replies = await session.scan(streams())
                except ConnectionError:
                    words = session.lost or "closed the connection"
                    if session.used and not words.startswith("no answer"):
                        continue
                    raise ScannerFailure(f"{self.name}: {words}") from None
                except BaseException:
                    session.abort("given up")
                    raise
                findings = self._read(session, replies)
                self._keep(session)
                return findings
        except (OSError, asyncio.TimeoutError) as error:
            raise ScannerFailure(f"{self.name}: {_words(error)}") from None
        finally:
            timer.cancel()

    def _read(self, session: _Session, replies: list[str]) -> list[Finding]:
        try:
            return [finding for reply in replies for finding in read_verdict(reply, self.name)]
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
        factory = functools.partial(_Session, self._loop)
        if settings.address is not None:
            opening = self._loop.create_connection(factory, settings.address.host, settings.address.port)
            return await connected(opening, settings.timeout)
        return await connected(self._loop.create_unix_connection(factory, settings.socket), settings.timeout)

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
