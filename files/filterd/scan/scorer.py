# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What all spam scorers share: the size limit, and the test message."""

from __future__ import annotations

import asyncio
from typing import Generic, Protocol, TypeVar

from ..findings import Score, Verdict
from . import SPAM_SCORER, Probe, Subject

#: The test message of spam scorers (https://spamassassin.apache.org/gtube/), in two pieces as the EICAR pattern.
GTUBE = b"XJS*C4JDBQADN1.NSBN3*2IDNEN*" + b"GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X"
GTUBE_MESSAGE = (
    b"From: <postmaster@localhost>\r\nTo: <postmaster@localhost>\r\nSubject: test of the spam scorer\r\n"
    b"Date: Thu, 01 Jan 2026 00:00:00 +0000\r\nMessage-ID: <test-of-the-spam-scorer@localhost>\r\n\r\n"
    + GTUBE
    + b"\r\n"
)
#: Names of rules that are told of one message, and characters of each.
TESTS_LIMIT, TEST_LIMIT = 200, 100


class _Settings(Protocol):
    @property
    def name(self) -> str: ...

    @property
    def size_limit(self) -> int: ...

    @property
    def backup(self) -> bool: ...


S = TypeVar("S", bound=_Settings)


class SpamScorer(Generic[S]):
    """A spam scorer, but for how it is asked."""

    def __init__(self, settings: S, loop: asyncio.AbstractEventLoop) -> None:
        self._settings = settings
        self._loop = loop
        self.name = settings.name
        self.kind = SPAM_SCORER
        self.backup = settings.backup

    async def scan(self, subject: Subject) -> Verdict:
        """The score, none of a message over the size limit. Raises ScannerFailure."""
        if subject.size > self._settings.size_limit:
            return Verdict()
        return Verdict(score=await self.score(subject))

    async def score(self, subject: Subject) -> Score:
        """What it gives this message. Raises ScannerFailure."""
        raise NotImplementedError

    def sweep(self) -> None:
        """Called about once a second: close what has been idle for long."""

    def close(self) -> None:
        """The worker stops."""


def describe(version: str, score: Score) -> Probe:
    """What a scorer says of GTUBE, for the self-report."""
    good = score.score >= score.threshold
    verb = "gives" if good else "does not call it spam:"
    return Probe(f"{version}; {verb} {score.score:g} of {score.threshold:g} for the GTUBE test message", good)
