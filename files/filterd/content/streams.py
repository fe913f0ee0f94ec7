# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a scanner is given of a message: the whole of it, its beginning, its decoded parts.

A scanner's own mail parser finds what only mail as a whole shows (phishing, text encodings of another age), and costs
several times what the same bytes cost as plain files. Files inside attachments are found at least as well in the
decoded part. `auto` gives small messages whole, of large ones the beginning as mail and every part by itself.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Container, Iterable, Iterator
from typing import Callable, NamedTuple

from .mime import Walker
from .reading import Consumer, Part

MODES = ("auto", "whole", "parts", "both")
#: Bytes of a message that `auto` gives as mail.
MAIL_LIMIT = 16384

#: By number and kind, whether somebody wants a part.
Wanted = Callable[[int, Part], bool]
#: Number and decoded content of parts.
Parts = Iterator[tuple[int, Iterator[bytes]]]


class Known(NamedTuple):
    """What the analysis knows of a message."""

    attachments: bool  #: it has parts that are not text
    whole_needed: bool  #: its text holds what only a mail parser decodes, so `auto` gives it whole
    text_decoded: bool  #: all of its text was decoded and looked at when it came
    shown: Container[int] = ()  #: numbers of the text parts that end within its beginning


def streams(
    mode: str, content: Iterable[bytes], size: int, known: Known, parts: Callable[[Wanted], Parts]
) -> Iterator[Iterator[bytes]]:
    """The streams for one message; each must be read before the next is asked for. `parts` gives its decoded parts."""
    as_mail = mode != "parts"
    whole = mode in ("whole", "both") or known.whole_needed or size <= MAIL_LIMIT
    if as_mail:
        yield iter(content) if whole else _beginning(content, MAIL_LIMIT)
    if mode == "whole":
        return
    # Text has been seen as part of the whole mail, and what is small has been decoded too.
    skip_text = mode == "auto" and whole and (known.text_decoded or size <= MAIL_LIMIT)
    if skip_text and not known.attachments:
        return
    shown = known.shown if mode == "auto" else ()
    for _, stream in parts(lambda number, part: not (part.text and (skip_text or number in shown))):
        yield stream


def _beginning(content: Iterable[bytes], limit: int) -> Iterator[bytes]:
    for piece in content:
        yield piece[:limit]
        limit -= len(piece)
        if limit <= 0:
            return


class _Opened:
    """A part whose content is under way."""

    def __init__(self) -> None:
        self.pieces: deque[bytes] = deque()
        self.ended = False

    def take(self, data: bytes) -> None:
        if data:
            self.pieces.append(data)
        else:
            self.ended = True


def parts(content: Iterable[bytes], wanted: Wanted) -> Parts:
    """Number and decoded content of each part that is wanted, read from the message while it is asked for.

    Parts are numbered from 0 in the order in which the walker opens them, which is always the same for one message.
    """
    waiting: deque[tuple[int, _Opened]] = deque()
    numbers = itertools.count()

    def open_part(part: Part) -> Consumer:
        number = next(numbers)
        if not wanted(number, part):
            return _no_more
        opened = _Opened()
        waiting.append((number, opened))
        return opened.take

    walker = Walker(open_part)
    source = _walk(content, walker)

    def stream(opened: _Opened) -> Iterator[bytes]:
        while True:
            while opened.pieces:
                yield opened.pieces.popleft()
            if opened.ended or next(source, None) is None:
                yield from opened.pieces
                return

    while True:
        while not waiting:
            if next(source, None) is None and not waiting:
                return
        number, opened = waiting.popleft()
        yield number, stream(opened)


def _no_more(_data: bytes) -> bool:
    return True


def _walk(content: Iterable[bytes], walker: Walker) -> Iterator[bool]:
    for piece in content:
        walker.feed(piece)
        yield True
    walker.finish()
