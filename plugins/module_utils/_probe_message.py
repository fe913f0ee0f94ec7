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
    #: The ESMTP extension that it takes, and parameters of MAIL and RCPT.
    extension: str = ""
    mail: str = ""
    rcpt: str = ""
    #: Whether its envelope sender is always the null one.
    null_sender: bool = False


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


_TEXT = (
    "This message was sent by the mailops.filter_stack collection, to prove that\r\n"
    "mail passes the content filter. It can be deleted.\r\n"
)
_PLAIN = "Content-Type: text/plain; charset={}\r\nContent-Transfer-Encoding: {}\r\n\r\n"


def _clean(probe: Probe) -> bytes:
    return (_PLAIN.format("us-ascii", "7bit") + _TEXT).encode("ascii")


def _eight_bit(probe: Probe) -> bytes:
    return (_PLAIN.format("utf-8", "8bit") + _TEXT + "Gr\u00fc\u00dfe\r\n").encode("utf-8")


def _utf8(probe: Probe) -> bytes:
    # RFC 6532: a header field in UTF-8, which is what SMTPUTF8 is asked for.
    return ("Comments: Gr\u00fc\u00dfe\r\n" + _PLAIN.format("utf-8", "8bit") + _TEXT).encode("utf-8")


def _lines(probe: Probe) -> bytes:
    # Dots that have to be doubled on the way, and the longest line that RFC 5321 (section 4.5.3.1.6) allows.
    lines = [".", "..", ".leading", "", "x" * 998, "." * 998, "trailing blank ", "."]
    return (_PLAIN.format("us-ascii", "7bit") + _TEXT + "\r\n".join(lines) + "\r\n").encode("ascii")


def _banned(probe: Probe) -> bytes:
    # The first bytes of a Windows program, and no program: filters that look at names or types stop it.
    return _attached(
        probe, b"MZ" + bytes(62), "filter-probe.exe", "is named like a program, which a filter may be told to stop."
    )


def _disclaimer(probe: Probe) -> bytes:
    boundary = f"=_{probe.token}"
    return (
        f'Content-Type: multipart/alternative; boundary="{boundary}"\r\n\r\n'
        f"--{boundary}\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\n{_TEXT}"
        f"--{boundary}\r\nContent-Type: text/html; charset=us-ascii\r\n\r\n"
        f"<html><body><p>{_TEXT.strip()}</p></body></html>\r\n--{boundary}--\r\n"
    ).encode("ascii")


def _eicar(probe: Probe) -> bytes:
    # An attachment, because scanners with signatures by hash know the file, not a message that holds its text.
    return _attached(probe, EICAR, "eicar.com", "is the harmless EICAR test file, which a virus filter has to stop.")


def _attached(probe: Probe, content: bytes, name: str, what: str) -> bytes:
    boundary = f"=_{probe.token}"
    attachment = base64.b64encode(content).decode("ascii")
    attachment = "\r\n".join(attachment[start : start + 76] for start in range(0, len(attachment), 76))
    return (
        f'Content-Type: multipart/mixed; boundary="{boundary}"\r\n'
        "\r\n"
        f"--{boundary}\r\n"
        "Content-Type: text/plain; charset=us-ascii\r\n"
        "\r\n"
        "This message was sent by the mailops.filter_stack collection. The attachment\r\n"
        f"{what}\r\n"
        f"--{boundary}\r\n"
        f'Content-Type: application/octet-stream; name="{name}"\r\n'
        f'Content-Disposition: attachment; filename="{name}"\r\n'
        "Content-Transfer-Encoding: base64\r\n"
        "\r\n"
        f"{attachment}\r\n"
        f"--{boundary}--\r\n"
    ).encode("ascii")


KINDS: dict[str, Kind] = {
    "clean": Kind("a clean message", _clean),
    "eicar": Kind("the EICAR test file", _eicar),
    "banned": Kind("an attachment named like a program", _banned),
    "8bit": Kind("8-bit text", _eight_bit, extension="8BITMIME"),
    "utf8": Kind("UTF-8 in the header", _utf8, extension="SMTPUTF8", mail=" SMTPUTF8"),
    # No notification is ever sent for it: it is about the parameters being taken.
    "dsn": Kind(
        "a message with DSN parameters",
        _clean,
        extension="DSN",
        mail=" RET=HDRS ENVID=filter-probe",
        rcpt=" NOTIFY=NEVER",
    ),
    "null_sender": Kind("the null sender", _clean, null_sender=True),
    "lines": Kind("dots and long lines", _lines),
    "disclaimer": Kind("text and HTML", _disclaimer),
}
