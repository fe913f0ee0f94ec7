# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Scanners: one small file each, behind one interface.

Virus scanners say what a message holds; spam scorers give it a score. A primary is always asked. A backup is asked
when all primaries of its kind have failed.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, Protocol

from ..findings import Verdict
from ..scratch import Budget
from ..smtp.esmtp import Envelope

VIRUS_SCANNER = "virus"
SPAM_SCORER = "spam"


class Subject(Protocol):
    """A message as scanners see it. Everything can be read again."""

    id: str
    envelope: Envelope
    client: str  #: address of the client that Postfix told us of (XFORWARD ADDR), or of our own client
    size: int  #: bytes
    budget: Budget  #: of scratch that this message may use

    def content(self) -> Iterable[bytes]:
        """The whole message with CR LF, in pieces of bounded size."""

    def streams(self, mode: str) -> Iterable[Iterable[bytes]]:
        """What content.streams gives in one of its MODES."""


class Probe(NamedTuple):
    """What the self-report says of a scanner."""

    words: str
    good: bool  #: False: it works, but not as it should


class Scanner(Protocol):
    """What every scanner offers."""

    name: str  #: how logs call it
    kind: str  #: VIRUS_SCANNER or SPAM_SCORER
    backup: bool

    async def scan(self, subject: Subject) -> Verdict:
        """What it says. Raises ScannerFailure, also when its time is over."""

    def sweep(self) -> None:
        """Called about once a second: close what has been idle for long."""

    def close(self) -> None:
        """The worker stops."""

    async def probe(self) -> Probe:
        """For the self-report: the version, and what it says of the EICAR (or GTUBE) test pattern.

        Raises ScannerFailure when it is missing or does not answer.
        """
