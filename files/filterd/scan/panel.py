# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""All scanners of one worker: primaries are asked side by side, backups when all primaries of their kind failed."""

from __future__ import annotations

import asyncio
from typing import NamedTuple

from ..findings import Finding, ScannerFailure, Score, Verdict
from . import SPAM_SCORER, VIRUS_SCANNER, Scanner, Subject


class Outcome(NamedTuple):
    """What all scanners together say of one message."""

    findings: list[Finding]
    scores: list[Score]
    virus_scanned: bool  #: a virus scanner has given a verdict
    failures: list[ScannerFailure]  #: of every scanner that was asked and did not answer
    failed: frozenset[str]  #: kinds of which scanners are configured and none has given a verdict


class Panel:
    """The scanners of one worker."""

    def __init__(self, scanners: list[Scanner]) -> None:
        self._scanners = scanners

    async def ask(self, subject: Subject) -> Outcome:
        """Ask all; only what goes wrong in our own code raises."""
        kinds = [kind for kind in (VIRUS_SCANNER, SPAM_SCORER) if any(item.kind == kind for item in self._scanners)]
        verdicts: list[Verdict] = []
        failures: list[ScannerFailure] = []
        answered: set[str] = set()
        for kind, (good, bad) in zip(kinds, await asyncio.gather(*(self._ask_kind(kind, subject) for kind in kinds))):
            verdicts += good
            failures += bad
            if good:
                answered.add(kind)
        findings = [finding for verdict in verdicts for finding in verdict.findings]
        return Outcome(
            # The same file may have been looked at as mail and by itself.
            list(dict.fromkeys(findings)),
            [verdict.score for verdict in verdicts if verdict.score is not None],
            VIRUS_SCANNER in answered,
            failures,
            frozenset(kinds) - answered,
        )

    async def _ask_kind(self, kind: str, subject: Subject) -> tuple[list[Verdict], list[ScannerFailure]]:
        failures: list[ScannerFailure] = []
        for backup in (False, True):
            asked = [item for item in self._scanners if item.kind == kind and item.backup == backup]
            results = await asyncio.gather(*(_ask(item, subject) for item in asked))
            failures += [result for result in results if isinstance(result, ScannerFailure)]
            good = [result for result in results if isinstance(result, Verdict)]
            if good:
                return good, failures
        return [], failures

    def sweep(self) -> None:
        """Close what has been idle for long."""
        for scanner in self._scanners:
            scanner.sweep()

    def close(self) -> None:
        """The worker stops."""
        for scanner in self._scanners:
            scanner.close()


async def _ask(scanner: Scanner, subject: Subject) -> Verdict | ScannerFailure:
    try:
        return await scanner.scan(subject)
    except ScannerFailure as failure:
        return failure
