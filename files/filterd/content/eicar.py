# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The EICAR test pattern, found without any scanner, so that every host can prove its wiring."""

from __future__ import annotations

from ..findings import VIRUS, Finding

# In two pieces: scanners on the machines of readers of this file must not remove it.
PATTERN = b"X5O!P%@AP[4\\PZX54(P^)7CC)7}$" + b"EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"
NAME = "Eicar-Test-Signature"
SOURCE = "built-in"


class PatternSearch:
    """Looks for the pattern in a stream of pieces."""

    def __init__(self) -> None:
        self._tail = b""
        self.found = False

    def feed(self, data: bytes) -> None:
        """The next piece."""
        if self.found:
            return
        text = self._tail + data if self._tail else data
        if PATTERN in text:
            self.found = True
            return
        self._tail = text[-(len(PATTERN) - 1) :]


def finding() -> Finding:
    """The finding when the pattern was there."""
    return Finding(VIRUS, NAME, SOURCE)
