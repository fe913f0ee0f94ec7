# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the figures were a while ago, and what they were in each hour."""

from __future__ import annotations

from collections import deque
from typing import Any

from .metrics import SECONDS, VERDICTS, Totals, quantile

#: Hours that are remembered.
HOURS = 48
_HOUR = 3600


class Window:
    """The figures of the last `length` seconds, as often as somebody looked."""

    def __init__(self, length: float) -> None:
        self._length = length
        self._kept: deque[tuple[float, Totals]] = deque()

    def add(self, now: float, totals: Totals) -> None:
        """The figures now."""
        self._kept.append((now, Totals(totals)))
        while len(self._kept) > 2 and self._kept[1][0] <= now - self._length:
            self._kept.popleft()

    def since(self, now: float, seconds: float, totals: Totals) -> tuple[Totals, float]:
        """What has come in about so many seconds, and how many they were."""
        if not self._kept:
            return Totals(), 0.0
        old = self._kept[0]
        for item in self._kept:
            if item[0] <= now - seconds:
                old = item
        return totals.less(old[1]), now - old[0]


class History:
    """Messages of each hour by verdict, and how long they took."""

    def __init__(self) -> None:
        self._hours: deque[tuple[int, Totals]] = deque(maxlen=HOURS)
        self._last = Totals()

    def add(self, wall: float, totals: Totals) -> None:
        """The figures at a time in seconds since 1970. What came since the last call counts for this hour."""
        hour = int(wall) // _HOUR * _HOUR
        came = totals.less(self._last)
        self._last = Totals(totals)
        if not self._hours or self._hours[-1][0] != hour:
            self._hours.append((hour, Totals()))
        counts = self._hours[-1][1]
        for slot, number in came.items():
            if slot.family == "messages" or (slot.family == "stage_seconds" and slot.labels == (("stage", "total"),)):
                counts[slot] = counts.get(slot, 0.0) + number

    def as_json(self) -> list[dict[str, Any]]:
        """One object for each hour: its beginning in seconds since 1970, messages by verdict, 95th percentile in s."""
        return [
            {
                "start": hour,
                "messages": by_label(counts, "messages", "verdict"),
                "p95": round(quantile(counts.buckets("stage_seconds", (("stage", "total"),)), SECONDS, 0.95), 4),
            }
            for hour, counts in self._hours
        ]


def by_label(totals: Totals, family: str, label: str) -> dict[str, int]:
    """Counts by the values of one label, without those that are 0."""
    found: dict[str, int] = dict.fromkeys(VERDICTS, 0) if label == "verdict" else {}
    for slot, number in totals.items():
        if slot.family == family:
            value = dict(slot.labels)[label]
            found[value] = found.get(value, 0) + int(number)
    return {name: count for name, count in found.items() if count}
