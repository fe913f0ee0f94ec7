# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Edits of a header: a charset, a transfer encoding, fields that are missing."""

from __future__ import annotations

from .edits import Edit
from .fields import first_field, only, word_place
from .outline import Part


def charset(part: Part, name: str) -> list[Edit]:
    """Let Content-Type say this charset; for a part that has such a field."""
    assert part.typed is not None
    parameter = part.type.parameters.get("charset")
    if parameter is None:
        return [Edit(part.type.end, part.type.end, b"; charset=" + name.encode("ascii"))]
    return [Edit(parameter.start, parameter.end, name.encode("ascii"))]


def declare(part: Part, charset_name: str, encoding: str, line_end: bytes) -> list[Edit]:
    """Let the header say charset and transfer encoding (empty: as they are). Fields that are missing come last."""
    edits: list[Edit] = []
    added: list[bytes] = []
    if charset_name and part.typed is not None:
        edits += charset(part, charset_name)
    elif charset_name:
        added.append(b"Content-Type: text/plain; charset=" + charset_name.encode("ascii"))
    if encoding and part.encoded is not None:
        edits.append(Edit(*word_place(part.encoded), encoding.encode("ascii")))
    elif encoding:
        added.append(b"Content-Transfer-Encoding: " + encoding.encode("ascii"))
    if part.parent is None and (edits or added) and only(part.fields, b"mime-version") is None:
        added.insert(0, b"MIME-Version: 1.0")
    return edits + add_last(part, added, line_end)


def add_last(part: Part, lines: list[bytes], line_end: bytes) -> list[Edit]:
    """Fields behind the last one."""
    if not lines:
        return []
    end = part.start + len(part.block)
    return [Edit(end, end, b"".join(line + line_end for line in lines))]


def add_first(root: Part, lines: list[bytes], line_end: bytes) -> list[Edit]:
    """Fields before the first one, as trace fields are (RFC 5321 section 4.4)."""
    if not lines:
        return []
    place = first_field(root.block)
    return [Edit(place, place, b"".join(line + line_end for line in lines))]


def end_last_line(root: Part, line_end: bytes) -> list[Edit]:
    """What makes the last line of a header complete that is the end of the message; comes before all other edits."""
    end = len(root.block)
    return [Edit(end, end, line_end)] if root.block and not root.block.endswith(b"\n") else []


def separate(part: Part, line_end: bytes) -> bytes:
    """What must come before a body where nothing ends the header."""
    return b"" if part.separated else line_end
