# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which quarantined messages a list shows: values to values."""

from __future__ import annotations

import fnmatch
import re
import time
from typing import Any, NamedTuple, Optional

_AGO = re.compile(r"([0-9]{1,6})([mhdw])\Z")
_SECONDS = {"m": 60, "h": 3600, "d": 86400, "w": 604800}
_FORMS = ("%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S")


class Filter(NamedTuple):
    """Conditions that all have to be met; None is met by all."""

    recipient: Optional[str] = None  #: a pattern of the shell's kind, whatever the case
    sender: Optional[str] = None  #: the same
    category: Optional[str] = None
    since: Optional[float] = None  #: seconds since 1970


def selected(data: dict[str, Any], wanted: Filter) -> bool:
    """Whether the message with this head (see quarantine.store) is one of the wanted."""
    return (
        (wanted.recipient is None or any(_fits(item["address"], wanted.recipient) for item in data["recipients"]))
        and (wanted.sender is None or _fits(data["sender"], wanted.sender))
        and (wanted.category is None or any(item.get("category") == wanted.category for item in data["findings"]))
        and (wanted.since is None or data["time"] >= wanted.since)
    )


def _fits(address: str, pattern: str) -> bool:
    return fnmatch.fnmatchcase(address.lower(), pattern.lower())


def moment(text: str, now: float) -> float:
    """Seconds since 1970 for a date, a date with a time (both local), or a time ago. Raises ValueError."""
    ago = _AGO.match(text)
    if ago:
        return now - int(ago.group(1)) * _SECONDS[ago.group(2)]
    for form in _FORMS:
        try:
            return time.mktime(time.strptime(text, form))
        except (ValueError, OverflowError):
            continue
    raise ValueError(
        f"held {text!r}; it takes a date (2026-11-22), a date and time (2026-11-22T18:00), or 90m, 36h, 7d"
    )
