# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""HTTP/1.1 as a client needs it for one kind of question (RFC 9112): bytes of a response in, status and body out."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Callable, Optional

_STATUS = re.compile(rb"HTTP/1\.([01]) ([2-5][0-9][0-9])(?: [^\r\n\0]*)?\Z")
_FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\r\n\0]*?)[ \t]*\Z")
_LENGTH = re.compile(rb"[0-9]{1,15}\Z")
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,8})[ \t]*(?:;.*)?\Z")
#: Bytes of status line and fields, and of one chunk's line.
_HEADER_LIMIT = 65536
_LINE_LIMIT = 4096


class HttpViolation(Exception):
    """That is no HTTP response, or not all of one."""


def request(method: str, path: str, fields: Iterable[tuple[str, str]]) -> bytes:
    """The head of a request. Values must be printable ASCII."""
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in fields)]
    return "".join(line + "\r\n" for line in lines).encode("ascii") + b"\r\n"


class Response:
    """Feed it what comes; it knows when it is whole. Who feeds it bounds how much comes."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._expect: Callable[[], bool] = self._head
        self._left = 0
        self.status = 0
        self.server = ""  #: the Server field
        self._body: list[bytes] = []
        self.whole = False
        #: The connection can be used again.
        self.keep = False

    @property
    def body(self) -> bytes:
        """What has come of the body."""
        return b"".join(self._body)

    def feed(self, data: bytes) -> None:
        """The next bytes, b"" when the server has closed. Raises HttpViolation."""
        if not data:
            if self._expect == self._until_closed:
                self.whole = True
            if not self.whole:
                raise HttpViolation("closed the connection before the end of its answer")
            return
        self._buffer += data
        while not self.whole and self._expect():
            pass
        if self.whole and self._buffer:
            self.keep = False  # it says more than it was asked

    # Each takes its piece from the buffer and says whether it had all of it.

    def _head(self) -> bool:
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0 or end > _HEADER_LIMIT:
            # Something else than HTTP is told by its first bytes, not by a time-out.
            if len(self._buffer) > _HEADER_LIMIT or not b"HTTP/1.".startswith(bytes(self._buffer[:7])):
                raise HttpViolation(f"said {bytes(self._buffer[:80])!r}")
            return False
        first, *lines = bytes(self._buffer[:end]).split(b"\r\n")
        del self._buffer[: end + 4]
        match = _STATUS.match(first)
        if not match:
            raise HttpViolation(f"said {first[:80]!r}")
        self.status = int(match.group(2))
        fields: dict[bytes, list[bytes]] = {}
        for line in lines:
            field = _FIELD.match(line)
            if not field:
                raise HttpViolation(f"said {line[:80]!r}")
            fields.setdefault(field.group(1).lower(), []).append(field.group(2))
        self.server = b"".join(fields.get(b"server", [])).decode("latin-1")[:100]
        options = b",".join(fields.get(b"connection", [])).lower()
        self.keep = b"close" not in options and (match.group(1) == b"1" or b"keep-alive" in options)
        self._frame(fields.get(b"transfer-encoding", []), fields.get(b"content-length", []))
        return True

    def _frame(self, encodings: list[bytes], lengths: list[bytes]) -> None:
        if encodings:
            if lengths or [item.lower() for item in encodings] != [b"chunked"]:
                raise HttpViolation("frames its answer in a way that can be read in two ways")
            self._expect = self._chunk_size
        elif lengths:
            if len(lengths) > 1 or not _LENGTH.match(lengths[0]):
                raise HttpViolation(f"said Content-Length: {b', '.join(lengths)[:80]!r}")
            self._left = int(lengths[0])
            self._expect = self._counted
        else:
            self.keep = False
            self._expect = self._until_closed

    def _take(self) -> None:
        piece = bytes(self._buffer[: self._left])
        del self._buffer[: len(piece)]
        self._left -= len(piece)
        self._body.append(piece)

    def _counted(self) -> bool:
        self._take()
        self.whole = not self._left
        return False

    def _until_closed(self) -> bool:
        self._left = len(self._buffer)
        self._take()
        return False

    def _line(self) -> Optional[bytes]:
        end = self._buffer.find(b"\r\n")
        if end < 0:
            if len(self._buffer) > _LINE_LIMIT:
                raise HttpViolation("says an endless line")
            return None
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 2]
        return line

    def _chunk_size(self) -> bool:
        line = self._line()
        if line is None:
            return False
        match = _CHUNK.match(line)
        if not match:
            raise HttpViolation(f"said {line[:80]!r} for the size of a chunk")
        self._left = int(match.group(1), 16)
        self._expect = self._chunk if self._left else self._trailer
        return True

    def _chunk(self) -> bool:
        self._take()
        if self._left:
            return False
        self._expect = self._chunk_end
        return True

    def _chunk_end(self) -> bool:
        if len(self._buffer) < 2:
            return False
        if self._line() != b"":
            raise HttpViolation("does not end a chunk where it should")
        self._expect = self._chunk_size
        return True

    def _trailer(self) -> bool:
        line = self._line()
        if line is None:
            return False
        self.whole = not line
        return not self.whole
