# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Messages that the filter itself writes: the bounce for recipients that an SMTP client cannot be told of.

An SMTP client gets one reply for all recipients. When the reinjecting smtpd refuses some for good and takes the
others, the message is delivered and the sender is told about the refused ones (RFC 3461, RFC 3464, RFC 6522).
"""

from __future__ import annotations

import time
from typing import Optional

from . import mailtext
from .smtp.esmtp import Envelope, Recipient, decode_xtext
from .smtp.reply import Reply, printable

Refusal = tuple[Recipient, Reply]
#: Bytes of the largest message that is returned whole when RET=FULL asks for it (Postfix: bounce_size_limit).
RETURN_LIMIT = 50000
_HEADER_LIMIT = 65536
_SUBJECT = "Undelivered Mail Returned to Sender"
_PARTLY = """\
This is the mail filter at {hostname}.

Your message could not be delivered to one or more recipients.
It was delivered to the others.
"""


def wants_failure_report(recipient: Recipient) -> bool:
    """Whether the sender asked to be told (RFC 3461 section 4.1: failure reports are the default)."""
    notify = recipient.parameters.get("NOTIFY", "FAILURE").upper().split(",")
    return "FAILURE" in notify


def wants_whole(envelope: Envelope, size: int) -> bool:
    """Whether a report returns the whole message of `size` bytes, and not its header only (RFC 3461 section 4.3)."""
    return envelope.parameters.get("RET", "").upper() == "FULL" and size <= RETURN_LIMIT


def failure_report(
    envelope: Envelope,
    refusals: list[Refusal],
    original: bytes,
    whole: bool,
    hostname: str,
    message_id: str,
    subject: str = _SUBJECT,
    text: str = "",
) -> Optional[tuple[Envelope, bytes]]:
    """Envelope and content of a bounce, or None when nobody is to be told (the null sender never is).

    `original` is the message itself if `whole`, else its header block. `text` says why; without one it is said that
    other recipients have got the message.
    """
    told = [(recipient, reply) for recipient, reply in refusals if wants_failure_report(recipient)]
    if not envelope.sender or not told:
        return None
    international = any(not text.isascii() for text in [envelope.sender, *(item.address for item, _ in told)])
    if not whole:
        original = _whole_lines(original[:_HEADER_LIMIT])
    eight_bit = international or not original.isascii()
    encoding = "Content-Transfer-Encoding: " + ("8bit" if eight_bit else "7bit")
    # RFC 6533: the types for reports with international addresses.
    status_type = "message/global-delivery-status" if international else "message/delivery-status"
    if whole:
        original_type = "message/global" if international else "message/rfc822"
    else:
        original_type = "message/global-headers" if international else "text/rfc822-headers"
    boundary = f"filter-stack-{message_id}"
    lines = [
        f"From: Mail Delivery System <MAILER-DAEMON@{hostname}>",
        f"To: <{_safe(envelope.sender)}>",
        mailtext.field("Subject", subject),
        time.strftime("Date: %a, %d %b %Y %H:%M:%S +0000", time.gmtime()),
        f"Message-ID: <{message_id}.bounce@{hostname}>",
        "Auto-Submitted: auto-replied",
        "MIME-Version: 1.0",
        f'Content-Type: multipart/report; report-type=delivery-status; boundary="{boundary}"',
        encoding,
        "",
        f"--{boundary}",
    ]
    words = (text or _PARTLY.format(hostname=hostname)).rstrip("\n")
    who = [f"<{_safe(recipient.address)}>: {reply.brief(400)}" for recipient, reply in told]
    part = mailtext.plain("\n".join([words, "", *who]))
    lines += [*part.header, "", part.content]
    lines += [f"--{boundary}", f"Content-Type: {status_type}", encoding, "", f"Reporting-MTA: dns; {hostname}"]
    if "ENVID" in envelope.parameters:
        lines.append(f"Original-Envelope-Id: {_safe(decode_xtext(envelope.parameters['ENVID']))}")
    for recipient, reply in told:
        lines.append("")
        if "ORCPT" in recipient.parameters:
            kind, _, address = recipient.parameters["ORCPT"].partition(";")
            lines.append(f"Original-Recipient: {kind}; {_safe(decode_xtext(address))}")
        kind = "rfc822" if recipient.address.isascii() else "utf-8"
        lines.append(f"Final-Recipient: {kind}; {_safe(recipient.address)}")
        lines.append("Action: failed")
        lines.append(f"Status: {reply.enhanced or '5.0.0'}")
        lines.append(f"Diagnostic-Code: smtp; {reply.brief(400)}")
    lines += ["", f"--{boundary}", f"Content-Type: {original_type}", encoding, ""]
    text = "\r\n".join(lines) + "\r\n"
    end = f"\r\n--{boundary}--\r\n"
    content = text.encode("utf-8", "replace") + original + end.encode("ascii")
    parameters = {"BODY": "8BITMIME"} if eight_bit else {}
    if international:
        parameters["SMTPUTF8"] = ""
    bounce = Envelope("", parameters, [Recipient(envelope.sender, {"NOTIFY": "NEVER"})], {}, False, "")
    return bounce, content


def _safe(address: str) -> str:
    if address.isprintable():
        return address
    return "".join(character if character.isprintable() else "?" for character in address)


def _whole_lines(header: bytes) -> bytes:
    if len(header) >= _HEADER_LIMIT and b"\r\n" in header:
        header = header[: header.rfind(b"\r\n")]
    return header + b"\r\n"


def describe(refusals: list[Refusal]) -> str:
    """For the log."""
    return ", ".join(f"{printable(recipient.address)}: {reply.brief(120)}" for recipient, reply in refusals)
