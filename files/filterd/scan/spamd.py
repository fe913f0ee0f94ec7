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

from ..findings import ScannerFailure, Score, Verdict
from ..smtp.reply import printable
from . import SPAM_SCORER, Probe, Subject
from .exchange import opened, words
from .settings import SpamdSettings

#: The test message of spam scorers (https://spamassassin.apache.org/gtube/), in two pieces as the EICAR pattern.
GTUBE = b"XJS*C4JDBQADN1.NSBN3*2IDNEN*" + b"GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X"
GTUBE_MESSAGE = (
    b"From: <postmaster@localhost>\r\nTo: <postmaster@localhost>\r\nSubject: test of the spam scorer\r\n"
    b"Date: Thu, 01 Jan 2026 00:00:00 +0000\r\nMessage-ID: <test-of-the-spam-scorer@localhost>\r\n\r\n"
    + GTUBE
    + b"\r\n"
)
REPLY_LIMIT = 65536
#: Names of rules that are told of one message, and characters of each.
TESTS_LIMIT, TEST_LIMIT = 200, 100
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


class Spamd:
    """One spamd."""

    def __init__(self, settings: SpamdSettings, loop: asyncio.AbstractEventLoop) -> None:
        self._settings = settings
        self._loop = loop
        self.name = settings.name
        self.kind = SPAM_SCORER
        self.backup = settings.backup

    async def scan(self, subject: Subject) -> Verdict:
        """The score, none of a message over the size limit. Raises ScannerFailure."""
        if subject.size > self._settings.size_limit:
            return Verdict()
        path = f"Return-Path: <{printable(subject.envelope.sender)}>\r\n".encode("ascii")
        return Verdict(score=await self._score(path, subject.content(), subject.size))

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

    def sweep(self) -> None:
        """Nothing is kept."""

    def close(self) -> None:
        """Nothing is kept."""


def describe(version: str, score: Score) -> Probe:
    """What a scorer says of GTUBE, for the self-report."""
    good = score.score >= score.threshold
    verb = "gives" if good else "does not call it spam:"
    return Probe(f"{version}; {verb} {score.score:g} of {score.threshold:g} for the GTUBE test message", good)
