# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Parameters of Content-Type and Content-Disposition, in every form in which readers find them.

RFC 2045 section 5.1 (quoted strings, comments), RFC 2231 sections 3 and 4 (continuations, character sets).
"""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

# One parameter: its name, and its value as quoted string (the end quote may be missing) or up to the next semicolon.
_PARAMETER = re.compile(rb';\s*([^\s=;"]*)\s*(?:=\s*(?:"([^"\\]*(?:\\.[^"\\]*)*)"?|([^;"]*)))?', re.DOTALL)
_SECTION = re.compile(rb"([^*]+)\*([0-9]{1,3})(\*?)\Z")
_QUOTED_PAIR = re.compile(rb"\\(.)", re.DOTALL)
_COMMENT = re.compile(rb"\([^()]*\)")
#: Parameters of one field that are read.
_COUNT = 1000

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
    found: list[Reading] = []
    sections: dict[int, tuple[bytes, bool]] = {}
    for count, match in enumerate(_PARAMETER.finditer(field)):
        if count >= _COUNT:
            break
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
            # Of two sections with one number the first counts.
            sections.setdefault(int(section.group(2)), (text, bool(section.group(3))))
    if sections:
        found.append(_joined(sections))
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
    if b"(" in text:
        found.append(Reading(_COMMENT.sub(b"", text).strip(), b"", PLAIN, True))
    return found


def _extended(text: bytes) -> Reading:
    charset, quote, rest = text.partition(b"'")
    value = rest.partition(b"'")[2] if quote and b"'" in rest else text
    return Reading(unquote_to_bytes(value), charset if quote else b"", EXTENDED)


def _joined(sections: dict[int, tuple[bytes, bool]]) -> Reading:
    charset = b""
    pieces = []
    for index, number in enumerate(sorted(sections)):
        text, encoded = sections[number]
        if encoded and index == 0 and text.count(b"'") >= 2:
            charset, _, text = text.split(b"'", 2)
        pieces.append(unquote_to_bytes(text) if encoded else text)
    return Reading(b"".join(pieces), charset, EXTENDED)
