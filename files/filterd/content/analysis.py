# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is learned from the content while it arrives: its structure, names and types of its parts, the test pattern."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple, Optional

from ..findings import Finding
from . import eicar, flaws
from .fields import Entity, received_count
from .header import header_flaws
from .kept import KeptParts, Room
from .mime import Walker
from .names import extensions
from .reading import Consumer, Part
from .rules import Collection, Rules, default_rules
from .streams import MAIL_LIMIT, Known, Parts, Wanted, parts, streams
from .types import BY_EXTENSION, HEAD, Kind, real_type
from .uuencode import OldEncodings

#: Decoded bytes of one part after which it is left to the scanner's reading. Decoding at most doubles what it decodes
#: (bare line ends), so a message with such a part is larger than what `auto` gives as mail alone.
_ENOUGH = max(2 * MAIL_LIMIT, HEAD)


class Archive(NamedTuple):
    """A part that holds files."""

    kind: Kind
    name: str  #: one reading of its file name, empty when it has none


class Analysis:
    """Feed it the content as it comes; every piece is looked at once, so a large message never stops the others."""

    def __init__(self, rules: Optional[Rules] = None, room: Room = lambda _size: False) -> None:
        """`room` gives memory for decoded parts; without it they are decoded again when they are wanted."""
        self.rules = rules if rules is not None else default_rules()
        self._whole = eicar.PatternSearch()
        self._found_in_part = False
        self._walker = Walker(self._open_part, self._entity)
        self._findings = Collection()
        self._opened = 0
        self._fed = 0  # bytes
        self._shown: set[int] = set()  # text parts that end within the first MAIL_LIMIT bytes
        #: What has been decoded.
        self.kept = KeptParts(room)
        #: There are parts that are not text.
        self.attachments = False
        #: Text holds what only a mail parser decodes.
        self.old_encodings = False
        #: Archives to unpack, by the order in which the walker opens parts.
        self.archives: dict[int, Archive] = {}

    def feed(self, data: bytes) -> None:
        """The next piece of content."""
        self._whole.feed(data)
        room = MAIL_LIMIT - self._fed
        if 0 < room < len(data):
            # By itself: what ends in it is known to be in the beginning.
            self._fed += room
            self._walker.feed(data[:room])
            data = data[room:]
        self._fed += len(data)
        self._walker.feed(data)

    def finish(self) -> list[Finding]:
        """What was found in the whole message; archives are not opened yet (unpack.inspect)."""
        self._walker.finish()
        tally, keys = self._walker.tally, self.rules.keys
        if tally.parts > keys.max_parts:
            tally.note(flaws.PARTS)
        if tally.depth > keys.max_mime_depth:
            tally.note(flaws.DEPTH)
        for flaw in [*tally.flaws, *header_flaws(self._walker.header)]:
            self._findings.add(Finding(flaws.category(flaw), flaw, flaws.SOURCE))
        return self.pattern_findings() + self._findings.all()

    def pattern_findings(self) -> list[Finding]:
        """The finding of the test pattern. Ask again when scanners have read `streams`, which look for it too."""
        return [eicar.finding()] if self._whole.found or self._found_in_part else []

    def streams(self, mode: str, content: Iterable[bytes], size: int) -> Iterator[Iterator[bytes]]:
        """What a scanner is given in one of content.streams.MODES; `content` can be read again."""
        if self.too_many_parts:
            # A scanner that is asked thousands of times for one message is asked for no other one.
            yield iter(content)
            return
        all_decoded = self.rules.decode_all or self.kept.complete
        known = Known(self.attachments, self.old_encodings, all_decoded, self._shown)
        for stream in streams(mode, content, size, known, lambda wanted: self.parts(content, wanted)):
            yield stream if all_decoded else self._searched(stream)
        if mode == "auto" and self.old_encodings and not known.whole_needed and size > MAIL_LIMIT:
            yield iter(content)

    def parts(self, content: Iterable[bytes], wanted: Wanted) -> Parts:
        """Number and decoded content of each part that is wanted; `content` is the message from its beginning."""
        return self.kept.parts(wanted) if self.kept.complete else parts(content, wanted)

    def _searched(self, stream: Iterator[bytes]) -> Iterator[bytes]:
        pattern, old = eicar.PatternSearch(), OldEncodings()
        for piece in stream:
            pattern.feed(piece)
            if b"\0" not in piece:
                old.feed(piece)
            yield piece
        self._found_in_part = self._found_in_part or pattern.found
        self.old_encodings = self.old_encodings or old.found

    @property
    def too_many_parts(self) -> bool:
        """More parts than are looked at one by one."""
        return self._walker.tally.parts > self.rules.keys.max_parts

    @property
    def header(self) -> bytes:
        """The header block of the message."""
        return self._walker.header

    @property
    def received_count(self) -> int:
        """How many Received fields the message has."""
        return received_count(self._walker.header)

    # What the walker tells

    def _entity(self, entity: Entity) -> None:
        for name in entity.names:
            self._findings.add(self.rules.banned_name(name.replace("/", "\\")))
        if entity.old_encoding:
            self.old_encodings = True

    def _open_part(self, part: Part) -> Consumer:
        self._opened += 1
        if not part.text:
            self.attachments = True
        self.kept.open_part(part)
        return _Look(self, part, self._opened - 1).take

    def typed(self, number: int, part: Part, kind: Optional[Kind]) -> None:
        """The beginning of a part has been seen."""
        names = part.entity.names
        name = names[0] if names else ""
        if part.entity.kinds or kind is not None:
            self._findings.add(self.rules.banned_type(kind, part.entity.kinds, name))
        if kind is None and names:
            ends = (extension for name in names for extension in extensions(name))
            kind = next((BY_EXTENSION[extension] for extension in ends if extension in BY_EXTENSION), None)
        if kind is not None and kind.archive and self._walker.tally.parts <= self.rules.keys.max_parts:
            self.archives[number] = Archive(kind, name)

    def ended(self, number: int, part: Part) -> None:
        """All of a part has been seen."""
        if part.text and self._fed <= MAIL_LIMIT:
            self._shown.add(number)

    def found_pattern(self) -> None:
        """The test pattern is in a part."""
        self._found_in_part = True

    def found_old_encoding(self) -> None:
        """A part holds uuencode or its like."""
        self.old_encodings = True


