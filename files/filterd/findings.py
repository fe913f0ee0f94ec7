# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What scanners and content analysis report: values without behaviour."""

from __future__ import annotations

from typing import NamedTuple

VIRUS = "virus"
UNCHECKED = "unchecked"


class Finding(NamedTuple):
    """One thing found in a message."""

    category: str  #: VIRUS or UNCHECKED
    name: str  #: what it is called, printable
    source: str  #: who says so


class ScannerFailure(Exception):
    """A scanner did not say what it thinks of the message."""
