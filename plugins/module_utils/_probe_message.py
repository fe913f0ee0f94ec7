# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The messages that the module mail_probe sends, as bytes ready for SMTP's DATA (RFC 5321, RFC 5322). No I/O.

A kind of message is one row in KINDS. Every message carries a Message-ID of its own, by which it is found in the log,
and "Auto-Submitted: auto-generated" (RFC 3834), so that nobody's vacation responder answers it.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from typing import NamedTuple

#: The EICAR test file (https://www.eicar.org/), 68 bytes. In two halves, because a virus scanner on the machine of
#: somebody who has this collection would rightly take this file away.
EICAR = (r"X5O!P%@AP[4\PZX54(P^)7CC)7}$EICAR-STANDARD-" + r"ANTIVIRUS-TEST-FILE!$H+H*").encode("ascii")

_LOCAL_PART = r"(?:[^\s\x00-\x1f\x7f<>()\[\]\\,;:@\"]+|\"(?:[^\x00-\x1f\x7f\"\\]|\\[\x20-\x7e])*\")"
_DOMAIN = r"(?:[^\s\x00-\x1f\x7f<>()\[\]\\,;:@\"]+|\[[0-9A-Za-z.:-]+\])"
_ADDRESS = re.compile(rf"{_LOCAL_PART}(?:@{_DOMAIN})?")


class Probe(NamedTuple):
    """What the content of a message is made from."""

    sender: str
    recipient: str
    #: A word that no other message has.
    token: str
    #: The date as RFC 5322 writes it.
    date: str


class Kind(NamedTuple):
    """One kind of message."""

    #: What it is for, in the words of a Subject.
    subject: str
    #: Header lines of its own and the body, with CR LF at the end of each line.
    content: Callable[[Probe], bytes]


def check_address(address: object, name: str, empty_is: str = "") -> str:
    """Check an envelope address and give it back; `empty_is` says what an empty one means, if it is allowed."""
    takes = "a mail address such as user@example.com, or a local part alone" + (
        f", or '' for {empty_is}" if empty_is else ""
    )
    if not isinstance(address, str) or len(address) > 254 or (address and not _ADDRESS.fullmatch(address)):
        raise ValueError(f"{name}: {address!r} is wrong, it takes {takes}")
    if not address and not empty_is:
        raise ValueError(f"{name}: it is empty, it takes {takes}")
    return address


def message_id(token: str) -> str:
    """The Message-ID of the probe with this token; .invalid never names a host (RFC 2606)."""
    return f"<{token}@filter-probe.invalid>"


def build(kind: str, probe: Probe) -> bytes:
    """The whole message, header and body, before dot-stuffing."""
    row = KINDS[kind]
    header = (
        f"Date: {probe.date}\r\n"
        f"From: Filter probe <{probe.sender or 'postmaster'}>\r\n"
        f"To: <{probe.recipient}>\r\n"
        f"Subject: Filter probe, {row.subject} ({probe.token})\r\n"
        f"Message-ID: {message_id(probe.token)}\r\n"
        "Auto-Submitted: auto-generated\r\n"
        "X-Auto-Response-Suppress: All\r\n"
        "MIME-Version: 1.0\r\n"
    )
    return header.encode("utf-8") + row.content(probe)


def _clean(probe: Probe) -> bytes:
    return (
        "Content-Type: text/plain; charset=us-ascii\r\n"
        "Content-Transfer-Encoding: 7bit\r\n"
        "\r\n"
        "This message was sent by the mailops.filter_stack collection, to prove that\r\n"
        "mail passes the content filter. It can be deleted.\r\n"
    ).encode("ascii")


def _eicar(probe: Probe) -> bytes:
    # An attachment, because scanners with signatures by hash know the file, not a message that holds its text.
    boundary = f"=_{probe.token}"
    attachment = base64.b64encode(EICAR).decode("ascii")
    attachment = "\r\n".join(attachment[start : start + 76] for start in range(0, len(attachment), 76))
    return (
        f'Content-Type: multipart/mixed; boundary="{boundary}"\r\n'
        "\r\n"
        f"--{boundary}\r\n"
        "Content-Type: text/plain; charset=us-ascii\r\n"
        "\r\n"
        "This message was sent by the mailops.filter_stack collection. The attachment\r\n"
        "is the harmless EICAR test file, which a virus filter has to stop.\r\n"
        f"--{boundary}\r\n"
        'Content-Type: application/octet-stream; name="eicar.com"\r\n'
        'Content-Disposition: attachment; filename="eicar.com"\r\n'
        "Content-Transfer-Encoding: base64\r\n"
        "\r\n"
        f"{attachment}\r\n"
        f"--{boundary}--\r\n"
    ).encode("ascii")


KINDS: dict[str, Kind] = {
    "clean": Kind("a clean message", _clean),
    "eicar": Kind("the EICAR test file", _eicar),
}