class _Look:
    """Looks at one part as it comes: its type, the test pattern, old encodings."""

    __slots__ = ("_analysis", "_file", "_head", "_number", "_old", "_part", "_search", "_seen")

    def __init__(self, analysis: Analysis, part: Part, number: int) -> None:
        self._analysis = analysis
        self._part = part
        self._number = number
        self._search = eicar.PatternSearch()
        self._old = OldEncodings()
        self._seen = 0
        self._head: Optional[bytes] = b""  # until the type is known
        self._file = False  # it is no text, whatever it says

    def take(self, data: bytes) -> bool:
        """The next piece; empty at the end. True: what follows need not be decoded."""
        analysis = self._analysis
        analysis.kept.take(self._number, data)
        if not data:
            analysis.ended(self._number, self._part)
        self._seen += len(data)
        self._search.feed(data)
        if self._search.found:
            analysis.found_pattern()
        if self._head is not None:
            self._head += data
            if len(self._head) >= HEAD or not data:
                kind = real_type(self._head[:HEAD])
                self._file = not self._part.text and ((kind is not None and kind.binary) or b"\0" in self._head)
                self._head = None
                analysis.typed(self._number, self._part, kind)
        # What holds a NUL byte and is not called text is a file, and a file is scanned as one.
        if not analysis.old_encodings and (self._part.text or b"\0" not in data):
            self._old.feed(data)
            if self._old.found:
                analysis.found_old_encoding()
        if analysis.kept.complete or analysis.rules.decode_all:
            return False
        return self._file or self._seen > _ENOUGH
