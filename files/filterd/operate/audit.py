# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether every acknowledged message has an end: the ledger by itself, the quarantine, and Postfix' log."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, Optional, Union

from . import postfix_log
from .postfix_log import LogLine
from .reading import Broken, Read
from .record import Line

#: Seconds of a message's life after which Postfix has logged what it was told.
SETTLED = 30.0
#: Writers that are no part of the service, and number nothing.
COMMANDS = "command"


class Gap(NamedTuple):
    """Lines that are not there."""

    writer: str
    first: int
    last: int
    after: float  #: time of the line before, 0 without one
    before: float  #: time of the line behind, 0 without one

    @property
    def missing(self) -> int:
        """How many."""
        return self.last - self.first + 1


class Report(NamedTuple):
    """What the audit found."""

    lines: int
    messages: int
    acknowledged: int  #: messages of which at least one recipient was acknowledged
    ends: dict[str, int]  #: of recipients
    broken: list[Broken]
    gaps: list[Gap]
    problems: list[str]  #: messages without an end, in words
    unknown: list[str]  #: what could not be told, in words
    log_lines: int

    @property
    def good(self) -> bool:
        """Whether every acknowledged message has an end and no line is missing."""
        return not (self.gaps or self.problems or self.broken)


class _Writer:
    """The numbers of one writer."""

    def __init__(self) -> None:
        self.last = 0
        self.last_time = 0.0
        self.first_time = 0.0
        self.gaps: list[tuple[int, int, float, float]] = []
        self.ended: Optional[int] = None  # how many lines it wrote, where that is known


class Ledgers:
    """Takes lines in their order, and keeps what is needed to judge."""

    def __init__(self, since: float, complete: bool) -> None:
        """`complete`: nothing has been rotated away, so every writer begins with 1."""
        self._since = since
        self._complete = complete
        self._writers: dict[str, _Writer] = {}
        self._services: set[str] = set()  # whose start is in the ledger
        self.lines = self.messages = self.acknowledged = 0
        self.ends: dict[str, int] = {}
        self.broken: list[Broken] = []
        self.ids: set[str] = set()
        self.queued: dict[str, tuple[str, float]] = {}  # downstream queue id to id and time
        self.kept: dict[str, tuple[str, float]] = {}  # quarantine id to id and time
        self.removed: set[str] = set()  # quarantine ids that somebody released, deleted or let expire

    def take(self, item: Union[Read, Broken]) -> None:
        """The next line."""
        if isinstance(item, Broken):
            self.broken.append(item)
            return
        data = item.data
        self.lines += 1
        if data["writer"] != COMMANDS:
            self._number(data)
        event = data["event"]
        if event == "message":
            self._message(data)
        elif event == "given up":
            self.ids.add(str(data.get("id")))
        elif event in ("deleted", "expired"):
            self.removed.add(str(data.get("quarantine")))

    def _number(self, data: Line) -> None:
        name, number, time = data["writer"], data["n"], data["time"]
        writer = self._writers.setdefault(name, _Writer())
        if not writer.last:
            writer.first_time = time
            if number > 1:
                # Judged when all has been read: older lines may have been rotated away.
                writer.gaps.append((1, number - 1, 0.0, time))
        elif number > writer.last + 1:
            writer.gaps.append((writer.last + 1, number - 1, writer.last_time, time))
        writer.last = max(writer.last, number)
        writer.last_time = time
        if data["event"] == "start":
            self._services.add(name.partition(".")[0])
        elif data["event"] == "worker ended" and isinstance(data.get("lines"), int):
            self._writers.setdefault(str(data.get("worker")), _Writer()).ended = data["lines"]

    def _message(self, data: Line) -> None:
        self.ids.add(data["id"])
        if data["time"] < self._since:
            return
        self.messages += 1
        acknowledged = False
        for recipient in data["recipients"]:
            end = recipient["end"]
            self.ends[end] = self.ends.get(end, 0) + 1
            acknowledged = acknowledged or recipient["reply"].startswith("2")
            if "queue_id" in recipient:
                self.queued[str(recipient["queue_id"])] = (data["id"], data["time"])
        self.acknowledged += acknowledged
        if "quarantine" in data:
            self.kept[str(data["quarantine"])] = (data["id"], data["time"])

    def gaps(self, living: Mapping[str, int]) -> list[Gap]:
        """Numbers that are missing. `living` tells how many lines the workers that run now have written."""
        found = []
        for name, writer in self._writers.items():
            for first, last, after, before in writer.gaps:
                if first > 1 or self._complete or name.partition(".")[0] in self._services:
                    found.append(Gap(name, first, last, after, before))
            wrote = living.get(name, 0) if writer.ended is None else writer.ended
            if wrote > writer.last and (writer.last or self._complete or name.partition(".")[0] in self._services):
                found.append(Gap(name, writer.last + 1, wrote, writer.last_time, 0.0))
        for name, wrote in living.items():
            if name not in self._writers and wrote:
                found.append(Gap(name, 1, wrote, 0.0, 0.0))
        return found


