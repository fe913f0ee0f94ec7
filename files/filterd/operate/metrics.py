# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Figures of all workers, without a system call: each worker counts in memory that it shares with the service.

The service makes one block of memory for each worker before it forks it, and reads it whenever somebody asks; what a
worker that has ended had counted is kept. Every number is a 64-bit float at its own place, which one process alone
writes: counts are exact up to 2**53, and nothing is ever locked.
"""

from __future__ import annotations

import mmap
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from typing import NamedTuple, Optional, Union

from ..findings import CATEGORIES

PREFIX = "filter_daemon_"
COUNTER, GAUGE, HISTOGRAM, INFO = "counter", "gauge", "histogram", "info"

STAGES = ("wait", "scan", "deliver", "total")
#: Upper bounds of the buckets, in seconds.
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)
#: Upper bounds of the buckets, in parts of message_deadline.
RATIOS = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
VERDICTS = (*CATEGORIES, "loop", "unscanned")
MIXED = "mixed"
DISPOSITIONS = ("pass", "tag", "quarantine", "discard", "bounce", "reject", "tempfail", MIXED)
ENDS = ("delivered", "quarantined", "bounced", "rejected", "deferred")
#: Why a message had no end: its time was over, or its client did not wait.
REASONS = ("deadline", "client")

Labels = tuple[tuple[str, str], ...]


class Family(NamedTuple):
    """One metric as OpenMetrics names it, without PREFIX and without the _total of a counter."""

    name: str
    kind: str
    meaning: str
    unit: str = ""
    bounds: tuple[float, ...] = ()


#: What workers count.
WORKER_FAMILIES = (
    Family("messages", COUNTER, "Messages that were answered, by verdict and disposition."),
    Family("recipients", COUNTER, "Recipients of these messages, by what became of their copy."),
    Family("message_bytes", COUNTER, "Size of these messages.", "bytes"),
    Family("given_up", COUNTER, "Messages without an end here, which their client sends again, by reason."),
    Family("stage_seconds", HISTOGRAM, "Time of a message in each stage after its end of data.", "seconds", SECONDS),
    Family("deadline_used_ratio", HISTOGRAM, "Part of message_deadline that a message needed.", "ratio", RATIOS),
    Family("scanner_seconds", HISTOGRAM, "Time of a scanner for a message.", "seconds", SECONDS),
    Family("scanner_failures", COUNTER, "Messages for which a scanner gave no verdict."),
    Family("reinjection_failures", COUNTER, "Copies that the reinjecting smtpd did not take now (4xx or no answer)."),
    Family("ledger_lines", COUNTER, "Lines for the ledger, lost ones included."),
    Family("ledger_failures", COUNTER, "Lines that could not be written to the ledger."),
    Family("clients", GAUGE, "Open connections."),
    Family("memory_bytes", GAUGE, "Content of messages that is kept in memory.", "bytes"),
    Family("quarantine_messages", GAUGE, "Messages in quarantine."),
    Family("quarantine_bytes", GAUGE, "Size of the messages in quarantine.", "bytes"),
    Family("quarantine_oldest_timestamp_seconds", GAUGE, "When the oldest message was quarantined.", "seconds"),
    Family("scanner_signatures_timestamp_seconds", GAUGE, "When a scanner's signatures were made.", "seconds"),
)
#: Gauges end with their worker.
GAUGES = tuple(family.name for family in WORKER_FAMILIES if family.kind == GAUGE)
#: What the service knows.
SERVICE_FAMILIES = (
    Family("build", INFO, "Version, and fingerprints of the code and the configuration that run."),
    Family("start_time_seconds", GAUGE, "When the service was started.", "seconds"),
    Family("in_flight", GAUGE, "Messages in the filter now."),
    Family("waiting", GAUGE, "Messages that wait for a place."),
    Family("instances", GAUGE, "Most messages in the filter at a time."),
    Family("workers", GAUGE, "Worker processes that are ready."),
    Family("worker_restarts", COUNTER, "Workers that ended without being told to."),
    Family("message_deadline_seconds", GAUGE, "The key message_deadline.", "seconds"),
    Family("scratch_used_bytes", GAUGE, "Scratch space in use.", "bytes"),
    Family("scratch_capacity_bytes", GAUGE, "Scratch space that may be used.", "bytes"),
    Family("quarantine_free_bytes", GAUGE, "Free space of the quarantine's file system.", "bytes"),
    Family("quarantine_reserve_bytes", GAUGE, "The key quarantine_reserve.", "bytes"),
    Family("warning", GAUGE, "1 while a warning stands."),
)
#: Gauges of what is there once, whatever the number of workers: one of them looks.
SHARED = (
    "quarantine_messages",
    "quarantine_bytes",
    "quarantine_oldest_timestamp_seconds",
    "scanner_signatures_timestamp_seconds",
)
FAMILIES = {family.name: family for family in (*WORKER_FAMILIES, *SERVICE_FAMILIES)}

#: The sum of a histogram; its buckets have numbers, the last one is beyond all bounds.
SUM = -1


class Slot(NamedTuple):
    """One number."""

    family: str
    labels: Labels = ()
    part: int = 0


class Layout:
    """Where each number stands in the memory of a worker that has these scanners."""

    def __init__(self, scanners: Iterable[str]) -> None:
        self.scanners = tuple(dict.fromkeys(scanners))
        self.slots: list[Slot] = []
        self.places: dict[Slot, int] = {}
        values: dict[str, list[Labels]] = {
            "messages": [(("verdict", one), ("disposition", two)) for one in VERDICTS for two in DISPOSITIONS],
            "recipients": [(("end", end),) for end in ENDS],
            "given_up": [(("reason", reason),) for reason in REASONS],
            "stage_seconds": [(("stage", stage),) for stage in STAGES],
        }
        for name in ("scanner_seconds", "scanner_failures", "scanner_signatures_timestamp_seconds"):
            values[name] = [(("scanner", scanner),) for scanner in self.scanners]
        for family in WORKER_FAMILIES:
            for labels in values.get(family.name, [()]):
                parts = [*range(len(family.bounds) + 1), SUM] if family.kind == HISTOGRAM else [0]
                for part in parts:
                    self.places[Slot(family.name, labels, part)] = len(self.slots)
                    self.slots.append(Slot(family.name, labels, part))


class Totals(dict[Slot, float]):
    """Numbers of several workers, added up."""

    def include(self, meter: Meter, without: Iterable[str] = ()) -> None:
        """Add what a worker has counted, but for some families."""
        for slot, number in zip(meter.layout.slots, meter.numbers):
            if slot.family not in without:
                self[slot] = self.get(slot, 0.0) + number

    def less(self, earlier: Totals) -> Totals:
        """What has come since."""
        return Totals({slot: number - earlier.get(slot, 0.0) for slot, number in self.items()})

    def buckets(self, family: str, labels: Labels = ()) -> list[float]:
        """The counts of a histogram's buckets."""
        return [self.get(Slot(family, labels, part), 0.0) for part in range(len(FAMILIES[family].bounds) + 1)]

    def average(self, family: str, labels: Labels = ()) -> float:
        """Of a histogram's observations; 0 without any."""
        count = sum(self.buckets(family, labels))
        return self.get(Slot(family, labels, SUM), 0.0) / count if count else 0.0

    def count(self, family: str, labels: Optional[Labels] = None) -> float:
        """The sum over all (or these) labels; of a histogram the number of observations."""
        return sum(
            number
            for slot, number in self.items()
            if slot.family == family and slot.part != SUM and labels in (None, slot.labels)
        )


