# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the parts of a message are, in one pass over its content in pieces of any size and in bounded memory.

Only texts are kept, up to a limit; of everything else the place. RFC 2046 section 5.1.1, strictly: a structure that
readers may read differently raises Irregular, and such a message is left as it is.
"""

from __future__ import annotations

from typing import Optional

from .fields import ContentType, Field, Irregular, content_type, disposition, fields, only, word

#: Bytes of one header block, parts of one message, and levels of multiparts that are read.
HEADER_LIMIT = 262144
PART_LIMIT = 1000
DEPTH_LIMIT = 50
#: RFC 2046: 70 characters, and the white space that transport may add.
_DELIMITER_LIMIT = 1000
_IDENTITY = ("7bit", "8bit", "binary")
_TEXT_PLAIN = ContentType("text", "plain", {}, 0)


class TooLarge(Exception):
    """The texts of the message are larger than what is kept."""


class Part:
    """One part; places are bytes from the beginning of the content."""

    def __init__(self, start: int, parent: Optional[Part]) -> None:
        self.start = start  #: of its header
        self.parent = parent
        self.body = start  #: of its body
        self.end = start  #: of its body, without the line end that belongs to a delimiter
        self.block = b""  #: its header, with the line end of the last field
        self.fields: list[Field] = []
        self.type = _TEXT_PLAIN
        self.typed: Optional[Field] = None  #: its Content-Type field
        self.encoded: Optional[Field] = None  #: its Content-Transfer-Encoding field
        self.encoding = "7bit"
        self.attachment = False  #: it says so, or has a file name
        self.children: list[Part] = []
        self.text: list[bytes] = []  #: of a text that is no attachment, as it came
        self.separated = True  #: an empty line ends the header

    @property
    def multipart(self) -> bool:
        """Whether it consists of parts."""
        return self.type.main == "multipart"

    @property
    def raw(self) -> bytes:
        """The body of a text as it came."""
        return b"".join(self.text)

    def read(self) -> None:
        """Understand its header. Raises Irregular."""
        self.fields = fields(self.block, self.start)
        self.typed = only(self.fields, b"content-type")
        if self.typed is not None:
            self.type = content_type(self.typed)
        elif self.parent is not None and self.parent.type.sub == "digest":
            self.type = ContentType("message", "rfc822", {}, 0)
        self.encoded = only(self.fields, b"content-transfer-encoding")
        if self.encoded is not None:
            self.encoding = word(self.encoded)
        disposed = only(self.fields, b"content-disposition")
        if disposed is not None:
            kind, parameters = disposition(disposed)
            self.attachment = kind != "inline" or any(name.startswith("filename") for name in parameters)
        if any(name.startswith("name") for name in self.type.parameters) and self.parent is not None:
            self.attachment = True
        if self.multipart and (not self.type.get("boundary").rstrip() or self.encoding not in _IDENTITY):
            raise Irregular("a multipart without boundary, or with a transfer encoding")

    def walk(self) -> list[Part]:
        """This part and all inside of it."""
        found = [self]
        for part in found:  # grows while it is walked
            found.extend(part.children)
        return found


class Outline:
    """Feed it the content, then call `finish`."""

    def __init__(self, text_limit: int) -> None:
        """`text_limit`: bytes of text that are kept."""
        self._limit = self._room = text_limit
        self._buffer = b""
        self._base = 0  # the place of the buffer in the content
        self._at = 0  # what has been used of the buffer
        self._stack: list[tuple[bytes, Part]] = []  # delimiters of the multiparts that have not ended
        self._part: Optional[Part] = None  # that is being read; None in a preamble or an epilogue
        self._in_header = True
        self._fresh = -1  # where a line begins although its line end before it has been used
        self._count = 1
        self.root = Part(0, None)
        self._part = self.root
        self.size = 0
        self._trouble: Optional[Exception] = None

    @property
    def text_size(self) -> int:
        """Bytes of text that are kept."""
        return self._limit - self._room

    def feed(self, data: bytes) -> None:
        """The next piece of content."""
        self.size += len(data)
        if self._trouble is None:
            self._buffer = self._buffer[self._at :] + data if self._at < len(self._buffer) else data
            self._base = self.size - len(self._buffer)
            self._at = 0
            self._guarded(final=False)

    def finish(self) -> Part:
        """No more content: the whole tree. Raises Irregular or TooLarge."""
        if self._trouble is None:
            self._guarded(final=True)
        if self._trouble is None and self._stack:
            self._trouble = Irregular("a multipart without end")
        if self._trouble is not None:
            raise self._trouble
        return self.root

    def _guarded(self, final: bool) -> None:
        try:
            while self._header(final) if self._in_header else self._body(final):
                pass
        except (Irregular, TooLarge) as trouble:
            self._trouble = trouble
            self._buffer = b""

    # Headers

    def _header(self, final: bool) -> bool:
        buffer, at = self._buffer, self._at
        part = self._part
        assert part is not None
        if buffer.startswith((b"\r\n", b"\n"), at):
            end = body = at  # no field at all
        else:
            places = [place for place in (buffer.find(b"\n\r\n", at), buffer.find(b"\n\n", at)) if place >= 0]
            if places:
                end = body = min(places) + 1
            elif final:
                end = body = len(buffer)
            elif len(buffer) - at > HEADER_LIMIT:
                raise Irregular("a header that is too long")
            else:
                return False
        part.separated = body < len(buffer)
        if part.separated:
            body += 2 if buffer.startswith(b"\r\n", body) else 1
        if end - at > HEADER_LIMIT:
            raise Irregular("a header that is too long")
        part.block = buffer[at:end]
        if any(part.block.startswith(delimiter) or b"\n" + delimiter in part.block for delimiter, _ in self._stack):
            raise Irregular("a delimiter in a header")
        part.read()
        part.body = part.end = self._base + body
        self._at = body
        self._fresh = part.body
        self._in_header = False
        if part.multipart:
            self._enter(part)
        return True

    def _enter(self, part: Part) -> None:
        delimiter = b"--" + part.type.get("boundary").rstrip().encode("latin-1")
        for other, _ in self._stack:
            if other.startswith(delimiter) or delimiter.startswith(other):
                raise Irregular("boundaries of which one begins with the other")
        if len(self._stack) >= DEPTH_LIMIT:
            raise Irregular("too many multiparts inside each other")
        self._stack.append((delimiter, part))
        self._part = None

    # Bodies

    def _body(self, final: bool) -> bool:
        buffer = self._buffer
        if not self._stack:
            self._take(len(buffer))
            return False
        # The line end before the first line of a body is that of the header, which is used already.
        fresh = self._base + self._at == self._fresh
        if fresh and not final and buffer[self._at : self._at + 2] in (b"", b"-"):
            return False
        candidate = self._at if fresh and buffer.startswith(b"--", self._at) else -1
        if candidate < 0:
            found = buffer.find(b"\n--", self._at)
            candidate = found + 1 if found >= 0 else -1
        while candidate >= 0:
            end = buffer.find(b"\n", candidate)
            if end < 0:
                if not final and len(buffer) - candidate <= _DELIMITER_LIMIT:
                    self._take(self._before(candidate))
                    return False
                end = len(buffer)
            line = buffer[candidate : min(end, candidate + _DELIMITER_LIMIT)].rstrip(b" \t\r")
            for level, (delimiter, _) in reversed(list(enumerate(self._stack))):
                if line in (delimiter, delimiter + b"--"):
                    self._take(self._before(candidate))
                    self._delimited(level, line != delimiter, candidate, min(end + 1, len(buffer)))
                    return True
            found = buffer.find(b"\n--", end)
            candidate = found + 1 if found >= 0 else -1
        if final:
            self._take(len(buffer))
        else:
            keep = next((length for length in (4, 3, 2, 1) if buffer.endswith(b"\r\n--"[:length])), 0)
            keep = keep or next((length for length in (3, 2, 1) if buffer.endswith(b"\n--"[:length])), 0)
            self._take(max(self._at, len(buffer) - keep))
        return False

    def _before(self, candidate: int) -> int:
        """Where the line end before a delimiter begins; it belongs to the delimiter."""
        buffer, end = self._buffer, candidate
        if end > self._at and buffer[end - 1 : end] == b"\n":
            end -= 1
            if end > self._at and buffer[end - 1 : end] == b"\r":
                end -= 1
        return end

    def _take(self, end: int) -> None:
        part = self._part
        if part is not None and end > self._at:
            if part.type.main == "text" and not part.attachment:
                self._room -= end - self._at
                if self._room < 0:
                    raise TooLarge
                part.text.append(self._buffer[self._at : end])
            part.end = self._base + end
        self._at = max(self._at, end)

    def _delimited(self, level: int, closing: bool, start: int, end: int) -> None:
        if level < len(self._stack) - 1:
            raise Irregular("a multipart without end")
        parent = self._stack[level][1]
        self._at = end
        self._fresh = self._base + end
        if closing:
            if not parent.children:
                raise Irregular("a multipart without parts")
            parent.end = self._base + start
            self._stack.pop()
            self._part = None
            return
        self._count += 1
        if self._count > PART_LIMIT:
            raise Irregular("too many parts")
        self._part = Part(self._base + end, parent)
        parent.children.append(self._part)
        self._in_header = True
