# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a message gets a disclaimer, and which of its parts it goes into.

Left alone is what the text would break (signed and encrypted mail), what is no letter (reports, automatic mail,
calendar replies), and what cannot be read in one way only.
"""

from __future__ import annotations

import re
from typing import NamedTuple, Optional

from .fields import Field, Irregular, only
from .outline import Part

_ENCODINGS = ("7bit", "8bit", "binary", "quoted-printable", "base64")
#: Containers whose content is signed, or is for programs (RFC 1847, 3462, 3801, 2046; S/MIME RFC 8551; PGP RFC 3156).
_SEALED = frozenset(
    (
        *("multipart/signed", "multipart/encrypted", "multipart/report", "multipart/form-data"),
        *("multipart/byteranges", "multipart/voice-message", "multipart/fax-message", "multipart/appledouble"),
        *("application/pkcs7-mime", "application/x-pkcs7-mime", "application/pkcs7-signature"),
        *("application/x-pkcs7-signature", "application/pgp-encrypted", "application/pgp-signature"),
    )
)
#: Calendar methods (RFC 5546) that a person sends with a text; all others answer one.
_INVITATIONS = ("", "publish", "request", "add", "cancel")
_SIGNED_FIELDS = (b"dkim-signature", b"arc-seal", b"domainkey-signature")
_LIST_FIELDS = (b"list-id", b"list-post", b"list-unsubscribe", b"mailing-list")
_BULK = re.compile(rb"(?i)\s*(?:bulk|list|junk)\b")


class Left(Exception):
    """The message is left as it is; the words say why."""


class Choice(NamedTuple):
    """The parts that get the text."""

    parts: list[Part]  #: texts, empty when the message has none
    beside: Optional[
        Part
    ]  #: without texts: the multipart/mixed that a new part goes into; None: the message as a whole


def check_header(root: Part, mark: bytes, skip_lists: bool) -> None:
    """Raise Left when the header of the message says that it is no letter, or is signed, or has a disclaimer.

    `mark`: name of the field that a message with a disclaimer has, in lower case.
    """
    names = {field.name for field in root.fields}
    if mark in names:
        raise Left("it has a disclaimer")
    for name in _SIGNED_FIELDS:
        if name in names:
            raise Left(f"signed ({name.decode()})")
    automatic = only(root.fields, b"auto-submitted")
    if automatic is not None and not automatic.value.strip().lower().startswith(b"no"):
        raise Left("sent by a program (Auto-Submitted)")
    if skip_lists and (names.intersection(_LIST_FIELDS) or any(_is_bulk(field) for field in root.fields)):
        raise Left("mail of a list")


def _is_bulk(field: Field) -> bool:
    return field.name == b"precedence" and _BULK.match(field.value) is not None


def choose(root: Part) -> Choice:
    """The parts that get the text. Raises Left or Irregular."""
    for part in root.walk():
        _check_part(part)
    parts = [part for part in _bodies(root) if part.type.main == "text"]
    for part in parts:
        if part.encoding not in _ENCODINGS:
            raise Irregular("an unknown transfer encoding")
        if any(field.name == b"content-md5" for field in part.fields):
            raise Left("signed (Content-MD5)")
    if parts:
        return Choice(parts, None)
    if root.type.main in ("text", "message") and not root.attachment:
        raise Left(f"of a type that takes no other text ({root.type.kind})")
    return Choice([], root if root.type.kind == "multipart/mixed" else None)


def _check_part(part: Part) -> None:
    kind = part.type.kind
    if kind in _SEALED or kind.startswith(("application/pkcs7", "application/x-pkcs7")):
        raise Left(f"signed, encrypted or for programs ({kind})")
    if kind in ("message/partial", "message/delivery-status", "message/disposition-notification"):
        raise Left(f"for programs ({kind})")
    if kind == "text/calendar" and (part.parent is None or part.type.get("method").lower() not in _INVITATIONS):
        raise Left("a calendar reply")


def _bodies(part: Part) -> list[Part]:
    """The texts that a reader sees as the letter: one, or the alternatives of one."""
    if part.attachment:
        return []
    if not part.multipart:
        return [part] if part.type.kind in ("text/plain", "text/html") else []
    if part.type.sub == "alternative":
        return [body for child in part.children for body in _bodies(child)]
    if part.type.sub == "related":
        return _bodies(_related_root(part))
    for child in part.children:
        found = _bodies(child)
        if found:
            return found
    return []


def _related_root(part: Part) -> Part:
    """The part that the others belong to (RFC 2387 section 3.2)."""
    start = part.type.get("start")
    if start:
        for child in part.children:
            for field in child.fields:
                if field.name == b"content-id" and field.value.strip() == start.encode("latin-1"):
                    return child
    return part.children[0]
