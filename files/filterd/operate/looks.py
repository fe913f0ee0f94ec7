# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the service sees when it looks at disks and clocks: each look is one or two cheap system calls."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import NamedTuple, Optional

from ..config import Config


class Disks(NamedTuple):
    """Space, in bytes; None where it cannot be told."""

    scratch_used: Optional[int]
    scratch_capacity: Optional[int]
    quarantine_free: Optional[int]


def disks(config: Config, workers: Iterable[int]) -> Disks:
    """Space that is used and left. `workers` are process ids."""
    used = capacity = free = None
    try:
        status = os.statvfs(config.scratch_directory)
        capacity = min(config.scratch_bound, status.f_blocks * status.f_frsize)
        if os.path.ismount(config.scratch_directory):
            used = (status.f_blocks - status.f_bfree) * status.f_frsize
        else:
            # Others use that file system too: what counts is what the workers have open.
            used = sum(_open_below(pid, config.scratch_directory) for pid in workers)
    except OSError:
        pass
    try:
        status = os.statvfs(config.quarantine_directory)
        free = status.f_bavail * status.f_frsize
    except OSError:
        pass
    return Disks(used, capacity, free)


def _open_below(pid: int, directory: str) -> int:
    total = 0
    try:
        for name in os.listdir(f"/proc/{pid}/fd"):
            link = f"/proc/{pid}/fd/{name}"
            try:
                if os.readlink(link).startswith(directory + "/"):
                    total += os.stat(link).st_size
            except OSError:
                continue
    except OSError:
        pass
    return total


class Clock:
    """Whether the clock of the machine can be believed."""

    #: Seconds that it may be set by without a word: time servers correct small errors by slewing.
    STEP = 5.0
    #: Seconds that a step is remembered.
    MEMORY = 3600.0

    #: Seconds by which the clocks of two machines may differ: the time of the code is the controller's.
    SKEW = 60.0

    def __init__(self, wall: float, monotonic: float, not_before: float) -> None:
        self._offset = wall - monotonic
        self._not_before = not_before
        self._stepped_at: Optional[float] = None
        self._step = 0.0

    def trouble(self, wall: float, monotonic: float, signatures: float) -> str:
        """What is wrong, or nothing. `signatures` is when the newest signatures were made, 0 when unknown."""
        step = wall - monotonic - self._offset
        if abs(step) > self.STEP:
            self._stepped_at, self._step, self._offset = monotonic, step, wall - monotonic
        if wall < self._not_before - self.SKEW:
            return "the clock is before the time at which this code was installed"
        if signatures > wall + self.MEMORY:
            return "the clock is before the time at which the virus signatures were made"
        if self._stepped_at is not None and monotonic - self._stepped_at < self.MEMORY:
            return f"the clock was set by {self._step:+.0f} s within the last hour"
        return ""
