# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with the header of a message itself (RFC 5322 sections 2.2 and 3.6, RFC 6532)."""

from __future__ import annotations

import re

from . import flaws

#: Bytes of a header that are looked at; what is longer is told of anyway.
_LIMIT = 131072

# Fields that a message has once at most.
_NAMES = ("Bcc", "Cc", "Date", "From", "In-Reply-To", "Message-ID", "References", "Reply-To", "Sender", "Subject", "To")
_FIELDS = [
    (name, b"\n" + name.lower().encode(), re.compile(rb"\n" + name.lower().encode() + rb"[ \t]*:")) for name in _NAMES
]


def header_flaws(header: bytes) -> list[str]:
    """Names of what is wrong, each once."""
    header = header[:_LIMIT]
    found = []
    lower = b"\n" + header.lower()
    for name, beginning, field in _FIELDS:
        # The plain search decides nearly always.
        if lower.count(beginning) > 1 and len(field.findall(lower)) > 1:
            found.append(f"repeated {name}")
    if b"\0" in header:
        found.append(flaws.NUL_IN_HEADER)
    if not header.isascii():
        # UTF-8 is what SMTPUTF8 mail has.
        try:
            header.decode("utf-8")
        except UnicodeDecodeError as error:
            if error.start < _LIMIT - 3:
                found.append(flaws.EIGHT_BIT)
    return found
