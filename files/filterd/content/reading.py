# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One way to read the body of a part, and who is told what it decodes to."""

from __future__ import annotations

from typing import Callable, NamedTuple, Optional

from .fields import Entity
from .transfer import Base64Decoder, QuotedPrintableDecoder

#: Takes the decoded content of one part piece by piece; an empty piece ends the part. One that has answered True
#: wants no more of it: it is not called again, and nothing more is decoded for it.
Consumer = Callable[[bytes], Optional[bool]]


class Part(NamedTuple):
    """A part that is not a container."""

    text: bool  #: it says that it is text, or nothing, and is not in base64
    entity: Entity = Entity()


class Reading:
    """One way to read the body of a part."""

    def __init__(
        self, decoder: Base64Decoder | QuotedPrintableDecoder | None, open_part: Callable[[], Consumer], late: int = 0
    ) -> None:
        self.decoder = decoder
        self._open_part = open_part
        self._late = late  # bytes that this reading takes for a part of the header
        self._consumer: Optional[Consumer] = None
        self._enough = False

    def feed(self, data: bytes) -> None:
        if self._enough:
            return
        if self._late:
            late = self._late
            self._late -= min(late, len(data))
            data = data[late:]
        self._give(data if self.decoder is None else self.decoder.feed(data))

    def finish(self) -> None:
        if self.decoder is not None and not self._enough:
            self._give(self.decoder.finish())
        if self._consumer is not None and not self._enough:
            self._consumer(b"")

    def _give(self, data: bytes) -> None:
        if data:
            if self._consumer is None:
                self._consumer = self._open_part()
            self._enough = bool(self._consumer(data))
