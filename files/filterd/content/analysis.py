# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is learned from the content while it arrives: its header block and whether the test pattern is in it."""

from __future__ import annotations

from ..findings import Finding
from ..scan import eicar
from .fields import received_count
from .mime import Consumer, Walker


class Analysis:
    """Feed it the content as it comes; every piece is looked at once, so a large message never stops the others."""

    def __init__(self) -> None:
        self._whole = eicar.PatternSearch()
        self._found_in_part = False
        self._walker = Walker(self._open_part)

    def feed(self, data: bytes) -> None:
        """The next piece of content."""
        self._whole.feed(data)
        self._walker.feed(data)

    def finish(self) -> list[Finding]:
        """What was found in the whole message."""
        self._walker.finish()
        return [eicar.finding()] if self._whole.found or self._found_in_part else []

    def _open_part(self) -> Consumer:
        search = eicar.PatternSearch()

        def consume(data: bytes) -> None:
            search.feed(data)
            self._found_in_part = self._found_in_part or search.found

        return consume

    @property
    def header(self) -> bytes:
        """The header block of the message."""
        return self._walker.header

    @property
    def received_count(self) -> int:
        """How many Received fields the message has."""
        return received_count(self._walker.header)
