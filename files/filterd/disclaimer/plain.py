# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A disclaimer at the end of a plain text.

It comes last, behind a signature too ("-- ", RFC 3676 section 4.3): what readers cut off from a reply goes with it.
"""

from __future__ import annotations

import re

from . import header_edits, transfer
from .charset import Charset
from .edits import Edit
from .fields import Irregular
from .outline import Part

_WIDTH = 72  # RFC 3676 section 4.2: lines of 78 characters or less
_LINE_END = re.compile(r"\r?\n")


def edits(part: Part, text: str, line_end: bytes) -> list[Edit]:
    """All edits of the part. Raises Irregular."""
    raw = part.raw
    decoded = transfer.decode(raw, part.encoding)
    charset = Charset(part.type.get("charset"))
    if not charset.ascii:
        exact = charset.exact(decoded)
        if exact is None:
            raise Irregular("a text that is not in its charset")
        charset = exact
    newline = _newline(part, charset, decoded, line_end)
    flowed = part.type.get("format").lower() == "flowed"
    tail = (decoded[-4000:] if charset.ascii else decoded[-4000 // 4 * 4 :]).decode(
        "latin-1" if charset.ascii else charset.codec or "latin-1", "replace"
    )
    lines = _flowed(text, part.type.get("delsp").lower() == "yes") if flowed else text.split("\n")
    added = newline.join([*_before(tail, flowed), *lines])
    if not tail or tail.endswith("\n") or part.parent is None:
        added += newline
    encoded = charset.encode(added)
    if encoded is None:
        return _converted(part, charset, decoded, added, line_end)
    if part.encoding in transfer.IDENTITY and not encoded.isascii() and raw.isascii():
        # Mail that was 7-bit stays so: nobody behind us need take anything else.
        return _rewritten(part, raw + encoded, "", line_end)
    return _appended(part, decoded, encoded, "", line_end)


def _newline(part: Part, charset: Charset, decoded: bytes, line_end: bytes) -> str:
    if part.encoding != "base64":
        return line_end.decode("ascii")
    crlf, lf = charset.encode("\r\n") or b"\r\n", charset.encode("\n") or b"\n"
    return "\n" if lf in decoded and crlf not in decoded else "\r\n"


def _before(tail: str, flowed: bool) -> list[str]:
    """Lines that come before the text, the end of the last line that is there included."""
    if not tail.strip("\r\n"):
        return []
    last = _LINE_END.split(tail.rstrip("\r\n") if tail.endswith("\n") else tail)[-1]
    lines = [""] if not tail.endswith("\n") else []
    if tail.endswith(("\n\n", "\n\r\n")):
        return lines
    if flowed and last.endswith(" ") and last.lstrip(">").lstrip(" ") != "-- ":
        lines.append("")  # the line that ends the last paragraph (RFC 3676 section 4.1)
    return [*lines, ""]


def _flowed(text: str, delsp: bool) -> list[str]:
    """The lines in format=flowed: long ones broken softly, those that would be taken for something else stuffed."""
    soft = "  " if delsp else " "
    found: list[str] = []
    for line in text.split("\n"):
        if line == "-- ":
            found.append(line)
            continue
        words = line.rstrip().split(" ")
        current = words[0]
        for word in words[1:]:
            if current.strip() and len(current) + 1 + len(word) > _WIDTH:
                found.append(_stuffed(current) + soft)
                current = word
            else:
                current += " " + word
        found.append(_stuffed(current))
    return found


def _stuffed(line: str) -> str:
    return " " + line if line.startswith((" ", ">", "From ")) else line


def _appended(part: Part, decoded: bytes, added: bytes, charset: str, line_end: bytes) -> list[Edit]:
    """Only the end of the body changes, and what the header must say of it."""
    change = transfer.insert(part.raw, part.encoding, len(decoded), added, b"", line_end)
    encoding = "8bit" if part.encoding == "7bit" and not added.isascii() else ""
    data = header_edits.separate(part, line_end) + change.data
    return [
        *header_edits.declare(part, charset, encoding, line_end),
        Edit(part.body + change.start, part.body + change.end, data),
    ]


def _converted(part: Part, charset: Charset, decoded: bytes, added: str, line_end: bytes) -> list[Edit]:
    """The text has characters that the charset has not: UTF-8 has all, and those of the part as well."""
    new = added.encode("utf-8")
    seven_bit = part.encoding in transfer.IDENTITY and part.raw.isascii()
    if charset.ascii and not charset.stateful and decoded.isascii() and charset.codec is not None:
        if seven_bit:
            return _rewritten(part, decoded + new, "utf-8", line_end)
        return _appended(part, decoded, new, "utf-8", line_end)
    text = charset.decode(decoded)
    if text is None:
        # What the part means is not certain, so it is not converted: the disclaimer gives way.
        return _appended(part, decoded, charset.approximate(added), "", line_end)
    return _rewritten(part, text.removeprefix("\ufeff").encode("utf-8") + new, "utf-8", line_end)


def _rewritten(part: Part, data: bytes, charset: str, line_end: bytes) -> list[Edit]:
    """The whole body in another charset, or in another transfer encoding because it was 7-bit."""
    encoding = part.encoding
    if encoding in transfer.IDENTITY and part.raw.isascii():
        encoding = "quoted-printable"
    elif encoding == "7bit":
        encoding = "8bit"
    body = transfer.encode(data, encoding, line_end)
    if encoding == "base64" and not part.raw.endswith(b"\n"):
        body = body[: -len(line_end)]
    return [
        *header_edits.declare(part, charset, "" if encoding == part.encoding else encoding, line_end),
        Edit(part.body, part.end, header_edits.separate(part, line_end) + body),
    ]
