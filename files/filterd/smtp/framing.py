# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lines, end of data, dot stuffing, bare CR and LF (RFC 5321 sections 2.3.8, 4.1.1.4 and 4.5.2).

End of data is CR LF . CR LF and nothing else. What leaves the decoder has CR and LF only as CR LF,
so that what is scanned is what is sent, and no server behind the filter can see an end of data that
the filter did not see (SMTP smuggling).
"""

from __future__ import annotations

import re
from typing import NamedTuple

_END = b"\r\n.\r\n"
_BARE = re.compile(rb"\r(?!\n)|(?<!\r)\n")
_NOT_LINE_ENDS = bytes(set(range(256)) - set(b"\r\n"))


class Decoded(NamedTuple):
    """What one piece of input meant: content without transparency dots, and what came after the end of data."""

    content: bytes
    ended: bool
    rest: bytes


class DataDecoder:
    """Decodes the DATA phase. Feed it until `ended`; any split of the input gives the same content."""

    def __init__(self) -> None:
        # The line before the first line of content ended with the CR LF of the DATA command: pretend it is still here.
        self._held = b"\r\n"
        self._skip = 2
        self.bare = False  #: a bare CR or LF was met (and normalised)
        self.dots = False  #: a line began with a dot, as far as that can be told before bare ones are normalised

    def feed(self, data: bytes) -> Decoded:
        """Content bytes in this piece; a tail that may be the beginning of the end is held back."""
        buffer = self._held + data if self._held else data
        # The one search of most pieces: where no line begins with a dot, there is neither an end nor a dot to take off.
        first = buffer.find(b"\r\n.")
        dotted = first >= 0
        end = buffer.find(_END, first) if dotted else -1
        if end >= 0:
            self.dots = self.dots or first != end
            self._held = b""
            return Decoded(self._content(buffer[: end + 2], dotted), True, buffer[end + 5 :])
        keep = _held_length(buffer)
        # What is held back is told when it is known to be no end.
        self.dots = self.dots or 0 <= first < len(buffer) - keep
        self._held = buffer[len(buffer) - keep :] if keep else b""
        return Decoded(self._content(buffer[: len(buffer) - keep] if keep else buffer, dotted), False, b"")

    def _content(self, raw: bytes, dotted: bool) -> bytes:
        if not raw:
            return b""
        # Never split inside CR LF or before a leading dot: those bytes are held back.
        content = raw.replace(b"\r\n.", b"\r\n") if dotted else raw
        if self._skip:
            content = content[self._skip :]
            self._skip = 0
        # CR and LF take turns, and each CR has its LF right behind it: quicker than to count each of them.
        ends = content.translate(None, _NOT_LINE_ENDS)
        pairs = len(ends) // 2
        if ends != b"\r\n" * pairs or content.count(b"\r\n") != pairs:
            self.bare = True
            content = _BARE.sub(_normal, content)
        return content


def _normal(match: re.Match[bytes]) -> bytes:
    # A bare LF is a line end to half of the world, so it becomes one (Postfix: smtpd_forbid_bare_newline = normalize).
    # A bare CR becomes a space (Postfix: cleanup_replace_stray_cr_lf); a line end there would turn CR CR LF
    # inside a header into the end of the header.
    return b"\r\n" if match.group() == b"\n" else b" "


def _held_length(buffer: bytes) -> int:
    for length in (4, 3, 2, 1):
        if buffer.endswith(_END[:length]):
            return length
    return 0


class DataEncoder:
    """Adds the transparency dots (RFC 5321 section 4.5.2) to content that has CR and LF only in pairs."""

    def __init__(self, dots: bool = True) -> None:
        """`dots`: a line may begin with a dot. Without it nothing is searched."""
        self._dots = dots
        self._line_start = True
        self._held = b""

    def feed(self, content: bytes) -> bytes:
        """The wire form of the next piece of content."""
        if self._held:
            content = self._held + content
            self._held = b""
        if content.endswith(b"\r"):
            self._held = b"\r"
            content = content[:-1]
        if not content:
            return b""
        stuffed = content.replace(b"\r\n.", b"\r\n..") if self._dots else content
        if self._line_start and content[:1] == b".":
            stuffed = b"." + stuffed
        self._line_start = content.endswith(b"\r\n")
        return stuffed

    def finish(self) -> bytes:
        """The bytes that end the data."""
        if self._held:
            return self._held + b"\n.\r\n"
        return b".\r\n" if self._line_start else b"\r\n.\r\n"