def judge(
    ledgers: Ledgers,
    living: Mapping[str, int],
    quarantined: Optional[set[str]],
    log: Optional[Iterable[LogLine]],
    local: bool,
    now: float,
) -> Report:
    """All that is known, reconciled.

    `quarantined` are the ids of what is in quarantine now (None when it cannot be read), `log` Postfix' log (None
    without one), `local` whether the reinjecting smtpd logs there.
    """
    problems: list[str] = []
    unknown: list[str] = []
    if quarantined is None:
        unknown.append("the quarantine cannot be read: whether what was quarantined is there")
    else:
        for name, (message, _) in ledgers.kept.items():
            if name not in quarantined and name not in ledgers.removed:
                problems.append(f"id={message}: quarantined as {name}, which is not there, and nobody removed it")
    log_lines = 0
    if log is None:
        unknown.append("there is no log of Postfix: what it was told, and what became of what it took")
    else:
        log_lines = _reconcile(ledgers, log, local, now, problems, unknown)
    return Report(
        ledgers.lines,
        ledgers.messages,
        ledgers.acknowledged,
        ledgers.ends,
        ledgers.broken,
        ledgers.gaps(living),
        problems,
        unknown,
        log_lines,
    )


def _reconcile(
    ledgers: Ledgers, log: Iterable[LogLine], local: bool, now: float, problems: list[str], unknown: list[str]
) -> int:
    count = 0
    begins = ends = 0.0
    seen: set[str] = set()
    told: dict[str, str] = {}
    for line in log:
        count += 1
        begins = begins or line.time
        ends = max(ends, line.time)
        if line.queue_id:
            seen.add(line.queue_id)
        attempt = postfix_log.delivery(line)
        if attempt is not None and attempt.filter_id and attempt.status == "sent":
            told[attempt.filter_id] = line.queue_id or "-"
    for message, front in told.items():
        if message not in ledgers.ids:
            problems.append(f"id={message}: acknowledged to Postfix (queue id {front}), but not in the ledger")
    if not count:
        unknown.append("Postfix' log is empty")
    elif not local:
        unknown.append("clean mail goes to another host: what became of it is in that host's log")
    else:
        for queue_id, (message, time) in ledgers.queued.items():
            if queue_id not in seen and begins <= time <= min(ends, now - SETTLED):
                problems.append(f"id={message}: taken by Postfix as {queue_id}, of which its log knows nothing")
    return count


def as_json(report: Report) -> dict[str, Any]:
    """For machines."""
    return {
        **report._asdict(),
        "broken": [item._asdict() for item in report.broken],
        "gaps": [{**gap._asdict(), "missing": gap.missing} for gap in report.gaps],
        "ok": report.good,
    }
