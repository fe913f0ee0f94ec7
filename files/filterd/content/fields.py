# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a header block says about its body: every reading of it, when it can be read in several ways.

RFC 2045 sections 5 and 6, RFC 2046 section 5, RFC 2183; parameters.py for what stands behind a semicolon.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from . import flaws
from .names import conflict, declared_names, has_override
from .parameters import COUNT, EXTENDED, readings

#: Bytes of one field that are read.
_FIELD_LIMIT = 65536
#: Content fields of one header block that are read.
_FIELD_COUNT = 100

# All of this is looked for in lower case and at a place found by a plain search, because it runs on every header.
_FIELD = b"\ncontent-"
_FIELD_NAME = re.compile(rb"\ncontent-(type|transfer-encoding|disposition)([ \t]*):")
_FIELD_END = re.compile(rb"\r\n(?![ \t])")
_COMMENT = re.compile(rb"\([^()]*\)")
_LENIENT_TYPE = re.compile(rb"[\s\"']*([^\s/;\"']+)\s*/\s*([^\s;\"',(]+)")
_LENIENT_BOUNDARY = re.compile(rb"(?i)boundary\s*=\s*\"?([^\s\";]+)")
_RECEIVED = re.compile(rb"\nreceived[ \t]*:")
_MEDIA_TYPE = re.compile(rb"[!#-\'*+.0-9^_`a-z{-~-]+/[!#-\'*+.0-9^_`a-z{-~-]+\Z")

# Content-Transfer-Encoding
_IDENTITY = frozenset((b"7bit", b"8bit", b"binary", b""))
_OLD = frozenset((b"x-uuencode", b"uuencode", b"x-uue", b"uue", b"x-yencode", b"x-binhex", b"binhex", b"mac-binhex40"))
_MISSPELT_BASE64 = re.compile(rb"base.{0,2}64|b64")
_MISSPELT_QP = re.compile(rb"quoted.{0,2}print")


class Entity(NamedTuple):
    """What is inside of one part."""

    boundaries: tuple[bytes, ...] = ()  #: of a multipart
    message: bool = False  #: a message with a header of its own
    digest: bool = False  #: the parts are messages when they do not say what they are
    base64: bool = False
    quoted_printable: bool = False
    text: bool = True  #: of type text, or of no type, which means text/plain
    old_encoding: bool = False  #: uuencode and its like, declared
    kinds: tuple[str, ...] = ()  #: media types that it declares, in lower case
    names: tuple[str, ...] = ()  #: all readings of its file name
    flaws: tuple[str, ...] = ()  #: what is wrong with its fields (flaws.py)


def received_count(header: bytes) -> int:
    """How many Received fields a header block has (RFC 5321 section 6.3, loop detection)."""
    lower = b"\n" + header.lower()
    if b"\nreceived " in lower or b"\nreceived\t" in lower:
        return len(_RECEIVED.findall(lower))
    return lower.count(b"\nreceived:")


def has_content_field(block: bytes) -> bool:
    """Whether a field in it says what the body is."""
    return _FIELD_NAME.search(b"\n" + block.lower()) is not None


def _content_fields(block: bytes) -> Iterator[re.Match[bytes]]:
    """Matches of _FIELD_NAME in the block with a line end before it: positions are one too high."""
    lower = b"\n" + block.lower()
    at = lower.find(_FIELD)
    while at >= 0:
        match = _FIELD_NAME.match(lower, at)
        if match is not None:
            yield match
        at = lower.find(_FIELD, at + 1)


def read_entity(block: bytes, digest: bool, with_names: bool = True) -> Entity:
    """What a header block says; `digest` when it stands in a multipart/digest (RFC 2046 section 5.1.5)."""
    types: list[bytes] = []
    encodings: list[bytes] = []
    dispositions: list[bytes] = []
    wrong: list[str] = []
    for count, match in enumerate(_content_fields(block) if block else ()):
        if count >= _FIELD_COUNT:
            wrong.append(flaws.FIELDS)
            break
        start = match.end() - 1
        ended = _FIELD_END.search(block, start)
        end = min(ended.start() if ended else len(block), start + _FIELD_LIMIT)
        value = block[start:end].replace(b"\r\n", b"")
        name = match.group(1)
        (types if name == b"type" else dispositions if name == b"disposition" else encodings).append(value)
        if match.group(2):
            wrong.append(flaws.SPACE_BEFORE_COLON)
        if end == start + _FIELD_LIMIT or value.count(b";") >= COUNT:
            wrong.append(flaws.FIELDS)
        if b"\0" in value:
            wrong.append(flaws.NUL_IN_FIELD)
    kinds = [_kind(value, wrong) for value in types]
    boundaries = _all_boundaries(kinds, types, wrong)
    base64, quoted_printable, old = _encodings(encodings, wrong)
    _compare_types(kinds, types, wrong)
    if len(dispositions) > 1:
        wrong.append(flaws.DISPOSITIONS)
    names: tuple[str, ...] = ()
    if with_names and (types or dispositions):
        names, complete = declared_names(types, dispositions)
        if not complete:
            wrong.append(flaws.FIELDS)
    if len(names) > 1 and conflict(names):
        wrong.append(flaws.NAMES)
    if names and has_override(names):
        wrong.append(flaws.DIRECTION)
    message = any(kind in (b"message/rfc822", b"message/global") for kind in kinds) or (digest and not kinds)
    if (base64 or quoted_printable) and (message or boundaries):
        wrong.append(flaws.ENCODED_CONTAINER)
    return Entity(
        boundaries=tuple(boundaries),
        message=message,
        digest=b"multipart/digest" in kinds,
        base64=base64,
        quoted_printable=quoted_printable,
        text=all(kind.startswith(b"text/") for kind in kinds),
        old_encoding=old,
        kinds=tuple(kind.decode("latin-1") for kind in kinds),
        names=names,
        flaws=tuple(wrong),
    )


