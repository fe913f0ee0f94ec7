# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a header block says about its body: every reading of it, when it can be read in several ways.

RFC 2045 sections 5 and 6, RFC 2046 section 5, RFC 2231 sections 3 and 4 for the boundary parameter.
"""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

#: Bytes of one field that are read.
_FIELD_LIMIT = 65536
#: Content-Type and Content-Transfer-Encoding fields of one header block that are read.
_FIELD_COUNT = 100

_FIELD_NAME = re.compile(rb"(?im)^(content-type|content-transfer-encoding)[ \t]*:")
_FIELD_END = re.compile(rb"\r\n(?![ \t])")
# One parameter: its name, and its value as quoted string (the end quote may be missing) or up to the next semicolon.
_PARAMETER = re.compile(rb';\s*([^\s=;"]*)\s*(?:=\s*(?:"([^"\\]*(?:\\.[^"\\]*)*)"?|([^;"]*)))?', re.DOTALL)
_SECTION = re.compile(rb"boundary\*([0-9]{1,3})(\*?)\Z")
_QUOTED_PAIR = re.compile(rb"\\(.)", re.DOTALL)
_RECEIVED = re.compile(rb"(?im)^received[ \t]*:")


class Entity(NamedTuple):
    """What is inside of one part."""

    boundaries: tuple[bytes, ...] = ()  #: of a multipart
    message: bool = False  #: a message with a header of its own
    digest: bool = False  #: the parts are messages when they do not say what they are
    base64: bool = False
    quoted_printable: bool = False
    text: bool = True  #: of type text, or of no type, which means text/plain


def received_count(header: bytes) -> int:
    """How many Received fields a header block has (RFC 5321 section 6.3, loop detection)."""
    return len(_RECEIVED.findall(header))


def read_entity(block: bytes, digest: bool) -> Entity:
    """What a header block says; `digest` when it stands in a multipart/digest (RFC 2046 section 5.1.5)."""
    types: list[bytes] = []
    encodings: list[bytes] = []
    for match in _FIELD_NAME.finditer(block) if block else ():
        ended = _FIELD_END.search(block, match.end())
        end = min(ended.start() if ended else len(block), match.end() + _FIELD_LIMIT)
        value = block[match.end() : end].replace(b"\r\n", b"")
        (types if match.group(1).lower() == b"content-type" else encodings).append(value)
        if len(types) + len(encodings) >= _FIELD_COUNT:
            break
    boundaries: list[bytes] = []
    kinds = [re.split(rb"[;(]", value, maxsplit=1)[0].strip().lower() for value in types]
    for kind, value in zip(kinds, types):
        if kind.startswith(b"multipart/"):
            boundaries += _boundaries(value)
    encoding = b" ".join(encodings).lower()
    return Entity(
        boundaries=tuple(boundaries),
        message=any(kind in (b"message/rfc822", b"message/global") for kind in kinds) or (digest and not kinds),
        digest=b"multipart/digest" in kinds,
        base64=b"base64" in encoding,
        quoted_printable=b"quoted-printable" in encoding,
        text=all(kind.startswith(b"text/") for kind in kinds),
    )


def _boundaries(value: bytes) -> list[bytes]:
    found: list[bytes] = []
    sections: dict[int, bytes] = {}
    for match in _PARAMETER.finditer(value):
        name = match.group(1).lower()
        if not name.startswith(b"boundary"):
            continue
        quoted = match.group(2)
        text = _QUOTED_PAIR.sub(rb"\1", quoted) if quoted is not None else (match.group(3) or b"").strip()
        section = _SECTION.match(name)
        if name == b"boundary":
            found.append(text)
            # An unquoted value with white space in it: others read it up to there.
            found.append(text if quoted is not None else text.split(b" ")[0].split(b"\t")[0])
        elif name == b"boundary*":
            found.append(unquote_to_bytes(text.rsplit(b"'", 1)[-1]))
        elif section is not None:
            piece = unquote_to_bytes(text.rsplit(b"'", 1)[-1]) if section.group(2) else text
            sections.setdefault(int(section.group(1)), piece)
    if sections:
        found.append(b"".join(sections[number] for number in sorted(sections)))
    return [boundary.rstrip(b" \t") for boundary in found if boundary.strip(b" \t")]
