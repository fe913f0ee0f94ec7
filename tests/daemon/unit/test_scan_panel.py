# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who is asked, who counts, and who is not waited for."""

from __future__ import annotations

import asyncio

import pytest
from harness.subject import Message

from filterd.findings import UNCHECKED, VIRUS, Finding, ScannerFailure, Score, Verdict
from filterd.scan import SPAM_SCORER, VIRUS_SCANNER, Probe
from filterd.scan.clamd import read_verdict
from filterd.scan.panel import Outcome, Panel

CLEAN = Verdict()
INFECTED = Verdict((Finding(VIRUS, "Some.Virus", "x"),))
OVER_LIMIT = Verdict((Finding(UNCHECKED, "too large", "x"),))
SCORED = Verdict(score=Score(7.0, 5.0, ("RULE",), "x"))
FAILS = ScannerFailure("x: is not well")


class Scanner:
    """Says what it is told to say, after a while."""

    def __init__(self, says: Verdict | Exception, kind: str = VIRUS_SCANNER, backup: bool = False, after: float = 0.0):
        self.name = "x"
        self.kind, self.backup = kind, backup
        self.says, self.after = says, after
        self.state = "not asked"
        self.states: list[str] = []

    async def scan(self, subject: Message) -> Verdict:
        self.state = "asked"
        self.states.append(self.state)
        try:
            await asyncio.sleep(self.after)
        except asyncio.CancelledError:
            self.state = "given up"
            raise
        self.state = "answered"
        self.states.append(self.state)
        if isinstance(self.says, Exception):
            raise self.says
        return self.says

    def sweep(self) -> None: ...

    def close(self) -> None: ...

    async def probe(self) -> Probe:
        raise NotImplementedError


def spam(says: Verdict | Exception, **more: object) -> Scanner:
    return Scanner(says, kind=SPAM_SCORER, **more)


def ask(*scanners: Scanner) -> Outcome:
    return asyncio.run(Panel(list(scanners)).ask(Message(b"\r\n")))


def test_nobody_to_ask():
    assert ask() == Outcome([], [], False, [], {})


def test_all_primaries_are_asked_at_the_same_time():
    # Given two virus scanners and a spam scorer that need a while
    scanners = [Scanner(CLEAN, after=0.2), Scanner(OVER_LIMIT, after=0.2), spam(SCORED, after=0.2)]
    seen: list[str] = []
    for scanner in scanners:
        scanner.states = seen
    outcome = ask(*scanners)
    # then all are asked before one of them answers, and all that they said is there
    assert seen == ["asked"] * 3 + ["answered"] * 3
    assert outcome == Outcome(list(OVER_LIMIT.findings), [SCORED.score], True, [], {})


def test_a_backup_is_not_asked_while_a_primary_answers():
    # Given one primary that fails, one that answers, and a backup
    backup = Scanner(INFECTED, backup=True)
    outcome = ask(Scanner(FAILS), Scanner(CLEAN, after=0.05), backup)
    # then one answer of the primaries is enough: the message is scanned, and the failure is told
    assert outcome == Outcome([], [], True, [FAILS], {})
    assert backup.state == "not asked"


def test_the_backups_are_asked_when_all_primaries_fail():
    # Given primaries that fail and two backups, then both backups are asked, and what they find counts
    outcome = ask(Scanner(FAILS), Scanner(FAILS), Scanner(CLEAN, backup=True), Scanner(OVER_LIMIT, backup=True))
    assert outcome == Outcome(list(OVER_LIMIT.findings), [], True, [FAILS, FAILS], {})


def test_all_fail():
    outcome = ask(Scanner(FAILS), Scanner(FAILS, backup=True))
    assert outcome == Outcome([], [], False, [FAILS, FAILS], {VIRUS_SCANNER: FAILS})


def test_kinds_do_not_stand_in_for_each_other():
    # Given a spam scorer that answers and virus scanners that fail, then mail has not been scanned
    backup = spam(SCORED, backup=True)
    outcome = ask(Scanner(FAILS), spam(SCORED), backup)
    assert outcome == Outcome([], [SCORED.score], False, [FAILS], {VIRUS_SCANNER: FAILS})
    assert backup.state == "not asked"
    # and the other way round
    outcome = ask(Scanner(CLEAN), spam(FAILS))
    assert outcome == Outcome([], [], True, [FAILS], {SPAM_SCORER: FAILS})


def test_infected_wins_over_a_failure():
    outcome = ask(Scanner(FAILS), Scanner(INFECTED, after=0.02))
    assert outcome == Outcome(list(INFECTED.findings), [], True, [FAILS], {})


@pytest.mark.parametrize("slow", [Scanner(CLEAN, after=5), Scanner(FAILS, after=5), spam(SCORED, after=5)])
def test_a_virus_ends_the_round_at_once(slow):
    # Given one scanner that finds a virus and another that has not answered
    outcome = ask(slow, Scanner(INFECTED))
    # then nobody waits for it, and it does not go on behind our back
    assert outcome == Outcome(list(INFECTED.findings), [], True, [], {})
    assert slow.state == "given up"


def test_what_is_unchecked_does_not_end_the_round():
    # Given a finding that is no virus, then a slower scanner's virus still counts
    outcome = ask(Scanner(OVER_LIMIT), Scanner(INFECTED, after=0.05))
    assert {finding.category for finding in outcome.findings} == {VIRUS, UNCHECKED}


def test_the_same_finding_twice_is_one():
    assert ask(Scanner(OVER_LIMIT), Scanner(OVER_LIMIT)).findings == list(OVER_LIMIT.findings)


@pytest.mark.parametrize("others", [[], [spam(SCORED, after=5)], [Scanner(CLEAN, after=5)]])
def test_a_cancelled_round_leaves_nobody_at_work(others):
    # Given a round under way whose message has been answered by its deadline
    scanners = [Scanner(CLEAN, after=5), *others]

    async def give_up() -> None:
        task = asyncio.ensure_future(Panel(scanners).ask(Message(b"\r\n")))
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(give_up())
    # then all scanners have stopped when the round returns
    assert {scanner.state for scanner in scanners} == {"given up"}


def test_a_fault_of_our_own_stops_the_others_and_is_told():
    # Given a scanner with a fault in our code, which is no ScannerFailure
    other = Scanner(CLEAN, after=5)
    with pytest.raises(ZeroDivisionError):
        ask(Scanner(ZeroDivisionError()), other)
    assert other.state == "given up"


@pytest.mark.parametrize(
    ("name", "category"),
    [
        ("Win.Test.EICAR_HDB-1", "virus"),
        ("Heuristics.Limits.Exceeded.MaxFileSize", "unchecked"),
        ("Heuristics.Encrypted.Zip", "encrypted"),
        ("Heuristics.Phishing.Email.SpoofedDomain", "virus"),
    ],
)
def test_what_clamd_calls_found_has_a_category(name, category):
    (finding,) = read_verdict(f"stream: {name} FOUND", "clamd")
    assert (finding.category, finding.name) == (category, name)
