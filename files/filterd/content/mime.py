# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One pass over the MIME tree of a message, in pieces of any size, in linear time and bounded memory (RFC 2045, 2046).

For every part that is not a container the walker opens a consumer and feeds it the decoded content. Where the
header of a part can be read in several ways (two transfer encodings), every reading is fed to a consumer of its
own; where it names several boundaries, all of them delimit. The walker never raises on input.
"""

from __future__ import annotations

import functools
import re
from typing import Callable, NamedTuple, Optional

from . import flaws
from .fields import Entity, has_content_field, read_entity
from .reading import Consumer, Part, Reading
from .transfer import Base64Decoder, LineEnds, QuotedPrintableDecoder

#: Bytes of one header block that are read as a header; what follows is taken for a body.
HEADER_LIMIT = 1048576
#: Multiparts inside each other that are followed.
DEPTH_LIMIT = 10000
#: Messages that are themselves transfer-encoded (RFC 2046 forbids it) and inside each other that are followed.
ENCODED_DEPTH_LIMIT = 20
#: A line longer than this cannot be a delimiter (RFC 2046: 70 characters) and need not be kept whole.
_LINE_LIMIT = 4096
#: More than the longest name of a field that is looked for.
_OVERLAP = 64

# The line end before a line that is neither a field, nor the rest of one, nor the envelope line of a mailbox file.
_NOT_A_FIELD = re.compile(rb"\r\n(?=[^\r\t ])(?![!-9;-~]+[ \t]*:)(?!>?From )")

OpenPart = Callable[[Part], Consumer]


class _Delimiter(NamedTuple):
    start: int  #: of the line end before it
    end: int  #: of its own line end
    text: bytes
    level: int
    closing: bool


class Tally:
    """What was counted and noticed in a message and in the encoded messages inside of it."""

    def __init__(self) -> None:
        self.parts = 0  #: header blocks
        self.depth = 0  #: the most multiparts and messages inside each other
        self.flaws: dict[str, None] = {}  #: see flaws.py, in the order in which they were seen

    def note(self, *names: str) -> None:
        """Something is wrong with the structure."""
        self.flaws.update(dict.fromkeys(names))


class _Level:
    """A multipart that has not ended."""

    __slots__ = ("delimiters", "digest", "encoded", "messages", "used")

    def __init__(self, delimiters: tuple[bytes, ...], digest: bool, encoded: bool, messages: int) -> None:
        self.delimiters = delimiters
        self.digest = digest
        self.encoded = encoded  # it declares a transfer encoding
        self.messages = messages  # around it
        self.used: Optional[bytes] = None  # the first delimiter that was seen


class _EncodedMessage:
    """A message/rfc822 part that is transfer-encoded: decoded, it is walked like any other message."""

    def __init__(self, decoder: Base64Decoder | QuotedPrintableDecoder, walker: Walker) -> None:
        self._decoder = decoder
        self._lines = LineEnds()
        self._walker = walker

    def feed(self, data: bytes) -> None:
        self._walker.feed(self._lines.feed(self._decoder.feed(data)))

    def finish(self) -> None:
        self._walker.feed(self._lines.feed(self._decoder.finish()))
        self._walker.finish()


class Walker:
    """Walks one message. Feed it content with CR and LF in pairs, then call `finish`.

    The position in the buffer stands on the line end before the current line whenever that matters, so that a
    delimiter is always found as CR LF "--". A line end is put before the first line for that.
    """

    def __init__(
        self,
        open_part: OpenPart,
        on_entity: Optional[Callable[[Entity], None]] = None,
        outer: Optional[Walker] = None,
    ) -> None:
        """`on_entity` is told of each header block; without it the names in there are not read.

        `outer` walks the message in which this one stands encoded.
        """
        self._open_part = open_part
        self._on_entity = on_entity
        self._open_reading = functools.partial(open_part, Part(text=True))
        self._encoded_depth: int = 0 if outer is None else outer._encoded_depth + 1
        self._depth_around: int = 0 if outer is None else outer._depth + 1
        #: What was counted and noticed so far.
        self.tally: Tally = Tally() if outer is None else outer.tally
        self._buffer = b"\r\n"
        self._at = 0
        self._skip = 2  # bytes of line end at the position that do not belong to the body
        self._blank = -1  # the next empty line, as far as it is known
        self._blank_from = 0  # where to look for it
        self._delimiter_from = 0  # where to look for the next delimiter in a header
        self._in_header = True
        self._levels: list[_Level] = []
        self._messages = 0  # messages in messages since the outermost level, whose header has been read
        self._delimiters: dict[bytes, list[int]] = {}  # levels of each delimiter, the innermost last
        self._digest_part = False  # the header to come is that of a part of a multipart/digest
        self._readings: list[Reading | _EncodedMessage] = []
        self._started = False
        self._overlong: Optional[bytes] = None  # the last bytes of a header that is longer than is read
        #: The header block of the message itself, without its last line end.
        self.header = b""

    def feed(self, data: bytes) -> None:
        """The next piece of content."""
        self._buffer += data
        self._run(final=False)

    def finish(self) -> None:
        """No more content."""
        self._run(final=True)
        if self._in_header and not self._started:
            self._begin(b"")
        self._end_part()
        self._leave(0)

    def _run(self, final: bool) -> None:
        while self._header(final) if self._in_header else self._body(final):
            pass
        used, self._at = self._at, 0
        if used:
            self._buffer = self._buffer[used:]
            self._blank = max(self._blank - used, -1)
            self._blank_from = max(self._blank_from - used, 0)
            self._delimiter_from = max(self._delimiter_from - used, 0)

    # Headers

    def _header(self, final: bool) -> bool:
        """Read a header block up to its empty line, or up to a delimiter that cuts it short."""
        buffer, at = self._buffer, self._at
        if len(buffer) - at < 2:
            return False
        blank = self._next_blank()
        found, complete = self._next_delimiter(max(at, self._delimiter_from), blank if blank >= 0 else None, final)
        if found is not None:
            end, self._at, self._skip = found.start, found.start, 0
        elif blank >= 0:
            end, self._at, self._skip = blank, blank + 2, 2
        elif not final and (not complete or len(buffer) - at <= HEADER_LIMIT):
            self._delimiter_from = max(at, len(buffer) - 3) if complete else self._delimiter_from
            return False
        else:
            # A header without end; its last line may end all the same.
            end, self._at, self._skip = len(buffer) - 2 * buffer.endswith(b"\r\n", at + 2), len(buffer), 0
            self._overlong = None if final else buffer[-_OVERLAP:]
        if end - at > HEADER_LIMIT:
            self.tally.note(flaws.LONG_HEADER)
        stop = _NOT_A_FIELD.search(buffer, at, end)
        if stop is not None:
            # A line that cannot be part of a header: the body begins here, for many readers at least.
            self._at, self._skip = stop.start(), 2
        self._in_header = False
        self._begin(buffer[at + 2 : end], buffer[at + 2 : self._at] if stop is not None else None)
        if stop is not None and found is None and blank >= 0:
            self._read_late(blank + 2 - self._at)
        return True

    def _read_late(self, late: int) -> None:
        """For other readers the body begins after the empty line, `late` bytes further on."""
        for reading in list(self._readings):
            if isinstance(reading, Reading) and reading.decoder is not None:
                self._readings.append(Reading(type(reading.decoder)(), self._open_reading, late))

    def _next_blank(self) -> int:
        if self._blank < self._at:
            self._blank = self._buffer.find(b"\r\n\r\n", max(self._at, self._blank_from))
            if self._blank < 0:
                self._blank_from = max(self._at, len(self._buffer) - 3)
        return self._blank

    def _begin(self, block: bytes, certain: Optional[bytes] = None) -> None:
        """A header block is complete, of which perhaps only a first piece is certain: see what its body is."""
        self._end_part()
        if not self._started:
            self.header = block if certain is None else certain
            self._started = True
        digest, self._digest_part = self._digest_part, False
        tally = self.tally
        tally.parts += 1
        if certain is not None:
            self._note_doubt(block[len(certain) :])
        if certain == b"":
            block = b""
        if not block and not digest:
            self._open_reading = functools.partial(self._open_part, Part(text=True))
            self._readings = [Reading(None, self._open_reading)]
            return
        entity = read_entity(block, digest, self._on_entity is not None)
        tally.note(*entity.flaws)
        if self._on_entity is not None:
            self._on_entity(entity)
        if entity.message and certain:
            entity = entity._replace(message=read_entity(certain, digest, False).message)
        decoders = _decoders(entity)
        self._open_reading = functools.partial(self._open_part, Part(entity.text and not entity.base64, entity))
        boundaries = tuple(b"--" + boundary for boundary in entity.boundaries)
        if boundaries and len(self._levels) < DEPTH_LIMIT:
            self._enter(boundaries, entity.digest, bool(decoders))
            self._readings = [Reading(decoder, self._open_reading) for decoder in decoders]
        elif entity.message and not decoders:
            # The header of the message inside comes next, after the empty line that stands at the position.
            self._in_header = True
            self._readings = []
            self._messages += 1
            tally.depth = max(tally.depth, self._depth)
        elif entity.message and self._encoded_depth < ENCODED_DEPTH_LIMIT:
            self._readings = [
                _EncodedMessage(decoder, Walker(self._open_part, self._on_entity, self)) for decoder in decoders
            ]
        else:
            if entity.message:
                tally.note(flaws.ENCODED_DEPTH)
            self._readings = [Reading(decoder, self._open_reading) for decoder in decoders or (None,)]

    def _note_doubt(self, uncertain: bytes) -> None:
        self.tally.note(flaws.NO_SEPARATOR)
        if has_content_field(uncertain):
            self.tally.note(flaws.DOUBTFUL_FIELD)

    @property
    def _depth(self) -> int:
        return self._depth_around + len(self._levels) + self._messages

    def _enter(self, delimiters: tuple[bytes, ...], digest: bool, encoded: bool) -> None:
        """A multipart begins."""
        known = self._delimiters
        if known:
            for delimiter in delimiters:
                if delimiter in known:
                    self.tally.note(flaws.SHARED_BOUNDARY)
                elif delimiter + b"--" in known or delimiter.removesuffix(b"--") in known:
                    self.tally.note(flaws.END_BOUNDARY)
        for delimiter in delimiters:
            known.setdefault(delimiter, []).append(len(self._levels))
        self._levels.append(_Level(delimiters, digest, encoded, self._messages))
        self.tally.depth = max(self.tally.depth, self._depth)

    def _leave(self, keep: int, closed: bool = False) -> None:
        """All multiparts but the first `keep` are over; with `closed` the outermost of them in good order."""
        while len(self._levels) > keep:
            level = self._levels.pop()
            if level.used is None:
                self.tally.note(flaws.ENCODED_MULTIPART if level.encoded else flaws.NO_PARTS)
            elif not closed or len(self._levels) > keep:
                self.tally.note(flaws.UNTERMINATED)
            for delimiter in level.delimiters:
                self._delimiters[delimiter].pop()
                if not self._delimiters[delimiter]:
                    del self._delimiters[delimiter]

    # Bodies

    def _body(self, final: bool) -> bool:
        """Hand on what belongs to the body; at a delimiter go on to what follows it."""
        found, complete = self._next_delimiter(self._at, None, final)
        if found is not None:
            self._take(found.start)
            self._delimited(found)
            return True
        buffer = self._buffer
        if not complete:
            self._take(self._delimiter_from)
        elif final or not self._levels:
            self._take(len(buffer))
        else:
            keep = next((length for length in (3, 2, 1) if buffer.endswith(b"\r\n--"[:length])), 0)
            self._take(len(buffer) - keep)
        return False

    def _next_delimiter(self, start: int, stop: Optional[int], final: bool) -> tuple[Optional[_Delimiter], bool]:
        """The first delimiter line in buffer[start:stop]; False when more input is needed to tell."""
        if not self._levels:
            return None, True
        buffer = self._buffer
        stop = len(buffer) if stop is None else stop
        candidate = buffer.find(b"\r\n--", start, stop)
        while candidate >= 0:
            end = buffer.find(b"\r\n", candidate + 4)
            if end < 0:
                if not final and len(buffer) - candidate <= _LINE_LIMIT:
                    self._delimiter_from = candidate
                    return None, False
                end = len(buffer)
            if end - candidate <= _LINE_LIMIT:
                line = buffer[candidate + 2 : end].rstrip(b" \t")
                levels = self._delimiters.get(line)
                if levels:
                    return _Delimiter(candidate, end, line, levels[-1], False), True
                levels = self._delimiters.get(line[:-2]) if line.endswith(b"--") else None
                if levels:
                    return _Delimiter(candidate, end, line[:-2], levels[-1], True), True
            candidate = buffer.find(b"\r\n--", end, stop)
        return None, True

    def _delimited(self, found: _Delimiter) -> None:
        """A part ends here, and with it all that is inside of it and was not ended."""
        self._end_part()
        level = self._levels[found.level]
        if level.used is None:
            level.used = found.text
        elif level.used != found.text:
            self.tally.note(flaws.BOUNDARIES)
        self._leave(found.level if found.closing else found.level + 1, found.closing)
        self._messages = self._levels[-1].messages if self._levels else 0
        self._at = found.end
        self._skip = 2
        self._in_header = not found.closing
        self._digest_part = self._in_header and level.digest

    def _take(self, end: int) -> None:
        start = self._at + self._skip
        if end > start:
            self._skip = 0
            self._at = end
            if self._overlong is not None:
                self._look_for_fields(self._buffer[start:end])
            if self._readings:
                data = self._buffer[start:end]
                for reading in self._readings:
                    reading.feed(data)

    def _look_for_fields(self, data: bytes) -> None:
        """In what is left of a header that was too long: another reader may read it to its end."""
        assert self._overlong is not None
        text = self._overlong + data
        header, blank, _ = text.partition(b"\r\n\r\n")
        if has_content_field(header):
            self.tally.note(flaws.DOUBTFUL_FIELD)
        self._overlong = None if blank else text[-_OVERLAP:]

    def _end_part(self) -> None:
        for reading in self._readings:
            reading.finish()
        self._readings = []


def _decoders(entity: Entity) -> list[Base64Decoder | QuotedPrintableDecoder]:
    decoders: list[Base64Decoder | QuotedPrintableDecoder] = []
    if entity.base64:
        decoders.append(Base64Decoder())
    if entity.quoted_printable:
        decoders.append(QuotedPrintableDecoder())
    return decoders
