# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Header fields and text of messages that the filter writes, from texts that anybody may have chosen.

Whatever is put in, what comes out is a field or a body part that is right by RFC 5322, RFC 2047 and RFC 2045: no line
end gets through, no line is too long.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable
from typing import NamedTuple

#: Characters of a header field that are kept.
VALUE_LIMIT = 400
#: Characters of a line (RFC 5322 section 2.1.1 wants 78, and allows 998).
_LINE = 76
_LONGEST_LINE = 900
#: UTF-8 bytes of one encoded word: with what surrounds them 64 characters, so that a name stands before it in a line.
_WORD = 39


def one_line(text: str, limit: int) -> str:
    """The text without control characters, line ends and what cannot be encoded, of at most `limit` characters."""
    clean = text[: 4 * limit]
    if not clean.isprintable():
        clean = "".join(character if character.isprintable() else " " for character in clean)
    clean = " ".join(clean.split())
    return clean if len(clean) <= limit else clean[: limit - 3] + "..."


def printable_line(text: str) -> str:
    """One line of a text with all its spaces, and a question mark for each control character."""
    if text.isprintable():
        return text
    return "".join(character if character.isprintable() or character == "\t" else "?" for character in text)


def field(name: str, text: str) -> str:
    """A header field of unstructured text, folded, in encoded words where it is not ASCII (RFC 2047)."""
    value = one_line(text, VALUE_LIMIT)
    if value.isascii() and "=?" not in value:
        return _folded(name, value.split(" "))
    return _folded(name, _encoded_words(value))


def address_field(name: str, addresses: Iterable[str]) -> str:
    """A header field with addresses, in UTF-8 where they are (RFC 6532)."""
    shown = ["<" + one_line(address, _LONGEST_LINE).replace("<", "").replace(">", "") + ">" for address in addresses]
    return _folded(name, [word + "," for word in shown[:-1]] + shown[-1:])


def _encoded_words(value: str) -> list[str]:
    words = []
    piece = b""
    for character in value:
        encoded = character.encode("utf-8", "replace")
        if len(piece) + len(encoded) > _WORD:
            words.append(piece)
            piece = b""
        piece += encoded
    words.append(piece)
    return [f"=?utf-8?B?{base64.b64encode(word).decode('ascii')}?=" for word in words]


def _folded(name: str, words: list[str]) -> str:
    lines = [name + ":"]
    for word in words:
        # A line never consists of the name alone, which some programs cannot read.
        if len(lines[-1]) + 1 + len(word) > _LINE and lines[-1].strip() and lines[-1] != name + ":":
            lines.append("")
        lines[-1] += " " + word[:_LONGEST_LINE]
    return "\r\n".join(lines)


class Part(NamedTuple):
    """A part of type text/plain: the lines of its header about it, and its content."""

    header: list[str]
    content: str


def plain(text: str) -> Part:
    """A text as it is where that can be, else in UTF-8 and base64. Control characters are not let through."""
    lines = [printable_line(line) for line in text.replace("\r\n", "\n").rstrip("\n").split("\n")] + [""]
    if all(line.isascii() for line in lines) and all(len(line) <= _LONGEST_LINE for line in lines):
        header = ["Content-Type: text/plain; charset=us-ascii", "Content-Transfer-Encoding: 7bit"]
        return Part(header, "\r\n".join(lines))
    encoded = base64.encodebytes("\r\n".join(lines).encode("utf-8", "replace")).decode("ascii")
    header = ["Content-Type: text/plain; charset=utf-8", "Content-Transfer-Encoding: base64"]
    return Part(header, encoded.replace("\n", "\r\n"))
