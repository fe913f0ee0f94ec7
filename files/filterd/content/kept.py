# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The decoded parts of a message that is small enough: whoever wants them need not read the message again."""

from __future__ import annotations

from typing import Callable, NamedTuple

from .reading import Part
from .streams import Parts, Wanted

#: Asks for so many bytes of memory, which the message has until its end. When it says no, as to a
#: question for 0, nothing may be kept.
Room = Callable[[int], bool]


#: Bytes of one text part. A longer one is hardly ever small enough to be kept to its end.
_TEXT = 131072
#: Bytes that are given at a time.
_PIECE = 65536


class _KeptPart(NamedTuple):
    part: Part
    content: bytearray


class KeptParts:
    """All parts, as long as there is room for them."""

    def __init__(self, room: Room) -> None:
        self._room = room
        self._parts: list[_KeptPart] = []
        #: All that has come is there.
        self.complete = True

    def open_part(self, part: Part) -> None:
        """The next part begins."""
        if self.complete:
            self._parts.append(_KeptPart(part, bytearray()))

    def take(self, number: int, data: bytes) -> None:
        """What that part goes on with."""
        if self.complete and data:
            part, content = self._parts[number]
            if (part.text and len(content) > _TEXT) or not self._room(len(data)):
                self.drop()
            else:
                content += data

    def drop(self) -> None:
        """There is no room, or nobody wants them."""
        self.complete = False
        self._parts = []
        self._room(0)

    def parts(self, wanted: Wanted) -> Parts:
        """As streams.parts gives them."""
        for number, (part, content) in enumerate(self._parts):
            if wanted(number, part):
                yield number, (bytes(content[start : start + _PIECE]) for start in range(0, len(content), _PIECE))
