# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Notices: who is told of what was found in a message, and in which words. Values to values; others send them.

A notice never answers what a program has sent (RFC 3834 section 2): no null sender, nothing auto-submitted, no lists.
Senders are told only where their address is believed, since most bad mail is sent in somebody else's name.
"""

from __future__ import annotations

import ipaddress
import re
import time
from typing import NamedTuple, Optional

from . import mailtext, notify
from .config import Config
from .findings import AMBIGUOUS, BAD_HEADER, BANNED, ENCRYPTED, SPAM, UNCHECKED, VIRUS, Finding
from .notice_templates import Templates, Text
from .smtp.esmtp import Envelope, Recipient, decode_xtext
from .smtp.reply import Reply

_PROBLEMS = {
    VIRUS: "a virus",
    BANNED: "a forbidden kind of file",
    UNCHECKED: "something that could not be checked",
    ENCRYPTED: "something encrypted",
    AMBIGUOUS: "something that can be read in several ways",
    SPAM: "unsolicited mail",
    BAD_HEADER: "a wrong header",
}
_FATES = {
    "pass": "The message was delivered.",
    "tag": "The message was delivered, with header fields that say so.",
    "quarantine": "The message was not delivered; it is in quarantine.",
    "discard": "The message was not delivered; it is in quarantine.",
    "bounce": "The message was not delivered; it is in quarantine, and its sender was told where that is safe.",
    "reject": "The message was refused.",
}
#: Where nobody has the message and the client was not told either, so that a notice is the only word.
_SILENT = ("quarantine", "discard")
_TOLD = ("quarantine", "bounce")

_LIST = re.compile(rb"(?im)^(?:list-[!-9;-~]*|mailing-list|x-mailing-list|x-loop)[ \t]*:")
_AUTO_SUBMITTED = re.compile(rb"(?im)^auto-submitted[ \t]*:[ \t\r\n]*([^\s;(]*)")
_PRECEDENCE = re.compile(rb"(?im)^precedence[ \t]*:[ \t\r\n]*(?:bulk|list|junk)\b")
_PROGRAMS = re.compile(r"(?i)(?:mailer-daemon|(?:owner|request)-.*|.*-(?:request|owner|bounces?))\Z")
#: Bytes of a header that are read: people do not write longer ones.
_READ_LIMIT = 65536
#: Bytes of it that the administrator is shown.
_HEADER_LIMIT = 8192
#: Recipients that are named.
_NAMED = 50

Notice = tuple[Envelope, bytes]


class Event(NamedTuple):
    """What was found in a message, and what became of it."""

    message_id: str  #: the filter's own
    envelope: Envelope
    client: str  #: IP address of the host that sent it, "-" when unknown
    header: bytes  #: the header block
    findings: tuple[Finding, ...]
    category: str  #: that decided
    disposition: str  #: one of keys.policy.DISPOSITIONS
    recipients: tuple[Recipient, ...]  #: those for whom that was the decision
    quarantine_id: str  #: "-" when it is not in quarantine


def build(config: Config, templates: Templates, event: Event) -> list[Notice]:
    """The notices about one message, each with its envelope. A message that will come again is nobody's news."""
    if event.disposition == "tempfail":
        return []
    notices = []
    if config.notify_admin and event.category in config.notify_admin_categories:
        notices.append(_to_admin(config, templates.admin, event))
    if event.category in config.notify_recipients and event.disposition in _TOLD and _is_by_a_person(event):
        notices += _to_recipients(config, templates.recipient, event)
    if event.category in config.notify_senders and event.disposition in _SILENT:
        notices += _to_sender(config, templates.sender, event)
    return notices


def may_tell_sender(config: Config, envelope: Envelope, client: str, header: bytes) -> bool:
    """Whether the sender is certain to have sent the message, or at least one of ours, and is no program."""
    user, _, domain = envelope.sender.rpartition("@")
    if not user or _PROGRAMS.match(user) or _is_automatic(header):
        return False
    if envelope.sender.lower() in (own_address(config).lower(), config.notify_admin.lower()):
        return False
    return _is_local(config, envelope, client) or any(_is_in(domain.lower(), ours) for ours in config.local_domains)


def own_address(config: Config) -> str:
    """The address in From."""
    return config.notify_from or f"MAILER-DAEMON@{config.own_name}"


def sender_report(config: Config, text: Text, event: Event) -> Optional[Notice]:
    """A delivery status notification for the sender of a message that was not delivered because of its content.

    It returns the header and never the content, whatever RET asks for. None when the sender wants no report. Whether
    the sender may be told is the caller's question (`may_tell_sender`).
    """
    words = f"message refused ({event.category}: {_names(event)})"
    refusals = [(recipient, Reply(554, "5.7.1", words)) for recipient in event.recipients]
    subject, body = text.fill(*_known(config, event))
    return notify.failure_report(
        event.envelope, refusals, event.header, False, config.own_name, event.message_id, subject, body
    )


# Who is told


def _is_by_a_person(event: Event) -> bool:
    return bool(event.envelope.sender) and not _is_automatic(event.header)


def _is_automatic(header: bytes) -> bool:
    """Whether a list or a program has sent it (RFC 3834, RFC 2919, RFC 2369), or nobody knows in a reasonable time."""
    return bool(
        len(header) > _READ_LIMIT
        or any(word.lower() != b"no" for word in _AUTO_SUBMITTED.findall(header))
        or _PRECEDENCE.search(header)
        or _LIST.search(header)
    )


