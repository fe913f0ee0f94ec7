# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How fast a message comes while others wait for its place."""

from __future__ import annotations

#: Seconds over which the pace is measured.
_TIME = 5.0


class Pace:
    """The pace of one message, against the least that it may have."""

    def __init__(self, least: float) -> None:
        self._least = least  # bytes in a second
        self._since = 0.0  # when it was last looked at, in seconds of the loop's clock
        self._before = 0  # bytes that had come by then

    def too_slow(self, now: float, size: int) -> str:
        """Whether `size` bytes by `now` are too few since the last look: in words, or empty. Ask while others wait."""
        passed, came = now - self._since, size - self._before
        if passed < _TIME:
            return ""
        self._since, self._before = now, size
        if passed > 2 * _TIME:
            return ""  # nobody had waited before
        return f"{came} bytes in {passed:.0f} s" if came < self._least * passed else ""
