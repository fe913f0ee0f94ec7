# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the ledger says of one message, as a value and as a line."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from typing import Any, Callable, NamedTuple

from ..findings import Finding, Score
from ..smtp.reply import Reply, printable

FORMAT = 1
#: What stands for an address that is left out.
OMITTED = "?"
#: Findings and scores of a message that are told of.
_MOST = 20
#: Characters of a reply, of a name and of a Message-ID.
_REPLY, _NAME, _MESSAGE_ID_LIMIT = 200, 200, 250
_QUEUED = re.compile(r"\bqueued as ([0-9A-Za-z]{5,20})\b")
_ADDRESS = re.compile(r"[^\s<>:,]+@[^\s<>:,]+")
_MESSAGE_ID = re.compile(rb"[ \t]*:(?:\r\n)?[ \t]*(<[^<>\r\n]{1,998}>)")
_MESSAGE_ID_FIELD = b"\nmessage-id"
#: Dispositions after which a positive reply means that a copy is in quarantine.
_QUARANTINED = ("quarantine", "discard")
_encode = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode

Line = dict[str, Any]


class Recipient(NamedTuple):
    """What became of the copy for one recipient."""

    address: str
    disposition: str  #: what the policy said, or "tempfail" and "reject" where it was not asked
    reply: Reply


class Record(NamedTuple):
    """One message and its end. Times in seconds."""

    id: str  #: ours, as in replies and in the log
    front: str  #: queue id at the client, "-" when unknown
    client: str  #: where the message came from at first (XFORWARD ADDR), "-" when unknown
    peer: str  #: who handed it in
    lmtp: bool
    sender: str
    size: int  #: bytes
    header: bytes  #: its header block
    verdict: str
    disposition: str
    findings: Sequence[Finding]
    scores: Sequence[Score]
    quarantine: str  #: quarantine id, "-" for none
    recipients: Sequence[Recipient]
    answer: int  #: code of the one reply that an SMTP client gets, 0 by LMTP
    seconds: Sequence[float]  #: for each of metrics.STAGES
    used: float  #: part of the deadline
    withdrawn: bool  #: the client had been told to try again, or was gone


class Privacy:
    """Addresses as the ledger keeps them: "full", "hashed" with a key, or "none"."""

    def __init__(self, mode: str, salt: bytes = b"") -> None:
        self._salt = salt
        forms: dict[str, Callable[[str], str]] = {"full": str, "hashed": self._hashed}
        self.address = forms.get(mode, self._nothing)
        self._plain = mode == "full"

    def _hashed(self, address: str) -> str:
        # The null sender is no address.
        text = address.lower().encode("utf-8", "surrogateescape")
        return "#" + hashlib.blake2b(text, digest_size=8, key=self._salt).hexdigest() if address else ""

    @staticmethod
    def _nothing(address: str) -> str:
        return OMITTED if address else ""

    def words(self, text: str) -> str:
        """A text with its addresses as the ledger keeps them."""
        return text if self._plain else _ADDRESS.sub(lambda found: self.address(found.group()), text)


def end_of(recipient: Recipient) -> str:
    """One of metrics.ENDS."""
    reply = recipient.reply
    if reply.code >= 500:
        return "rejected"
    if reply.code >= 400:
        return "deferred"
    if recipient.disposition in _QUARANTINED:
        return "quarantined"
    if recipient.disposition == "bounce":
        return "bounced"
    return "delivered" if "reinjected as" in reply.text else "quarantined"


def message_id(header: bytes) -> str:
    """The Message-ID with its angle brackets, empty when there is none."""
    # A plain search, because this runs on every header. The line end before it stands for the first one's.
    place = (b"\n" + header).lower().find(_MESSAGE_ID_FIELD)
    found = _MESSAGE_ID.match(header, place + len(_MESSAGE_ID_FIELD) - 1) if place >= 0 else None
    return printable(found.group(1).decode("ascii", "replace"))[:_MESSAGE_ID_LIMIT] if found else ""


def line(record: Record, ends: Sequence[str], privacy: Privacy) -> Line:
    """The record as the ledger keeps it."""
    recipients = []
    for (address, disposition, reply), end in zip(record.recipients, ends):
        words = reply.brief(_REPLY)
        one = {
            "address": privacy.address(address),
            "end": end,
            "disposition": disposition,
            "reply": privacy.words(words),
        }
        if end == "delivered":
            queued = _QUEUED.findall(words)
            if queued:
                one["queue_id"] = queued[-1]
        recipients.append(one)
    wait, scan, deliver, total = record.seconds
    data: Line = {
        "event": "message",
        "id": record.id,
        "front": record.front,
        "client": record.client,
        "peer": record.peer,
        "protocol": "lmtp" if record.lmtp else "smtp",
        "sender": privacy.address(record.sender),
        "size": record.size,
        "message_id": message_id(record.header),
        "verdict": record.verdict,
        "disposition": record.disposition,
        "seconds": [round(wait, 4), round(scan, 4), round(deliver, 4), round(total, 4)],
        "recipients": recipients,
    }
    if not record.lmtp:
        data["answer"] = record.answer
    if record.findings:
        data["findings"] = [[one.category, one.name[:_NAME], one.source] for one in record.findings[:_MOST]]
    if record.scores:
        data["scores"] = [[one.score, one.threshold, one.source] for one in record.scores[:_MOST]]
    if record.quarantine != "-":
        data["quarantine"] = record.quarantine
    if record.withdrawn:
        data["withdrawn"] = True
    return data


def encoded(data: Line) -> bytes:
    """One line of JSON, ASCII alone: nothing from mail can end it or command a terminal."""
    return _encode(data).encode("ascii") + b"\n"
