# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Text in its transfer encoding: what it decodes to, and how some bytes of it are replaced (RFC 2045 section 6).

All functions take the body as it came and edit only the lines that they must; the other lines stay byte for byte.
"""

from __future__ import annotations

import base64
import binascii
import re

from .fields import Irregular

_LINE = 76
#: An escaped byte, or what means nothing: a soft line break, and blanks at the end of a line, which were added on the
#: way (RFC 2045 section 6.7, rule 3); the second one is for text in which there are none of these.
_QUOTED = re.compile(rb"=(?:([0-9A-Fa-f]{2})|[ \t]*(?:\r?\n|\Z))|(?<![ \t])[ \t]+(?=\r?\n|\Z)")
_QUOTED_TIGHT = re.compile(rb"=(?:([0-9A-Fa-f]{2})|\r?\n|\Z)")
_BLANK_ENDS = (b" \n", b" \r\n", b"\t\n", b"\t\r\n")
_ESCAPE = re.compile(rb"=[0-9A-Fa-f]{2}")
_UNITS = re.compile(rb"=[0-9A-Fa-f]{2}|.", re.DOTALL)
_BASE64 = re.compile(rb"[A-Za-z0-9+/\r\n]*={0,2}[\r\n]*\Z")

IDENTITY = ("7bit", "8bit", "binary")


def decode(raw: bytes, encoding: str) -> bytes:
    """What the body says. Raises Irregular when readers may disagree."""
    if encoding == "base64":
        return _decode_base64(raw)
    if encoding == "quoted-printable":
        return _decode_quoted(raw)
    return raw


def _decode_base64(raw: bytes) -> bytes:
    text = raw.translate(None, b"\r\n \t")
    if not _BASE64.match(text) or len(text) % 4:
        raise Irregular("base64 that is not regular")
    return base64.b64decode(text)


def _decode_quoted(raw: bytes) -> bytes:
    """What _quoted_lines finds, all at once."""
    blanks = raw.endswith((b" ", b"\t")) or any(end in raw for end in _BLANK_ENDS)
    pattern = _QUOTED if blanks else _QUOTED_TIGHT
    return pattern.sub(lambda match: bytes.fromhex(match.group(1).decode("ascii")) if match.group(1) else b"", raw)


def _quoted_lines(raw: bytes) -> list[tuple[bytes, int, int]]:
    """For each line what it decodes to, and the place in the body of its beginning and end."""
    found = []
    at = 0
    for line in _lines(raw):
        end = b"\r\n" if line.endswith(b"\r\n") else b"\n" if line.endswith(b"\n") else b""
        # White space at the end was added on the way (RFC 2045 section 6.7, rule 3).
        text = line[: len(line) - len(end)].rstrip(b" \t")
        if text.endswith(b"="):
            text, end = text[:-1], b""
        found.append((_unquoted(text) + end, at, at + len(line)))
        at += len(line)
    return found


def _lines(raw: bytes) -> list[bytes]:
    return [line for line in re.split(rb"(?<=\n)", raw) if line]


def _unquoted(text: bytes) -> bytes:
    if b"=" not in text:
        return text
    return _ESCAPE.sub(lambda match: bytes((int(match.group()[1:], 16),)), text)


def encode(data: bytes, encoding: str, line_end: bytes) -> bytes:
    """A whole body in a transfer encoding."""
    if encoding == "base64":
        return _wrapped(base64.b64encode(data), 0, line_end) + line_end
    if encoding == "quoted-printable":
        return quoted(data, line_end)
    return data


def quoted(data: bytes, line_end: bytes) -> bytes:
    """Text as quoted-printable; its line ends (CR LF or LF) become those of the message."""
    lines = []
    for line in re.split(rb"\r?\n", data):
        text = binascii.b2a_qp(line, istext=False).replace(b"=\n", b"=" + line_end)
        # A line that a mailbox file would change, and one that ends a message in SMTP (RFC 2049 section 3).
        if text.startswith(b"From "):
            text = _shortened(b"=46rom " + text[5:], line_end)
        elif text == b".":
            text = b"=2E"
        lines.append(text)
    return line_end.join(lines)


def _shortened(text: bytes, line_end: bytes) -> bytes:
    first, end, rest = text.partition(line_end)
    if len(first) <= _LINE:
        return text
    return b"=46rom" + b"=" + line_end + first[6:] + end + rest


def _wrapped(text: bytes, used: int, line_end: bytes) -> bytes:
    """Base64 in lines; the first of them has `used` characters already."""
    room = max(0, _LINE - used) // 4 * 4
    lines = [text[:room]]
    lines += [text[at : at + _LINE] for at in range(room, len(text), _LINE)]
    return line_end.join(lines)


class Replaced:
    """A change inside of a body: raw[start:end] becomes data."""

    __slots__ = ("data", "end", "start")

    def __init__(self, start: int, end: int, data: bytes) -> None:
        self.start = start
        self.end = end
        self.data = data


def insert(raw: bytes, encoding: str, place: int, data: bytes, filler: bytes, line_end: bytes) -> Replaced:
    """Put `data` before the decoded byte `place`.

    `filler` is what may be repeated behind the data so that base64 stays aligned (a space in the charset of the text).
    """
    if encoding == "base64":
        return _insert_base64(raw, place, data, filler, line_end)
    if encoding == "quoted-printable":
        return _insert_quoted(raw, place, data, line_end)
    return Replaced(place, place, data)


def _insert_quoted(raw: bytes, place: int, data: bytes, line_end: bytes) -> Replaced:
    body = quoted(data, line_end)
    if place == len(_decode_quoted(raw)):
        return _append_quoted(raw, body, line_end)
    reached = 0
    for text, start, end in _quoted_lines(raw):
        if reached + len(text) <= place:
            reached += len(text)
            continue
        at = start
        for unit in _UNITS.finditer(raw, start, end):
            if reached == place:
                at = unit.start()
                break
            reached += 1
        before = b"=" + line_end if at > start else b""
        # What follows goes on behind a soft line break, unless the data end a line.
        if body.endswith(line_end):
            return Replaced(at, at, before + body)
        return Replaced(at, at, before + body + b"=" + line_end)
    return _append_quoted(raw, body, line_end)


def _append_quoted(raw: bytes, body: bytes, line_end: bytes) -> Replaced:
    stripped = raw.rstrip(b" \t")
    if not raw or raw.endswith(b"\n"):
        return Replaced(len(raw), len(raw), body)
    if stripped.endswith(b"="):
        return Replaced(len(raw), len(raw), line_end + body)
    if body.startswith(line_end):
        return Replaced(len(raw), len(raw), body)
    # White space at the end means nothing until something follows it.
    return Replaced(len(stripped), len(raw), b"=" + line_end + body)


def _insert_base64(raw: bytes, place: int, data: bytes, filler: bytes, line_end: bytes) -> Replaced:
    decoded = _decode_base64(raw)
    group, offset = divmod(place, 3)
    size = len(decoded)
    if offset == 0 and place == size:
        start = end = len(raw.rstrip(b"\r\n \t"))
        new = data
    else:
        start = _character(raw, 4 * group)
        end = _character(raw, 4 * group + 3) + 1 if offset else start
        inner = decoded[3 * group : 3 * group + 3] if offset else b""
        if place < size and 3 * group + len(inner) < size:
            while (len(data) + len(inner)) % 3:
                data += filler
        new = inner[:offset] + data + inner[offset:]
    used = start - (raw.rfind(b"\n", 0, start) + 1)
    wrapped = _wrapped(base64.b64encode(new), used, line_end)
    if raw[end : end + 1].strip():
        wrapped += line_end
    return Replaced(start, end, wrapped)


def _character(raw: bytes, index: int) -> int:
    """Where the base64 character of this number stands."""
    at = 0
    for line in _lines(raw):
        count = len(line.translate(None, b"\r\n \t"))
        if index < count:
            places = (place for place, byte in enumerate(line) if byte not in b"\r\n \t")
            return at + next(place for number, place in enumerate(places) if number == index)
        index -= count
        at += len(line)
    raise ValueError("no such character")
