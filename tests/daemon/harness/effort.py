# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How work grows with its size: a ratio, taken side by side, so that no test depends on how fast a machine is."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

_Material = TypeVar("_Material")
#: How much larger the larger piece of work is.
TIMES = 8
#: Seconds; what takes less is told as this, as it is mostly noise.
_LEAST = 0.005


def growth(prepare: Callable[[int], _Material], work: Callable[[_Material], object], size: int) -> float:
    """How often the processor time for ``size`` units goes into that for ``TIMES`` times as many, for each unit.

    About 1 when work grows with the size, ``TIMES`` when it grows with the square.
    """
    small, large = prepare(size), prepare(size * TIMES)
    return min(spent(work, large) for _ in range(2)) / max(min(spent(work, small) for _ in range(3)), _LEAST) / TIMES


def spent(work: Callable[[_Material], object], material: _Material) -> float:
    """Seconds of processor time."""
    began = time.process_time()
    work(material)
    return time.process_time() - began
