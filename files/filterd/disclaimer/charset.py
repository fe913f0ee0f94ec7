# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Charsets as far as a disclaimer needs them: whether a text can be written in one, and where its bytes mean ASCII."""

from __future__ import annotations

import codecs
import re
import unicodedata
from typing import Optional

_ASCII = bytes([*range(0x20, 0x7F), 9, 10, 13])
#: Codecs of Python that are no charsets of mail.
_NOT_CHARSETS = frozenset(("idna", "punycode", "unicode-escape", "raw-unicode-escape", "undefined", "mbcs", "oem"))
_NOT_ASCII = {
    "iso2022": re.compile(rb"\x1b\$.*?(?:\x1b\([BJ]|\Z)|[\x0e][^\x0f]*", re.DOTALL),
    "hz": re.compile(rb"~\{.*?(?:~\}|\Z)", re.DOTALL),
    "utf-7": re.compile(rb"\+[A-Za-z0-9+/]*-?"),
}
_WORDS = {"ß": "ss", "Ä": "Ae", "Ö": "Oe", "Ü": "Ue", "ä": "ae", "ö": "oe", "ü": "ue", "æ": "ae", "ø": "o", "ł": "l"}
_SIGNS = {"\u2013": "-", "\u2014": "-", "\u2018": "'", "\u2019": "'", "\u201a": "'", "\u201c": '"', "\u201d": '"'}
_MORE_SIGNS = {"\u201e": '"', "«": '"', "»": '"', "…": "...", "€": "EUR", "©": "(c)", "®": "(R)", "™": "(TM)", "•": "*"}
_BLANKS = {"\u00a0": " ", "\u202f": " ", "\u2009": " "}
_SUBSTITUTES = str.maketrans({**_WORDS, **_SIGNS, **_MORE_SIGNS, **_BLANKS})


class Charset:
    """A charset by the name that a message calls it."""

    def __init__(self, name: str) -> None:
        self.name = name or "us-ascii"
        self.codec: Optional[str] = None  #: Python's name; None when it knows none
        try:
            codec = codecs.lookup(self.name).name
            "".encode(codec)
            if codec not in _NOT_CHARSETS:
                self.codec = codec
        except (LookupError, ValueError, TypeError, UnicodeError):
            pass
        #: Bytes below 128 are ASCII, except where `masked` says otherwise. An unknown charset is taken for such a one.
        self.ascii = self.codec is None or self._is_ascii(self.codec)

    @staticmethod
    def _is_ascii(codec: str) -> bool:
        if codec.startswith(("utf-16", "utf-32")):
            return False
        try:
            decoded = _ASCII.decode(codec, "replace")
        except (UnicodeError, ValueError):
            return False
        # The shift sequences of UTF-7 and HZ begin with one of these; masked() takes care of them.
        differing = [one for one, two in zip(_ASCII.decode("ascii"), decoded) if one != two]
        return codec in ("utf-7", "hz") or (len(decoded) == len(_ASCII) and set(differing) <= set("\\~"))

    @property
    def stateful(self) -> bool:
        """Whether bytes below 128 may be parts of other characters."""
        return self.codec is not None and any(self.codec.startswith(name) for name in _NOT_ASCII)

    def masked(self, data: bytes) -> bytes:
        """The same with NUL in place of bytes below 128 that are not ASCII."""
        for name, pattern in _NOT_ASCII.items():
            if self.codec is not None and self.codec.startswith(name):
                return pattern.sub(lambda match: b"\0" * len(match.group()), data)
        return data

    def exact(self, data: bytes) -> Optional[Charset]:
        """The charset that can be written without byte order mark; None when `data` is not in it.

        Of UTF-16 and UTF-32 the one with the byte order of the data (RFC 2781 section 3.3: big without a mark).
        """
        codec = self.codec
        if codec in ("utf-16", "utf-32"):
            width = codec[-2:]
            mark = {"16": codecs.BOM_UTF16_LE, "32": codecs.BOM_UTF32_LE}[width]
            codec = f"{codec}-{'le' if data.startswith(mark) else 'be'}"
        if codec is None:
            return None
        found = Charset(codec)
        try:
            if found.codec is None or data.decode(found.codec).encode(found.codec) != data:
                return None
        except (UnicodeError, ValueError):
            return None
        return found

    def encode(self, text: str) -> Optional[bytes]:
        """The text in this charset, or None when it cannot be written in it."""
        try:
            return text.encode(self.codec or "ascii")
        except (UnicodeError, ValueError):
            return None

    def decode(self, data: bytes) -> Optional[str]:
        """The text that the bytes mean to every reader; None when there is none."""
        codec = self.codec
        if codec is None or (codec in ("iso8859-1", "latin-1") and re.search(rb"[\x80-\x9f]", data)):
            return None  # browsers and mail readers take ISO 8859-1 for Windows-1252, which differs here
        try:
            return data.decode(codec)
        except (UnicodeError, ValueError):
            return None

    def loose(self, data: bytes) -> str:
        """A text to search in: what it is declared to be, else UTF-8, else something without an error."""
        for codec in (self.codec or "utf-8", "utf-8"):
            try:
                return data.decode(codec)
            except (UnicodeError, ValueError):
                continue
        return data.decode("latin-1")

    def approximate(self, text: str) -> bytes:
        """The text as well as it can be written in this charset."""
        pieces = []
        for character in text:
            for form in (character, character.translate(_SUBSTITUTES), _base(character)):
                encoded = self.encode(form)
                if encoded is not None:
                    pieces.append(form)
                    break
            else:
                pieces.append("?")
        return "".join(pieces).encode(self.codec or "ascii", "replace")


def _base(character: str) -> str:
    return "".join(part for part in unicodedata.normalize("NFKD", character) if not unicodedata.combining(part))
