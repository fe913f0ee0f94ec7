# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One pass over the MIME tree of a message, in pieces of any size, with bounded memory (RFC 2045, RFC 2046).

The walker calls `sink(data)` with the decoded content of every part that is not a container, and `sink(None)`
at the end of each such part. It never raises on input.
"""

from __future__ import annotations

import binascii
import re
from typing import Callable, Optional

#: Bytes of one header block that are read as a header; what follows is taken for a body.
HEADER_LIMIT = 1048576
#: Multiparts and messages inside each other that are followed.
DEPTH_LIMIT = 100
#: A line longer than this cannot be a boundary (RFC 2046: 70 characters) and need not be kept whole.
_LINE_LIMIT = 4096

_FIELD = re.compile(rb"(?im)^(content-type|content-transfer-encoding)[ \t]*:[ \t]*((?:[^\r\n]|\r\n[ \t])*)")
_BOUNDARY = re.compile(rb"""(?i);\s*boundary\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s;"]+))""")
_RECEIVED = re.compile(rb"(?im)^received[ \t]*:")
_NOT_BASE64 = bytes(set(range(256)) - set(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/="))

Sink = Callable[[Optional[bytes]], None]


def received_count(header: bytes) -> int:
    """How many Received fields a header block has (RFC 5321 section 6.3, loop detection)."""
    return len(_RECEIVED.findall(header))


class Base64Decoder:
    """Decodes base64 in pieces; anything outside the alphabet is skipped, padding ends a group."""

    def __init__(self) -> None:
        self._held = b""

    def feed(self, data: bytes) -> bytes:
        """What these bytes add."""
        text = self._held + data.translate(None, _NOT_BASE64)
        decoded: list[bytes] = []
        *groups, text = text.split(b"=")
        decoded.extend(_decode_group(group) for group in groups if group)
        keep = len(text) % 4
        self._held = text[len(text) - keep :] if keep else b""
        decoded.append(binascii.a2b_base64(text[: len(text) - keep]))
        return b"".join(decoded)

    def finish(self) -> bytes:
        """What an incomplete last group holds."""
        return _decode_group(self._held) if self._held else b""


def _decode_group(group: bytes) -> bytes:
    spare = len(group) % 4
    if spare == 1:
        group = group[:-1]
    return binascii.a2b_base64(group + b"=" * (-len(group) % 4))


class QuotedPrintableDecoder:
    """Decodes quoted-printable in pieces, whole lines at a time."""

    def __init__(self) -> None:
        self._held = b""

    def feed(self, data: bytes) -> bytes:
        """What these bytes add."""
        data = self._held + data
        end = data.rfind(b"\n") + 1
        if not end and len(data) > _LINE_LIMIT:
            # A line without end: cut where no escape is cut.
            end = len(data) - 2 if b"=" in data[-2:] else len(data)
        self._held = data[end:]
        return binascii.a2b_qp(data[:end])

    def finish(self) -> bytes:
        """What the last line holds."""
        return binascii.a2b_qp(self._held)


class Walker:
    """Walks one message. Feed it content with CR and LF in pairs, then call `finish`."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._buffer = b""
        self._in_header = True
        self._fresh = True  # nothing of the current header or body has been consumed: a line starts here
        self._boundaries: list[bytes] = []
        self._depths: list[int] = []  # containers around the inside of each boundary
        self._depth = 0
        self._leaf = False
        self._decoder: Base64Decoder | QuotedPrintableDecoder | None = None
        self._started = False
        #: The header block of the message itself.
        self.header = b""

    def feed(self, data: bytes) -> None:
        """The next piece of content."""
        self._buffer = self._buffer + data if self._buffer else data
        self._run(final=False)

    def finish(self) -> None:
        """No more content."""
        self._run(final=True)
        self._end_leaf()

    def _run(self, final: bool) -> None:
        while self._buffer:
            advanced = self._header(final) if self._in_header else self._body(final)
            if not advanced:
                return
        if final and self._in_header and not self._started:
            self._begin(b"")

    # Headers

    def _header(self, final: bool) -> bool:
        buffer = self._buffer
        if buffer.startswith(b"\r\n"):
            end, after = 0, 2
        else:
            end = buffer.find(b"\r\n\r\n")
            after = end + 4
            if end < 0:
                if not final and len(buffer) <= HEADER_LIMIT:
                    return False
                end = after = len(buffer)
        block = buffer[:end]
        stop = self._boundary_in(block)
        if stop >= 0:
            # The part ends inside its own header.
            block, after = block[:stop], stop
        self._buffer = buffer[after:]
        self._begin(block)
        return True

    def _boundary_in(self, block: bytes) -> int:
        if not self._boundaries:
            return -1
        position = 0 if block.startswith(b"--") else _after_line_end(block.find(b"\r\n--"))
        while position >= 0:
            end = block.find(b"\r\n", position)
            if self._match(block[position:] if end < 0 else block[position:end]) is not None:
                return position
            position = _after_line_end(block.find(b"\r\n--", position))
        return -1

    def _begin(self, block: bytes) -> None:
        if not self._started:
            self.header = block
            self._started = True
        self._in_header = False
        self._fresh = True
        kind, encoding, boundary = b"text/plain", b"", None
        for match in _FIELD.finditer(block + b"\r\n"):
            value = match.group(2).replace(b"\r\n", b"")
            if match.group(1).lower() == b"content-type":
                kind = value.split(b";", 1)[0].strip().lower()
                found = _BOUNDARY.search(value)
                if found:
                    quoted = found.group(1)
                    boundary = re.sub(rb"\\(.)", rb"\1", quoted) if quoted is not None else found.group(2)
            else:
                encoding = value.split(b";", 1)[0].split(b"(", 1)[0].strip().lower()
        nested = self._depth < DEPTH_LIMIT
        self._leaf = False
        if kind.startswith(b"multipart/") and boundary and nested:
            self._depth += 1
            self._boundaries.append(b"--" + boundary.rstrip())
            self._depths.append(self._depth)
        elif kind == b"message/rfc822" and nested and encoding not in (b"base64", b"quoted-printable"):
            self._depth += 1
            self._in_header = True
        else:
            self._leaf = True
            self._decoder = _decoder(encoding)

    # Bodies

    def _body(self, final: bool) -> bool:
        buffer = self._buffer
        if not self._boundaries:
            self._take(buffer)
            self._buffer = b""
            return True
        position = 0 if self._fresh and buffer.startswith(b"--") else _after_line_end(buffer.find(b"\r\n--"))
        while position >= 0:
            end = buffer.find(b"\r\n", position)
            if end < 0 and not final and len(buffer) - position <= _LINE_LIMIT:
                # The line is not complete yet; everything before its line break can go.
                self._give(position - 2 if position else 0)
                return False
            match = self._match(buffer[position:] if end < 0 else buffer[position:end])
            if match is not None:
                self._take(buffer[: max(position - 2, 0)])
                self._end_leaf()
                index, closing = match
                self._depth = self._depths[index] - (1 if closing else 0)
                del self._boundaries[index + (0 if closing else 1) :]
                del self._depths[len(self._boundaries) :]
                self._buffer = b"" if end < 0 else buffer[end + (0 if closing else 2) :]
                self._in_header = not closing
                self._fresh = True
                return True
            position = _after_line_end(buffer.find(b"\r\n--", position))
        keep = 0 if final else next((n for n in (3, 2, 1) if buffer.endswith(b"\r\n--"[:n])), 0)
        if not final and self._fresh and buffer in (b"-", b"--"):
            keep = len(buffer)
        self._give(len(buffer) - keep)
        return False

    def _give(self, length: int) -> None:
        if length:
            self._take(self._buffer[:length])
            self._buffer = self._buffer[length:]

    def _match(self, line: bytes) -> Optional[tuple[int, bool]]:
        line = line.rstrip(b" \t")
        for index in range(len(self._boundaries) - 1, -1, -1):
            delimiter = self._boundaries[index]
            if line.startswith(delimiter):
                rest = line[len(delimiter) :]
                if rest in (b"", b"--"):
                    return index, rest == b"--"
        return None

    def _take(self, data: bytes) -> None:
        if not data:
            return
        self._fresh = False
        if self._leaf:
            decoded = data if self._decoder is None else self._decoder.feed(data)
            if decoded:
                self._sink(decoded)

    def _end_leaf(self) -> None:
        if not self._leaf:
            return
        if self._decoder is not None:
            rest = self._decoder.finish()
            if rest:
                self._sink(rest)
        self._leaf = False
        self._decoder = None
        self._sink(None)


def _after_line_end(found: int) -> int:
    return found + 2 if found >= 0 else -1


def _decoder(encoding: bytes) -> Base64Decoder | QuotedPrintableDecoder | None:
    if encoding == b"base64":
        return Base64Decoder()
    if encoding == b"quoted-printable":
        return QuotedPrintableDecoder()
    return None
