# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files written into text without MIME: uuencode, yEnc, BinHex. Only a scanner's mail parser decodes them."""

from __future__ import annotations

import re

_UUENCODE = re.compile(rb"\nbegin(?:-base64)? [0-7]{3,4} ")
_YENC = b"=ybegin "
_BINHEX = b"converted with BinHex"
#: Bytes of one piece that may be the beginning of a mark that the next one ends.
_TAIL = max(len(b"\nbegin-base64 0644 "), len(_YENC), len(_BINHEX)) - 1


class OldEncodings:
    """Looks for their marks in a stream of pieces."""

    def __init__(self) -> None:
        self._tail = b"\n"
        self.found = False

    def feed(self, data: bytes) -> None:
        """The next piece."""
        if self.found:
            return
        text = self._tail + data
        self._tail = text[-_TAIL:]
        # Plain searches first, one for two marks: this looks at every byte of every text.
        if b"begin" in text:
            self.found = (b"\nbegin" in text and _UUENCODE.search(text) is not None) or _YENC in text
        self.found = self.found or _BINHEX in text