class Meter:
    """The numbers of one worker. `name` is its name in the ledger, `first` makes it look after what all share."""

    def __init__(self, layout: Layout, name: str = "", first: bool = True, shared: bool = False) -> None:
        self.layout = layout
        self.name = name
        self.first = first
        size = 8 * len(layout.slots)
        block: Union[mmap.mmap, bytearray] = mmap.mmap(-1, size) if shared else bytearray(size)
        self.numbers: memoryview[float] = memoryview(block).cast("d")
        places = layout.places
        self._messages = {
            (one, two): places[Slot("messages", (("verdict", one), ("disposition", two)))]
            for one in VERDICTS
            for two in DISPOSITIONS
        }
        self._ends = {end: places[Slot("recipients", (("end", end),))] for end in ENDS}
        self._stages = [places[Slot("stage_seconds", (("stage", stage),))] for stage in STAGES]
        self._sums = [places[Slot("stage_seconds", (("stage", stage),), SUM)] for stage in STAGES]
        self._bytes = places[Slot("message_bytes")]
        self._used = places[Slot("deadline_used_ratio")]
        self._used_sum = places[Slot("deadline_used_ratio", (), SUM)]
        self._scanners = {
            name: (
                places[Slot("scanner_seconds", (("scanner", name),))],
                places[Slot("scanner_seconds", (("scanner", name),), SUM)],
                places[Slot("scanner_failures", (("scanner", name),))],
            )
            for name in layout.scanners
        }

    def message(
        self, verdict: str, disposition: str, size: int, ends: Iterable[str], seconds: Sequence[float], used: float
    ) -> None:
        """One message was answered; `seconds` of each of STAGES, `used` part of the deadline."""
        numbers = self.numbers
        place = self._messages.get((verdict, disposition))
        numbers[self._messages[verdict, MIXED] if place is None else place] += 1.0
        for end in ends:
            numbers[self._ends[end]] += 1.0
        numbers[self._bytes] += size
        for first, total, time in zip(self._stages, self._sums, seconds):
            numbers[first + bisect_left(SECONDS, time)] += 1.0
            numbers[total] += time
        numbers[self._used + bisect_left(RATIOS, used)] += 1.0
        numbers[self._used_sum] += used

    def scanner(self, name: str, seconds: float, failed: bool) -> None:
        """One scanner was asked about one message."""
        found = self._scanners.get(name)
        if found is not None:
            first, total, failures = found
            self.numbers[first + bisect_left(SECONDS, seconds)] += 1.0
            self.numbers[total] += seconds
            self.numbers[failures] += failed

    def add(self, family: str, labels: Labels = ()) -> None:
        """One more."""
        self.numbers[self.layout.places[Slot(family, labels)]] += 1.0

    def set(self, family: str, number: float, labels: Labels = ()) -> None:
        """A gauge."""
        place = self.layout.places.get(Slot(family, labels))
        if place is not None:
            self.numbers[place] = number

    def get(self, family: str, labels: Labels = ()) -> float:
        """A counter or gauge."""
        return self.numbers[self.layout.places[Slot(family, labels)]]


def quantile(counts: Sequence[float], bounds: Sequence[float], part: float) -> float:
    """The value below which `part` of the observations lie, from the counts of each bucket; 0 without any.

    Within a bucket observations are taken to be spread evenly, as histogram_quantile of Prometheus does.
    """
    total = sum(counts)
    if not total:
        return 0.0
    wanted, seen = part * total, 0.0
    for number, count in enumerate(counts[:-1]):
        if count and seen + count >= wanted:
            low = bounds[number - 1] if number else 0.0
            return low + (bounds[number] - low) * (wanted - seen) / count
        seen += count
    return bounds[-1]
