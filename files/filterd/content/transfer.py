# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Content transfer encodings, decoded in pieces of any size and without ever raising (RFC 2045 section 6)."""

from __future__ import annotations

import binascii
import re

#: A quoted-printable line longer than this is decoded before its end has come.
_LINE_LIMIT = 4096

_NOT_BASE64 = bytes(set(range(256)) - set(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/="))
# White space at the end of a line was added on the way (RFC 2045 section 6.7, rule 3).
_PADDED_SOFT_BREAK = re.compile(rb"=[ \t]+(?=\r?\n)")


class Base64Decoder:
    """Decodes base64; anything outside the alphabet is skipped, padding ends a group."""

    def __init__(self) -> None:
        self._held = b""

    def feed(self, data: bytes) -> bytes:
        """What these bytes add."""
        text = self._held + data.translate(None, _NOT_BASE64)
        decoded: list[bytes] = []
        *groups, text = text.split(b"=")
        decoded.extend(_decode_group(group) for group in groups if group)
        keep = len(text) % 4
        self._held = text[len(text) - keep :] if keep else b""
        decoded.append(binascii.a2b_base64(text[: len(text) - keep]))
        return b"".join(decoded)

    def finish(self) -> bytes:
        """What an incomplete last group holds."""
        return _decode_group(self._held) if self._held else b""


def _decode_group(group: bytes) -> bytes:
    spare = len(group) % 4
    if spare == 1:
        group = group[:-1]
    return binascii.a2b_base64(group + b"=" * (-len(group) % 4))


class QuotedPrintableDecoder:
    """Decodes quoted-printable, whole lines at a time."""

    def __init__(self) -> None:
        self._held = b""

    def feed(self, data: bytes) -> bytes:
        """What these bytes add."""
        data = self._held + data
        end = data.rfind(b"\n") + 1
        if not end and len(data) > _LINE_LIMIT:
            # A line without end: cut where no escape is cut.
            end = len(data) - 2 if b"=" in data[-2:] else len(data)
        self._held = data[end:]
        return _decode_lines(data[:end])

    def finish(self) -> bytes:
        """What the last line holds."""
        return _decode_lines(self._held)


def _decode_lines(data: bytes) -> bytes:
    return binascii.a2b_qp(_PADDED_SOFT_BREAK.sub(b"=", data))


class LineEnds:
    """Turns every line end of decoded text into CR LF."""

    def __init__(self) -> None:
        self._held = b""

    def feed(self, data: bytes) -> bytes:
        """These bytes with CR LF; a CR at their end waits for what follows."""
        data = self._held + data
        self._held = b"\r" if data.endswith(b"\r") else b""
        if self._held:
            data = data[:-1]
        return data.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
