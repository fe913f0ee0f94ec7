# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the quarantine does not keep: messages that are too old, the oldest when there is too much, leftovers.

Nothing is removed while a message is stored: evidence goes when its time has come, and not because more comes in.
"""

from __future__ import annotations

import calendar
import contextlib
import os
import re
import time
from typing import NamedTuple, Optional

from . import quarantine
from .locks import is_locked
from .quarantine import QuarantineError

#: Seconds after which what a killed process left is removed.
LEFTOVER_AGE = 86400
_PARTIAL = re.compile(r"\.[0-9]{8}T[0-9]{6}Z-[A-Za-z0-9]+\.[0-9]+\Z")
_JOURNAL = re.compile(r"([0-9]{8}T[0-9]{6}Z-[A-Za-z0-9]+)\.journal\Z")


class Stored(NamedTuple):
    """One message in quarantine, as far as its name and size tell."""

    quarantine_id: str
    time: int  #: seconds since 1970: when it was stored
    size: int  #: bytes of its file


class Expired(NamedTuple):
    """What was removed, or would be."""

    messages: list[tuple[Stored, str]]  #: with the reason: "age" or "size"
    leftovers: list[str]  #: file names
    problems: list[str]  #: what could not be removed or read, in words
    kept: int  #: messages that are still there
    kept_size: int  #: bytes of these


def choose(stored: list[Stored], now: float, max_age: Optional[float], max_size: int) -> list[tuple[Stored, str]]:
    """Which of the messages go: those older than `max_age` seconds, then the oldest until `max_size` bytes are left.

    No age is no limit, and neither is a size of 0.
    """
    gone = []
    total = sum(item.size for item in stored)
    for item in sorted(stored, key=lambda item: (item.time, item.quarantine_id)):
        if max_age is not None and now - item.time >= max_age:
            gone.append((item, "age"))
        elif max_size and total > max_size:
            gone.append((item, "size"))
        else:
            continue
        total -= item.size
    return gone


def expire(directory: str, max_age: Optional[float], max_size: int, dry_run: bool) -> Expired:
    """Remove what is not kept any longer. A message that is being released stays. Raises OSError."""
    now = time.time()
    stored, problems = _stored(directory)
    removed = []
    for item, reason in choose(stored, now, max_age, max_size):
        try:
            entry = quarantine.find(directory, item.quarantine_id)
            if not dry_run:
                with quarantine.claimed(entry):
                    quarantine.delete(entry)
            removed.append((item, reason))
        except QuarantineError as error:
            problems.append(str(error))
        except OSError as error:
            problems.append(f"{item.quarantine_id}: cannot be removed: {error.strerror}")
    leftovers = _leftovers(directory, now)
    if not dry_run:
        leftovers = [name for name in leftovers if _remove(directory, name)]
    gone = {item.quarantine_id for item, _ in removed}
    left = [item for item in stored if item.quarantine_id not in gone]
    return Expired(removed, leftovers, problems, len(left), sum(item.size for item in left))


def _stored(directory: str) -> tuple[list[Stored], list[str]]:
    found, problems = [], []
    for quarantine_id in quarantine.identities(directory):
        try:
            entry = quarantine.find(directory, quarantine_id)
            found.append(Stored(quarantine_id, _time(quarantine_id), os.stat(entry.path).st_size))
        except FileNotFoundError:
            continue  # it has just been released
        except (OSError, QuarantineError, ValueError) as error:
            problems.append(str(error))
    return found, problems


def _time(quarantine_id: str) -> int:
    return calendar.timegm(time.strptime(quarantine_id[:16], "%Y%m%dT%H%M%SZ"))


def _leftovers(directory: str, now: float) -> list[str]:
    """Files that a killed process left: half messages without a final name, and journals without a message."""
    names = set(os.listdir(directory))
    found = []
    for name in sorted(names):
        journal = _JOURNAL.match(name)
        if not _PARTIAL.match(name) and not (journal and f"{journal.group(1)}.msg" not in names):
            continue
        path = os.path.join(directory, name)
        with contextlib.suppress(OSError):
            if now - os.lstat(path).st_mtime > LEFTOVER_AGE and not is_locked(path):
                found.append(name)
    return found


def _remove(directory: str, name: str) -> bool:
    try:
        os.unlink(os.path.join(directory, name))
    except OSError:
        return False
    return True