def _is_local(config: Config, envelope: Envelope, client: str) -> bool:
    try:
        # XFORWARD writes IPV6: before such an address.
        address = ipaddress.ip_address(client[5:] if client[:5].upper() == "IPV6:" else client)
    except ValueError:
        # Not sent by the network: Postfix says so for what sendmail(1) has handed in.
        return client == "-" and envelope.xforward.get("SOURCE", "").upper() == "LOCAL"
    return any(address in network for network in config.local_networks)


def _is_in(domain: str, ours: str) -> bool:
    return domain.endswith(ours) if ours.startswith(".") else domain == ours


# What they are told


def _to_admin(config: Config, text: Text, event: Event) -> Notice:
    return _message(config, text, event, "admin", [config.notify_admin])


def _to_recipients(config: Config, text: Text, event: Event) -> list[Notice]:
    """At most two: an international address asks more of the way than others do."""
    ours = {own_address(config).lower(), config.notify_admin.lower()}
    addresses = dict.fromkeys(item.address for item in event.recipients if item.address.lower() not in ours)
    groups = [
        [address for address in addresses if address.isascii()],
        [address for address in addresses if not address.isascii()],
    ]
    return [_message(config, text, event, "recipient", group) for group in groups if group]


def _to_sender(config: Config, text: Text, event: Event) -> list[Notice]:
    if not may_tell_sender(config, event.envelope, event.client, event.header):
        return []
    report = sender_report(config, text, event)
    return [report] if report is not None else []


def _message(config: Config, text: Text, event: Event, kind: str, addresses: list[str]) -> Notice:
    known, short = _known(config, event)
    if kind == "recipient":
        # Nobody is told who else would have got the message.
        known["recipients"] = short["recipients"] = addresses[0] if len(addresses) == 1 else ""
    subject, body = text.fill(known, short)
    part = mailtext.plain(body)
    lines = [
        mailtext.address_field("From", [own_address(config)]),
        mailtext.address_field("To", addresses) if len(addresses) == 1 else "To: undisclosed-recipients:;",
        mailtext.field("Subject", subject),
        time.strftime("Date: %a, %d %b %Y %H:%M:%S +0000", time.gmtime()),
        f"Message-ID: <{event.message_id}.{kind}{'' if addresses[0].isascii() else '8'}@{config.own_name}>",
        "Auto-Submitted: auto-generated",
        "MIME-Version: 1.0",
        *part.header,
        "",
        part.content,
    ]
    content = "\r\n".join(lines).encode("utf-8", "replace")
    international = not all(address.isascii() for address in [*addresses, own_address(config)])
    parameters = {"BODY": "8BITMIME", "SMTPUTF8": ""} if international else {}
    recipients = [Recipient(address, {"NOTIFY": "NEVER"}) for address in addresses]
    # The null sender: nobody answers a notice, and one that cannot be delivered is not returned (RFC 3834 section 3.3).
    return Envelope("", parameters, recipients, {}, False, ""), content


def _known(config: Config, event: Event) -> tuple[dict[str, str], dict[str, str]]:
    """What templates may name, for a text and for one line."""
    addresses = [mailtext.one_line(item.address, 320) for item in event.recipients[:_NAMED]]
    more = [f"and {len(event.recipients) - _NAMED} more"] if len(event.recipients) > _NAMED else []
    known = {
        "hostname": config.own_name,
        "filter_id": event.message_id,
        "quarantine_id": event.quarantine_id,
        "category": event.category,
        "problem": _PROBLEMS.get(event.category, event.category),
        "findings": _names(event),
        "disposition": event.disposition,
        "fate": _FATES.get(event.disposition, ""),
        "sender": f"<{mailtext.one_line(event.envelope.sender, 320)}>",
        "recipients": ("\n" + " " * 13).join([f"<{address}>" for address in addresses] + more),
        "client": _client(event),
        **{word: _field(event.header, name) for word, name in _FIELDS.items()},
        "header": _shown_header(event.header),
    }
    return known, {name: mailtext.one_line(value, 200) for name, value in known.items()}


def _names(event: Event) -> str:
    return mailtext.one_line(", ".join(dict.fromkeys(finding.name for finding in event.findings)), 400)


def _client(event: Event) -> str:
    name = decode_xtext(event.envelope.xforward.get("NAME", ""))
    shown = f"{name}[{event.client}]" if name and not name.startswith("[") else event.client
    return mailtext.one_line(shown, 300)


_FIELDS = {"from": "From", "subject": "Subject", "date": "Date", "message_id": "Message-ID"}


def _field(header: bytes, name: str) -> str:
    pattern = rb"(?im)^" + name.encode("ascii") + rb"[ \t]*:([^\r\n]*(?:\r\n[ \t][^\r\n]*)*)"
    match = re.search(pattern, header[:_READ_LIMIT])
    return mailtext.one_line(match.group(1)[:4096].decode("utf-8", "replace"), 300) if match else "-"


def _shown_header(header: bytes) -> str:
    shown = header[:_HEADER_LIMIT].decode("utf-8", "replace").replace("\r\n", "\n")
    if len(header) > _HEADER_LIMIT:
        shown = shown.rpartition("\n")[0] + "\n..."
    return "\n".join("  " + mailtext.printable_line(line) for line in shown.split("\n"))
