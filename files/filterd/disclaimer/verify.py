# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether another program's disclaimer left the rest of a message alone."""

from __future__ import annotations

import os
from collections.abc import Iterator

from . import transfer
from .fields import Irregular
from .files import Spool
from .outline import Outline, Part, TooLarge


def damage(outline: Outline, before: Spool, after: Spool, most: int) -> str:
    """What is wrong with the message afterwards, empty when nothing is. Raises Trouble.

    `most`: bytes by which it may have become longer.
    """
    if after.size > before.size + most:
        return f"it has {after.size - before.size} bytes more than before"
    if after.size < before.size:
        return f"it has {after.size} bytes, less than the {before.size} that it had"
    other = Outline(after.size)
    for piece in after.chunks():
        other.feed(piece)
    try:
        old, new = outline.finish(), other.finish()
    except (Irregular, TooLarge) as trouble:
        return f"its structure is not regular any more ({trouble})"
    one, two = old.walk(), new.walk()
    if [part.type.kind for part in one] != [part.type.kind for part in two]:
        return "it has other parts"
    return next((wrong for wrong in (_part(before, *pair, after) for pair in zip(one, two)) if wrong), "")


def _part(before: Spool, part: Part, same: Part, after: Spool) -> str:
    if part.text:
        return _text(part, same)
    if part.parent is not None and part.block != same.block:
        return f"the header of a part of type {part.type.kind} is another"
    if not part.multipart and not _equal(before, part, after, same):
        return f"the content of a part of type {part.type.kind} is another"
    return ""


def _text(part: Part, same: Part) -> str:
    """A text is what it was, with something in it."""
    if same.encoding in ("quoted-printable", "base64") and not same.raw.isascii():
        return f"a part in {same.encoding} has bytes above 127"
    try:
        old, new = (_words(transfer.decode(one.raw, one.encoding)) for one in (part, same))
    except Irregular as irregular:
        return f"a text cannot be read any more ({irregular})"
    begins = os.path.commonprefix([old, new])  # noqa: RUF071  (that is what it is for)
    ends = os.path.commonprefix([old[len(begins) :][::-1], new[len(begins) :][::-1]])  # noqa: RUF071
    return "" if len(begins) + len(ends) == len(old) else "a text is another"


def _words(data: bytes) -> str:
    return data.translate(None, b" \t\r\n").decode("latin-1")


def _equal(before: Spool, part: Part, after: Spool, same: Part) -> bool:
    if part.end - part.body != same.end - same.body:
        return False
    return all(one == two for one, two in zip(_aligned(before, part), _aligned(after, same)))


def _aligned(spool: Spool, part: Part) -> Iterator[bytes]:
    return spool.part(part.body, part.end)
