# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Findings to a decision: a table, not a maze of ifs."""

from __future__ import annotations

from typing import NamedTuple

from .config import Config
from .findings import UNCHECKED, VIRUS, Finding

#: The category that decides when a message has several: the first of these that was found.
PRECEDENCE = (VIRUS, UNCHECKED)


class Decision(NamedTuple):
    """What is done with a message."""

    verdict: str  #: the category that decided, or "clean"
    disposition: str  #: pass, discard, reject or tempfail
    quarantine: bool  #: keep a copy first


#: What each word of the configuration means: disposition, and whether a copy is kept.
_MEANING = {
    "pass": ("pass", False),
    "discard": ("discard", True),
    "quarantine": ("discard", True),
    "reject": ("reject", True),
    "tempfail": ("tempfail", False),
}
CLEAN = Decision("clean", "pass", False)


def decide(config: Config, findings: list[Finding]) -> Decision:
    """The decision for all recipients."""
    words = {VIRUS: config.on_virus, UNCHECKED: config.on_unchecked}
    found = {finding.category for finding in findings}
    for category in PRECEDENCE:
        if category in found:
            disposition, keep = _MEANING[words[category]]
            return Decision(category, disposition, keep)
    return CLEAN
