# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names of files in parts and archives: every reading of a name, and what its end says about the file."""

from __future__ import annotations

import base64
import binascii
import quopri
import re
from collections.abc import Iterable

from .parameters import PLAIN, Reading, readings
from .types import EXECUTABLE, GROUPS

#: Characters of a name that are shown; a finding has this length at most.
SHOWN = 200
#: Names of one part that are looked at, and characters of each.
_COUNT, _LENGTH = 50, 4096

# RFC 2047; inside parameters it is wrong (section 5) and common.
_ENCODED_WORD = re.compile(r"=\?([^?\s]{1,60})\?([bBqQ])\?([^?]*)\?=(?:\s+(?==\?))?")
# A parameter behind a missing semicolon.
_LENIENT = {
    wanted: re.compile(rb"(?i)(?<![a-z])" + wanted + rb"\*?\s*=\s*\"?([^\";]+)") for wanted in (b"filename", b"name")
}
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]")
#: Characters that make a name read backwards (Unicode LRO and RLO); no language needs them.
_OVERRIDE = re.compile("[\u202d\u202e]")


def declared_names(types: list[bytes], dispositions: list[bytes]) -> tuple[tuple[str, ...], bool]:
    """All readings of the file name in unfolded Content-Type and Content-Disposition fields; whether these are all."""
    found: dict[str, None] = {}
    complete = True
    for fields, wanted in ((dispositions, b"filename"), (types, b"name")):
        for field in fields:
            given = readings(field, wanted)
            if not given and wanted in field.lower():
                lenient = _LENIENT[wanted].search(field)
                given = [Reading(lenient.group(1), b"", PLAIN)] if lenient is not None else []
            for reading in given:
                complete = complete and len(reading.value) <= _LENGTH
                text = _decode(reading.value[:_LENGTH], reading.charset)
                if text:
                    found[text] = None
                    if "=?" in text:
                        found[_decode_words(text)] = None
    return tuple(found)[:_COUNT], complete and len(found) <= _COUNT


def has_override(names: Iterable[str]) -> bool:
    """Whether a name is made to be read backwards."""
    return any(_OVERRIDE.search(name) for name in names)


def conflict(names: Iterable[str]) -> bool:
    """Whether the readings of one name say different things about the file, such as a text and a program.

    The same name in two encodings, or with and without an extension, is no conflict.
    """
    found = [GROUPS[extension] for name in names for extension in extensions(name) if extension in GROUPS]
    return len(set(found)) > 1


def extensions(name: str) -> set[str]:
    """All extensions that systems see in a name, in lower case and without dot.

    C programs end it at a NUL, Windows strips dots and spaces at its end and takes a colon for a stream of the file.
    """
    found = set()
    for text in _variants(name):
        _, dot, extension = text.rpartition(".")
        if dot and extension.strip():
            found.add(extension.strip().lower())
    return found


def double_extension(name: str) -> bool:
    """Whether a program calls itself a document first: invoice.pdf.exe, photo.jpg<spaces>.scr."""
    for text in _variants(name):
        pieces = [piece.strip().lower() for piece in text.split(".")]
        if len(pieces) >= 3 and pieces[-1] in EXECUTABLE and GROUPS.get(pieces[-2], "program") != "program":
            return True
    return False


def _variants(name: str) -> set[str]:
    if name.isascii() and name.isprintable() and ":" not in name:
        return {_stripped(name)}
    cut = name.split("\0", 1)[0]
    plain = _CONTROL.sub("", name)
    return {_stripped(text) for text in (plain, _CONTROL.sub("", cut), plain.split(":", 1)[0], plain.split("::", 1)[0])}


def _stripped(name: str) -> str:
    if "/" in name or "\\" in name:
        name = re.split(r"[/\\]", name.rstrip("/\\"))[-1]
    return name.rstrip(" .")


def shown(name: str) -> str:
    """A name or path fit for logs and replies: printable, at most SHOWN characters, its end rather than its beginning.

    The end of a name is what tells about the file.
    """
    return _cut(name, SHOWN)


def finding_name(what: str, path: str) -> str:
    """`what (path)`, at most SHOWN characters."""
    what = _cut(what, SHOWN // 2)
    return f"{what} ({_cut(path, SHOWN - len(what) - 3)})" if path else what


def _cut(text: str, room: int) -> str:
    text = text if text.isprintable() else "".join(char if char.isprintable() else "?" for char in text)
    return text if len(text) <= room else "..." + text[3 - room :]


def _decode(value: bytes, charset: bytes) -> str:
    if charset:
        try:
            return value.decode(charset.decode("ascii"), "replace")
        except (LookupError, ValueError):
            pass  # a character set that nobody knows
    try:
        return value.decode("utf-8")
    except ValueError:
        return value.decode("latin-1")


def _decode_words(text: str) -> str:
    def decoded(match: re.Match[str]) -> str:
        charset, encoding, word = match.groups()
        data = word.encode("utf-8", "replace")
        try:
            if encoding in "bB":
                data = base64.b64decode(data + b"=" * (-len(data) % 4))
            else:
                data = quopri.decodestring(data, header=True)
        except (binascii.Error, ValueError):
            return word
        # A language may follow the character set (RFC 2231 section 5).
        return _decode(data, charset.split("*")[0].encode("ascii", "replace"))

    return _ENCODED_WORD.sub(decoded, text)
