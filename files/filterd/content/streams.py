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
from collections.abc import Iterable, Iterator
from typing import Callable

from .mime import Walker
from .reading import Consumer, Part

MODES = ("auto", "whole", "parts", "both")
#: Bytes of a message that `auto` gives as mail.
MAIL_LIMIT = 16384


def streams(
    mode: str, content: Iterable[bytes], size: int, attachments: bool, whole_needed: bool, text_known: bool = True
) -> Iterator[Iterator[bytes]]:
    """The streams for one message; each must be read before the next is asked for.

    `attachments`: the message has parts that are not text. `whole_needed`: its text holds what only a mail parser
    decodes, so `auto` gives it whole. `text_known`: all of its text was decoded and looked at when it came.
    """
    as_mail = mode != "parts"
    whole = mode in ("whole", "both") or whole_needed or size <= MAIL_LIMIT
    if as_mail:
        yield iter(content) if whole else _beginning(content, MAIL_LIMIT)
    if mode == "whole":
        return
    # Text has been seen as part of the whole mail, and what is small has been decoded too.
    skip_text = mode == "auto" and whole and (text_known or size <= MAIL_LIMIT)
    if skip_text and not attachments:
        return
    for _, stream in parts(content, lambda _number, part: not (skip_text and part.text)):
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


def parts(content: Iterable[bytes], wanted: Callable[[int, Part], bool]) -> Iterator[tuple[int, Iterator[bytes]]]:
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
