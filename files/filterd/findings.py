# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What scanners and content analysis report: values without behaviour."""

from __future__ import annotations

from typing import NamedTuple, Optional

VIRUS = "virus"  #: a scanner knows it
BANNED = "banned"  #: a name or type of file that the configuration does not let through
UNCHECKED = "unchecked"  #: somebody gave up because of a limit
ENCRYPTED = "encrypted"  #: what is inside cannot be seen
AMBIGUOUS = "ambiguous"  #: other readers may see something else in it
SPAM = "spam"  #: a spam scorer's score is over its threshold
BAD_HEADER = "bad_header"  #: the header or the MIME structure is wrong, but not in a way that hides anything
CLEAN = "clean"  #: nothing of the above

#: All categories; a message with several is decided by the first of these (per recipient, see policy.py).
CATEGORIES = (VIRUS, BANNED, UNCHECKED, ENCRYPTED, AMBIGUOUS, SPAM, BAD_HEADER, CLEAN)


class Finding(NamedTuple):
    """One thing found in a message."""

    category: str  #: one of CATEGORIES, never CLEAN
    name: str  #: what it is called, printable, without line ends
    source: str  #: who says so


class Score(NamedTuple):
    """What a spam scorer says of a message."""

    score: float
    threshold: float  #: at this score or above it the message is spam
    tests: tuple[str, ...]  #: names of the rules that matched, in the scorer's order
    source: str

    @property
    def findings(self) -> list[Finding]:
        """Spam, or nothing."""
        words = f"score {self.score:.1f} of {self.threshold:.1f}"
        return [Finding(SPAM, words, self.source)] if self.score >= self.threshold else []


class ScannerFailure(Exception):
    """A scanner did not say what it thinks of the message."""


class Verdict(NamedTuple):
    """What one scanner says of one message."""

    findings: tuple[Finding, ...] = ()
    score: Optional[Score] = None  #: from spam scorers only
