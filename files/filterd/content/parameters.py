# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Parameters of Content-Type and Content-Disposition, in every form in which readers find them.

RFC 2045 section 5.1 (quoted strings, comments), RFC 2231 sections 3 and 4 (continuations, character sets).
"""

from __future__ import annotations

import itertools
import re
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

# One parameter: its name, and its value as quoted string (the end quote may be missing) or up to the next semicolon.
_PARAMETER = re.compile(rb';\s*([^\s=;"]*)\s*(?:=\s*(?:"([^"\\]*(?:\\.[^"\\]*)*)"?|([^;"]*)))?', re.DOTALL)
_SECTION = re.compile(rb"([^*]+)\*([0-9]{1,5})(\*?)\Z")
_QUOTED_PAIR = re.compile(rb"\\(.)", re.DOTALL)
_COMMENT = re.compile(rb"\([^()]*\)")
#: Parameters of one field that are read.
COUNT = 1000

PLAIN, EXTENDED = "plain", "extended"


class Reading(NamedTuple):
    """One way to read a parameter."""

    value: bytes
    charset: bytes  #: of an extended value, else empty
    form: str  #: PLAIN or EXTENDED (RFC 2231)
    spelling: bool = False  #: a second way to read the same words, not a second value


def readings(field: bytes, wanted: bytes) -> list[Reading]:
    """All readings of the parameter `wanted` (lower case) in an unfolded field."""
    if wanted not in field.lower():
        return []
    found = _readings(field, wanted)
    if b"(" in field:
        # Comments may stand anywhere between the words; many take them for a part of the value.
        known = {reading.value for reading in found}
        without = _readings(_COMMENT.sub(b" ", field), wanted)
        found += [reading._replace(spelling=True) for reading in without if reading.value not in known]
    return found


def _readings(field: bytes, wanted: bytes) -> list[Reading]:
    found: list[Reading] = []
    first: dict[int, tuple[bytes, bool]] = {}
    last: dict[int, tuple[bytes, bool]] = {}
    # The semicolon before the first parameter is sometimes missing with what should stand before it.
    for match in itertools.islice(_PARAMETER.finditer(b";" + field), COUNT):
        name = match.group(1).lower()
        if not name.startswith(wanted):
            continue
        if name == wanted:
            found += _plain(match.group(2), match.group(3))
            continue
        quoted = match.group(2)
        text = _QUOTED_PAIR.sub(rb"\1", quoted) if quoted is not None else (match.group(3) or b"").strip()
        section = _SECTION.match(name)
        if name == wanted + b"*":
            found.append(_extended(text))
        elif section is not None and section.group(1) == wanted:
            number, piece = int(section.group(2)), (text, bool(section.group(3)))
            first.setdefault(number, piece)
            last[number] = piece
    if first:
        found += _all_joined(first, last)
    return found


def _plain(quoted: bytes | None, unquoted: bytes | None) -> list[Reading]:
    if quoted is not None:
        found = [Reading(_QUOTED_PAIR.sub(rb"\1", quoted), b"", PLAIN)]
        if b"\\" in quoted:
            # Many keep the backslashes: in a path of a careless program they are no quoting.
            found.append(Reading(quoted, b"", PLAIN, True))
        return found
    text = (unquoted or b"").strip()
    found = [Reading(text, b"", PLAIN)]
    if b" " in text or b"\t" in text:
        # An unquoted value with white space in it: others read it up to there, or without the comment.
        found.append(Reading(text.split(b" ")[0].split(b"\t")[0], b"", PLAIN, True))
    return found


def _extended(text: bytes) -> Reading:
    charset, quote, rest = text.partition(b"'")
    value = rest.partition(b"'")[2] if quote and b"'" in rest else text
    return Reading(unquote_to_bytes(value), charset if quote else b"", EXTENDED)


def _all_joined(first: dict[int, tuple[bytes, bool]], last: dict[int, tuple[bytes, bool]]) -> list[Reading]:
    """Sections in order. Where one is missing some readers end; where one comes twice some take the last."""
    found = [_joined(first)]
    if first != last:
        found.append(_joined(last))
    gap = next(number for number in itertools.count() if number not in first)
    if 0 < gap < len(first):
        found.append(_joined({number: first[number] for number in range(gap)})._replace(spelling=True))
    return found


def _joined(sections: dict[int, tuple[bytes, bool]]) -> Reading:
    charset = b""
    pieces = []
    for index, number in enumerate(sorted(sections)):
        text, encoded = sections[number]
        if encoded and index == 0 and text.count(b"'") >= 2:
            charset, _, text = text.split(b"'", 2)
        pieces.append(unquote_to_bytes(text) if encoded else text)
    return Reading(b"".join(pieces), charset, EXTENDED)
