# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""All scanners of one worker: primaries are asked side by side, backups when all primaries of their kind failed.

One verdict of a kind is enough: a message that one virus scanner calls clean while another one fails counts as
scanned, and the failure is logged. Whoever wants every scanner's word or none takes no second one that may fail.
A virus ends the round at once: whoever has not answered by then is not waited for.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from typing import Any, Callable, NamedTuple, TypeVar

from ..findings import VIRUS, Finding, ScannerFailure, Score, Verdict
from . import SPAM_SCORER, VIRUS_SCANNER, Scanner, Subject

T = TypeVar("T")


class Outcome(NamedTuple):
    """What all scanners together say of one message."""

    findings: list[Finding]
    scores: list[Score]
    virus_scanned: bool  #: a virus scanner has given a verdict
    failures: list[ScannerFailure]  #: of every scanner that was asked and did not answer
    failed: dict[str, ScannerFailure]  #: kinds of which none of the configured has given a verdict, and why


class _Answers(NamedTuple):
    """What the scanners of one kind say."""

    kind: str
    verdicts: list[Verdict]
    failures: list[ScannerFailure]

    @property
    def infected(self) -> bool:
        return any(_infected(verdict) for verdict in self.verdicts)


def _nobody(name: str, seconds: float, failed: bool) -> None:
    pass


class Panel:
    """The scanners of one worker."""

    def __init__(self, scanners: list[Scanner], told: Callable[[str, float, bool], None] = _nobody) -> None:
        """`told` hears of each scan: the scanner's name, seconds, and whether it failed."""
        self.scanners = scanners
        self._told = told
        self._kinds = {
            kind: ([item for item in of_kind if not item.backup], [item for item in of_kind if item.backup])
            for kind in (VIRUS_SCANNER, SPAM_SCORER)
            for of_kind in [[item for item in scanners if item.kind == kind]]
            if of_kind
        }

    async def ask(self, subject: Subject) -> Outcome:
        """Ask all; only what goes wrong in our own code raises. With a virus, others may not have been waited for."""
        rounds = [self._ask_kind(kind, subject) for kind in self._kinds]
        answers = await _side_by_side(rounds, lambda found: found.infected)
        verdicts = [verdict for found in answers for verdict in found.verdicts]
        findings = [finding for verdict in verdicts for finding in verdict.findings]
        return Outcome(
            # The same file may have been looked at as mail and by itself.
            list(dict.fromkeys(findings)),
            [verdict.score for verdict in verdicts if verdict.score is not None],
            any(found.verdicts for found in answers if found.kind == VIRUS_SCANNER),
            [failure for found in answers for failure in found.failures],
            {found.kind: found.failures[0] for found in answers if not found.verdicts},
        )

    async def _ask_kind(self, kind: str, subject: Subject) -> _Answers:
        failures: list[ScannerFailure] = []
        for asked in self._kinds[kind]:
            results = await _side_by_side([self._ask_one(item, subject) for item in asked], _infected)
            failures += [result for result in results if isinstance(result, ScannerFailure)]
            good = [result for result in results if isinstance(result, Verdict)]
            if good:
                return _Answers(kind, good, failures)
        return _Answers(kind, [], failures)

    async def _ask_one(self, scanner: Scanner, subject: Subject) -> Verdict | ScannerFailure:
        began = time.monotonic()
        result: Verdict | ScannerFailure
        try:
            result = await scanner.scan(subject)
        except ScannerFailure as failure:
            result = failure
        self._told(scanner.name, time.monotonic() - began, isinstance(result, ScannerFailure))
        return result

    def sweep(self) -> None:
        """Close what has been idle for long."""
        for scanner in self.scanners:
            scanner.sweep()

    def close(self) -> None:
        """The worker stops."""
        for scanner in self.scanners:
            scanner.close()


def _infected(result: Verdict | ScannerFailure) -> bool:
    return isinstance(result, Verdict) and any(finding.category == VIRUS for finding in result.findings)


async def _side_by_side(work: list[Coroutine[Any, Any, T]], enough: Callable[[T], bool]) -> list[T]:
    """The results in the order of `work`; those that were not there when one was `enough` are left out."""
    if len(work) == 1:
        return [await work[0]]  # the usual case: no task is needed for it
    tasks = [asyncio.ensure_future(item) for item in work]
    pending = set(tasks)
    try:
        while pending:
            done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
            if any(enough(task.result()) for task in done):
                break
    finally:
        # Whatever happens, nobody works on the message behind our back: its content is about to go.
        for task in pending:
            task.cancel()
        if pending:
            await asyncio.wait(pending)
        ended = [task for task in tasks if task.done() and not task.cancelled() and task.exception() is None]
    return [task.result() for task in ended]
