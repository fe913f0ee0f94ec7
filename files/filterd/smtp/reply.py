# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""SMTP replies: a value, its wire form, and a parser for what a server sends (RFC 5321 section 4.2, RFC 2034)."""

from __future__ import annotations

import re
from typing import NamedTuple

#: Longest reply line that is sent, without CRLF (RFC 5321 section 4.5.3.1.5 allows 512 with it).
LINE_LIMIT = 500
#: A server that sends more than this for one reply, in bytes, is not speaking SMTP.
RECEIVE_LIMIT = 65536

_UNPRINTABLE = re.compile(r"[^\x20-\x7e]+")
_REPLY_LINE = re.compile(rb"([2-5][0-9][0-9])(?:([ -])(.*))?\Z", re.DOTALL)
_ENHANCED = re.compile(r"([245]\.[0-9]{1,3}\.[0-9]{1,3})(?: +|\Z)")


class ProtocolViolation(Exception):
    """The peer sent something that is not an SMTP reply."""


class Reply(NamedTuple):
    """One reply. The text holds printable ASCII only once it is encoded; lines are separated by a line feed."""

    code: int
    enhanced: str
    text: str

    @property
    def positive(self) -> bool:
        """Whether the code is 2xx."""
        return 200 <= self.code <= 299

    @property
    def permanent(self) -> bool:
        """Whether the code is 5xx."""
        return self.code >= 500

    def encode(self) -> bytes:
        """The wire form: every line carries the enhanced code (RFC 2034 section 4), no control character survives."""
        enhanced = self.enhanced + " " if self.enhanced else ""
        room = LINE_LIMIT - 4 - len(enhanced)
        lines: list[str] = []
        for line in self.text.split("\n"):
            clean = printable(line)
            lines.extend(clean[start : start + room] for start in range(0, len(clean), room))
            if not clean:
                lines.append("")
        wire = [f"{self.code}-{enhanced}{line}" for line in lines[:-1]]
        wire.append(f"{self.code} {enhanced}{lines[-1]}")
        return ("\r\n".join(wire) + "\r\n").encode("ascii")

    def brief(self, limit: int = 300) -> str:
        """Code, enhanced code and text on one line of at most `limit` characters, fit for a log or another reply."""
        words = f"{self.code} {self.enhanced} {self.text}" if self.enhanced else f"{self.code} {self.text}"
        return printable(words)[:limit]


def printable(text: str) -> str:
    """The text with every run of characters outside printable ASCII replaced by one question mark."""
    return _UNPRINTABLE.sub("?", text)


class ReplyParser:
    """Turns the bytes a server sends into replies; raises ProtocolViolation when they cannot be replies."""

    def __init__(self) -> None:
        self._buffer = b""
        self._lines: list[str] = []
        self._code = b""
        self._size = 0

    @property
    def empty(self) -> bool:
        """Whether nothing is left over: no half line, no half reply."""
        return not self._buffer and not self._lines

    def feed(self, data: bytes) -> list[Reply]:
        """The replies that these bytes complete."""
        replies = []
        lines = (self._buffer + data).split(b"\n")
        self._buffer = lines.pop()
        for line in lines:
            self._size += len(line) + 1
            reply = self._line(line.rstrip(b"\r"))
            if reply is not None:
                replies.append(reply)
            self._check_size()
        self._check_size()
        return replies

    def _check_size(self) -> None:
        if self._size + len(self._buffer) > RECEIVE_LIMIT:
            raise ProtocolViolation(f"a reply longer than {RECEIVE_LIMIT} bytes")

    def _line(self, line: bytes) -> Reply | None:
        match = _REPLY_LINE.match(line)
        if match is None or (self._lines and match.group(1) != self._code):
            raise ProtocolViolation("not an SMTP reply: " + printable(line[:80].decode("latin-1")))
        self._code = match.group(1)
        self._lines.append((match.group(3) or b"").decode("utf-8", "replace"))
        if match.group(2) == b"-":
            return None
        texts, self._lines, self._size = self._lines, [], 0
        enhanced = _ENHANCED.match(texts[-1])
        if enhanced is None:
            return Reply(int(self._code), "", "\n".join(texts))
        texts = [_ENHANCED.sub("", text, count=1) for text in texts]
        return Reply(int(self._code), enhanced.group(1), "\n".join(texts))
