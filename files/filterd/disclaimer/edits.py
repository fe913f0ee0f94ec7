# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Changes of a message: pieces of it that are replaced, by their place in the content as it came."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple


class Edit(NamedTuple):
    """Content[start:end] becomes `data`; with start == end it is an insertion."""

    start: int  #: bytes from the beginning
    end: int
    data: bytes


def ordered(edits: Iterable[Edit]) -> tuple[Edit, ...]:
    """The edits by place; those at the same place stay in the order in which they were given. They must not overlap."""
    found = tuple(sorted(edits, key=lambda edit: edit.start))
    for one, two in zip(found, found[1:]):
        if two.start < one.end:
            raise ValueError(f"edits overlap at {two.start}")
    return found


def growth(edits: Iterable[Edit]) -> int:
    """Bytes by which the content becomes longer."""
    return sum(len(edit.data) - (edit.end - edit.start) for edit in edits)


def apply(edits: Sequence[Edit], content: Iterable[bytes]) -> Iterator[bytes]:
    """The changed content in pieces; `edits` are ordered, and lie inside of it."""
    end = 0  # of the pieces so far
    place = 0  # the next byte that is not replaced
    number = 0
    for piece in content:
        start, end = end, end + len(piece)
        if place <= start and (number == len(edits) or edits[number].start >= end):
            yield piece
            continue
        output: list[bytes] = []
        place = max(place, start)
        while number < len(edits) and edits[number].start < end:
            edit = edits[number]
            output += [piece[place - start : edit.start - start], edit.data]
            place = edit.end
            number += 1
        output.append(piece[place - start :])
        yield b"".join(output)
    rest = b"".join(edit.data for edit in edits[number:])
    if rest:
        yield rest
