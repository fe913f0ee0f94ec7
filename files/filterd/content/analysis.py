# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is learned from the content while it arrives: its header block, what kinds of parts it has, the test pattern."""

from __future__ import annotations

import re

from ..findings import Finding
from ..scan import eicar
from .fields import received_count
from .mime import Consumer, Part, Walker

#: How files are written into text without MIME: uuencode, yEnc, BinHex. Only a scanner's mail parser decodes them.
_UUENCODE = re.compile(rb"(?:\A|\n)begin(?:-base64)? [0-7]{3,4} ")


class Analysis:
    """Feed it the content as it comes; every piece is looked at once, so a large message never stops the others."""

    def __init__(self) -> None:
        self._whole = eicar.PatternSearch()
        self._found_in_part = False
        self._walker = Walker(self._open_part)
        #: There are parts that are not text.
        self.attachments = False
        #: Text holds what only a mail parser decodes.
        self.old_encodings = False

    def feed(self, data: bytes) -> None:
        """The next piece of content."""
        self._whole.feed(data)
        self._walker.feed(data)

    def finish(self) -> list[Finding]:
        """What was found in the whole message."""
        self._walker.finish()
        return [eicar.finding()] if self._whole.found or self._found_in_part else []

    def _open_part(self, part: Part) -> Consumer:
        search = eicar.PatternSearch()
        if not part.text:
            self.attachments = True

        def consume(data: bytes) -> None:
            search.feed(data)
            self._found_in_part = self._found_in_part or search.found
            # What holds a NUL byte and is not called text is a file, and a file is scanned as one.
            if not self.old_encodings and (part.text or b"\0" not in data):
                self.old_encodings = _has_old_encoding(data)

        return consume

    @property
    def header(self) -> bytes:
        """The header block of the message."""
        return self._walker.header

    @property
    def received_count(self) -> int:
        """How many Received fields the message has."""
        return received_count(self._walker.header)


def _has_old_encoding(data: bytes) -> bool:
    # Plain searches first: this looks at every byte of every message.
    if (b"\nbegin" in data or data.startswith(b"begin")) and _UUENCODE.search(data):
        return True
    return b"=ybegin " in data or b"converted with BinHex" in data
