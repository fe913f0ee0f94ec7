# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""SpamAssassin's spamd (spamd/PROTOCOL in its distribution: SYMBOLS, SPAMC/1.5). One connection for each message.

spamd sees the message with a Return-Path field before it, as final delivery would add it: rules about the envelope
sender need it, and the protocol has no other place for it.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Iterator
from typing import Optional

from ..findings import ScannerFailure, Score
from ..smtp.reply import printable
from . import Probe, Subject
from .exchange import opened, words
from .scorer import GTUBE_MESSAGE, TEST_LIMIT, TESTS_LIMIT, SpamScorer, describe
from .settings import SpamdSettings

REPLY_LIMIT = 65536
_NUMBER = rb"(-?[0-9]{1,9}(?:\.[0-9]{1,9})?)"
_STATUS = re.compile(rb"SPAMD/1\.[0-9]{1,2} ([0-9]{1,3}) ([^\r\n]{1,200})\Z")
_SPAM = re.compile(rb"(?i:True|Yes|False|No) ; " + _NUMBER + rb" / " + _NUMBER + rb"\Z")


def read_score(reply: bytes, threshold: Optional[float], source: str) -> Score:
    """The score in a whole answer to SYMBOLS. Raises ScannerFailure for anything that is not exactly one."""
    head, separator, body = reply.partition(b"\r\n\r\n")
    first, *lines = head.split(b"\r\n")
    status = _STATUS.match(first)
    if not status or status.group(1) != b"0" or not separator:
        raise ScannerFailure(f"{source}: said {first[:200]!r}" if reply else f"{source}: closed the connection")
    fields: dict[bytes, bytes] = {}
    for line in lines:
        name, colon, value = line.partition(b":")
        if not colon or name.lower() in fields:
            raise ScannerFailure(f"{source}: said {line[:200]!r}")
        fields[name.lower()] = value.strip()
    if fields.get(b"content-length") != str(len(body)).encode():
        raise ScannerFailure(f"{source}: its answer has not the length that it says")
    spam = _SPAM.match(fields.get(b"spam", b""))
    if not spam:
        raise ScannerFailure(f"{source}: said {fields.get(b'spam', b'')[:200]!r} of the message")
    return Score(
        float(spam.group(1)),
        float(spam.group(2)) if threshold is None else threshold,
        tuple(printable(name.strip())[:TEST_LIMIT] for name in _names(body) if name.strip())[:TESTS_LIMIT],
        source,
    )


def _names(body: bytes) -> list[str]:
    return body.decode("ascii", "replace").split(",")


class Spamd(SpamScorer[SpamdSettings]):
    """One spamd."""

    async def score(self, subject: Subject) -> Score:
        path = f"Return-Path: <{printable(subject.envelope.sender)}>\r\n".encode("ascii")
        return await self._score(path, subject.content(), subject.size)

    async def probe(self) -> Probe:
        """Version, and what it says of GTUBE. Raises ScannerFailure."""
        reply = await self._ask([b"PING SPAMC/1.5\r\n\r\n"])
        version, _, pong = reply.decode("ascii", "replace").strip().partition(" ")
        if pong.split() != ["0", "PONG"]:
            raise ScannerFailure(f"{self.name}: said {reply[:200]!r} to PING")
        return describe(version, await self._score(b"", [GTUBE_MESSAGE], len(GTUBE_MESSAGE)))

    async def _score(self, before: bytes, content: Iterable[bytes], size: int) -> Score:
        head = f"SYMBOLS SPAMC/1.5\r\nContent-length: {len(before) + size}\r\n"
        if self._settings.user:
            head += f"User: {self._settings.user}\r\n"

        def question() -> Iterator[bytes]:
            yield head.encode("ascii") + b"\r\n" + before
            yield from content

        return read_score(await self._ask(question()), self._settings.threshold, self.name)

    async def _ask(self, question: Iterable[bytes]) -> bytes:
        settings = self._settings
        end = self._loop.time() + settings.timeout
        try:
            exchange = await opened(settings.socket, settings.address, settings.timeout, REPLY_LIMIT, self._loop)
        except (OSError, asyncio.TimeoutError) as error:
            raise ScannerFailure(f"{self.name}: {words(error, settings.timeout)}") from None
        exchange.limit_time(end, settings.timeout)
        try:
            whole = await exchange.send(question, last=True)
            pieces = []
            while data := await exchange.more():
                pieces.append(data)
            answer = b"".join(pieces)
            if answer and not whole:
                raise ScannerFailure(f"{self.name}: said {answer[:200]!r} before it had the whole message")
            return answer
        except ConnectionError as error:
            raise ScannerFailure(f"{self.name}: {error}") from None
        finally:
            exchange.close()