def _kind(value: bytes, wrong: list[str]) -> bytes:
    """The media type of a Content-Type field."""
    kind = value.partition(b";")[0].partition(b"(")[0].strip().lower()
    lenient = None
    if _MEDIA_TYPE.match(kind) is None:
        lenient = _LENIENT_TYPE.match(_COMMENT.sub(b" ", value) if b"(" in value else value)
    if lenient is not None:
        looser = b"/".join(lenient.groups()).lower()
        if looser != kind and looser.startswith((b"multipart/", b"message/")):
            # To strict readers this is a text.
            wrong.append(flaws.IRREGULAR_TYPE)
            kind = looser
    if kind == b"message/partial":
        wrong.append(flaws.PARTIAL)
    elif kind == b"message/external-body":
        wrong.append(flaws.EXTERNAL_BODY)
    return kind


def _compare_types(kinds: list[bytes], types: list[bytes], wrong: list[str]) -> None:
    if len(kinds) > 1:
        # Parameters that matter, boundary and name, are compared by themselves.
        wrong.append(flaws.TYPES if len(set(kinds)) > 1 else flaws.SAME_TYPES)


def _encodings(fields: list[bytes], wrong: list[str]) -> tuple[bool, bool, bool]:
    """Whether the body can be read as base64, as quoted-printable, in an encoding of another age."""
    if not fields:
        return False, False, False
    base64 = quoted_printable = old = False
    meanings = set()
    for field in fields:
        word = (_COMMENT.sub(b"", field) if b"(" in field else field).strip(b" \t;,.").lower()
        if word in _IDENTITY:
            meanings.add(b"identity")
            continue
        meanings.add(word)
        if word == b"base64":
            base64 = True
        elif word == b"quoted-printable":
            quoted_printable = True
        elif word in _OLD:
            old = True
        else:
            looks_base64, looks_quoted = _MISSPELT_BASE64.search(word), _MISSPELT_QP.search(word)
            base64 = base64 or looks_base64 is not None
            quoted_printable = quoted_printable or looks_quoted is not None
            # Most take what they do not know for no encoding; this one some decode, and some do not.
            wrong.append(flaws.MISSPELT_ENCODING if looks_base64 or looks_quoted else flaws.UNKNOWN_ENCODING)
    if len(fields) > 1:
        wrong.append(flaws.ENCODINGS if len(meanings) > 1 else flaws.SAME_ENCODINGS)
    return base64, quoted_printable, old


def _all_boundaries(kinds: list[bytes], types: list[bytes], wrong: list[str]) -> list[bytes]:
    boundaries: list[bytes] = []
    declared = set()
    plain = multipart = False
    for kind, value in zip(kinds, types):
        if not kind.startswith(b"multipart/"):
            continue
        multipart = True
        found = readings(value, b"boundary")
        for reading in found:
            text = reading.value.rstrip(b" \t")
            if text:
                boundaries.append(text)
                plain = plain or reading.form != EXTENDED
                if not reading.spelling:
                    declared.add(text)
        if not found:
            lenient = _LENIENT_BOUNDARY.search(value)
            if lenient is not None:
                wrong.append(flaws.IRREGULAR_TYPE)
                boundaries.append(lenient.group(1))
                plain = True
    if multipart:
        if not boundaries:
            wrong.append(flaws.NO_BOUNDARY)
        elif len(declared) > 1:
            wrong.append(flaws.BOUNDARIES)
        elif not plain:
            wrong.append(flaws.EXTENDED_BOUNDARY)
    return list(dict.fromkeys(boundaries))
