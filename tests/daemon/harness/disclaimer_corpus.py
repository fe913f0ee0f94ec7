# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Mail that others collected, for the disclaimer programs; and what differs after them."""

from __future__ import annotations

import base64
import email
import os
import re
from collections.abc import Iterator
from email.message import Message

from harness.disclaimer import HTML, TEXT
from harness.mail import clamav_files, python_mail

HEAD = b"From: Anna <anna@example.com>\nTo: bob@example.org\nSubject: files\nMIME-Version: 1.0\n"


def corpus() -> Iterator[tuple[str, bytes]]:
    """Names and messages with LF."""
    for name, content in python_mail().items():
        yield name, content.replace(b"\r\n", b"\n")
    for name, data in clamav_files().items():
        attachment = base64.encodebytes(data)
        for kind, body in (("plain", b"Hello\n"), ("html", b"<html><body>Hello</body></html>\n")):
            yield (
                f"{name} beside {kind}",
                HEAD
                + b'Content-Type: multipart/mixed; boundary="=_b"\n\n--=_b\nContent-Type: text/'
                + kind.encode()
                + b"\n\n"
                + body
                + b"--=_b\nContent-Type: application/octet-stream\nContent-Transfer-Encoding: base64\n"
                + b'Content-Disposition: attachment; filename="'
                + name.encode()
                + b'"\n\n'
                + attachment
                + b"--=_b--\n",
            )


def leaves(content: bytes) -> list[Message]:
    """The parts that are no containers."""
    return [part for part in email.message_from_bytes(content).walk() if not part.is_multipart()]


def difference(before: bytes, after: bytes) -> list[str]:
    """What differs besides the text, by the standard library's reading."""
    old, new = leaves(before), leaves(after)
    if [part.get_content_type() for part in old] != [part.get_content_type() for part in new]:
        return ["other parts"]
    found = []
    changed = 0
    for number, part in enumerate(old):
        same = new[number]
        if part.get_payload() == same.get_payload():
            if number and part.items() != same.items():
                found.append("the header of an untouched part")
            continue
        changed += 1
        if part.get_content_maintype() != "text" or part.get_content_disposition() == "attachment":
            found.append("a part that is no text of the letter")
            continue
        found += text_difference(part, same)
    if after != before and not changed:
        found.append("no text was added")
    if not after.replace(b"\n\n", b"\n", 1):
        found.append("empty")
    return found


def text_difference(part: Message, same: Message) -> list[str]:
    """What differs in a text besides the disclaimer, white space aside."""
    declared = same.get_content_charset() or "us-ascii"
    raw = same.get_payload(decode=True)
    try:
        text = raw.decode(declared)
    except (UnicodeDecodeError, LookupError):
        return ["the text is not in the charset that it declares"]
    if same["content-transfer-encoding"] in ("quoted-printable", "base64") and not same.get_payload().isascii():
        return ["bytes above 127 in quoted-printable or base64"]
    source = part.get_payload(decode=True).decode(part.get_content_charset() or "us-ascii", "replace")
    old, new = re.sub(r"\s+", "", source), re.sub(r"\s+", "", text)
    begins = os.path.commonprefix([old, new])  # noqa: RUF071
    ends = os.path.commonprefix([old[len(begins) :][::-1], new[len(begins) :][::-1]])  # noqa: RUF071
    if len(begins) + len(ends) != len(old):
        return ["the text that was there is another"]
    added = new[len(begins) : len(new) - len(ends)]
    wanted = {re.sub(r"\s+", "", words) for words in (TEXT, HTML)}
    return (
        []
        if added in wanted or sorted(added) in [sorted(words) for words in wanted]
        else [f"the added text is {added[:60]!r}"]
    )
