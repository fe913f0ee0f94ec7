# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads the story of one message from Postfix' log: which queue files it had, where each went, how it ended. No I/O.

Knows the lines of Postfix 3.5 to 3.11 with short and long queue IDs, behind the prefixes of syslog (traditional and
RFC 3339), of the systemd journal and of postlogd(8).

A message that goes through a filter has more than one queue ID. They are found by "queued as" in the replies that
delivery agents log, and by the Message-ID, which the filter leaves as it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

_STAMP = r"(?:[A-Z][a-z]{2} [ 0-9]\d \d\d:\d\d:\d\d(?:\.\d+)?|\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\S*)"
_LINE = re.compile(rf"(?:<\d+>)?{_STAMP} \S+ (?P<program>[^\s:\[]+)(?:\[\d+\])?: (?P<message>.*)")
#: Short IDs are hexadecimal, long ones (enable_long_queue_ids) have letters and digits without vowels.
_QUEUE_ID = re.compile(r"(?P<queue_id>[0-9A-F]{5,15}|[0-9B-DF-HJ-NP-TV-Zb-df-hj-np-tv-z]{8,20}): (?P<rest>.*)")
_DELIVERY = re.compile(
    r"to=<(?P<recipient>.*?)>, (?:orig_to=<(?P<original>.*?)>, )?relay=(?P<relay>.*?), .*?"
    r"delay=(?P<delay>[0-9.]+), .*?dsn=(?P<dsn>[0-9.]+), status=(?P<status>\S+) \((?P<reply>.*)\)"
)
_EXPIRED = re.compile(r"from=<.*?>, status=(?:expired|force-expired), returned to sender")
_NEXT = re.compile(r"\b(?:queued|forwarded) as ([0-9A-Za-z]{5,20})\b")
#: Replies of filters that quote the reply of the smtpd behind them: this daemon's, and amavisd-new's.
_PASSED_ON = re.compile(r"reinjected as|from MTA\(")
_DISCARDED = re.compile(r"\bdiscarded\b|\bquarantined as\b", re.IGNORECASE)
_DISCARD_ACTION = re.compile(r"(?:milter-)?discard: ")


class Hop(NamedTuple):
    """One delivery that Postfix logged, of one message to one recipient."""

    queue_id: str
    recipient: str
    #: The name under which the delivery agent logs, such as postfix/lmtp.
    program: str
    #: Where it was delivered to: host[address]:port, or the name of a local agent.
    relay: str
    #: sent, deferred, bounced or expired.
    status: str
    dsn: str
    #: Seconds from arrival to this line.
    delay: float
    #: What the other side said, or what the delivery agent says of it.
    reply: str
    #: The queue ID that the other side gave, if it said so.
    next_queue_id: str | None
    line: str


class Story(NamedTuple):
    """What the log says so far."""

    #: How it ended for each recipient that is known: delivered, discarded, bounced or deferred.
    ends: list[str]
    hops: list[Hop]
    #: In the order in which they appeared.
    queue_ids: list[str]
    #: Whether the log shows that more is to come.
    pending: bool
    #: Whether the last hop went to a server of which this log may yet show more (it is then the next hop of a
    #: filter), or never will (it is then another host).
    unsettled: bool
    #: The log lines that mention the message, as they stand there.
    log: list[str]

    @property
    def verdict(self) -> str:
        """One word for all ends; when they differ the one that a postmaster has to know first."""
        return next(
            (word for word in ("delivered", "deferred", "bounced", "discarded") if word in self.ends), "unknown"
        )


class _Queued:
    """What the log says of one queue file."""

    def __init__(self) -> None:
        self.latest: dict[str, Hop] = {}
        self.removed = False
        self.discarded = False
        self.expired = False


def parse_line(text: str) -> tuple[str, str, str] | None:
    """The program, queue ID and remaining text of a log line, or None if it has no queue ID."""
    line = _LINE.fullmatch(text)
    if line is None:
        return None
    entry = _QUEUE_ID.fullmatch(line["message"])
    return None if entry is None else (line["program"], entry["queue_id"], entry["rest"])


def queue_id_in(reply: str) -> str | None:
    """The queue ID in a reply to the end of DATA; a filter that quotes another server's reply has it at the end."""
    found: list[str] = _NEXT.findall(reply)
    return found[-1] if found else None


def was_passed_on(reply: str) -> bool:
    """Whether a reply is that of a filter which names the queue ID that the server behind it gave."""
    return _PASSED_ON.search(reply) is not None


def was_discarded(reply: str) -> bool:
    """Whether a positive reply says that the message was taken, but goes nowhere."""
    return reply.startswith("2") and not was_passed_on(reply) and _DISCARDED.search(reply) is not None


def tell(lines: Iterable[str], queue_ids: Iterable[str], message_id: str) -> Story:
    """The story of the message with these queue IDs and this Message-ID (with its angle brackets)."""
    texts = [line.rstrip("\n") for line in lines]
    parsed = [(text, parse_line(text)) for text in texts]
    queued: dict[str, _Queued] = {queue_id: _Queued() for queue_id in queue_ids}
    hops: list[Hop] = []
    # A hop may name a queue ID whose lines came earlier in the log: read again until no new one turns up.
    known = -1
    while known != len(queued):
        known = len(queued)
        hops = []
        for text, entry in parsed:
            if entry is None:
                continue
            program, queue_id, rest = entry
            if rest == f"message-id={message_id}":
                queued.setdefault(queue_id, _Queued())
            if queue_id in queued:
                hop = _note(queued[queue_id], program, queue_id, rest, text)
                if hop is not None:
                    hops.append(hop)
                    # Only a queue ID of this host has lines of its own here.
                    if hop.next_queue_id and any(e is not None and e[1] == hop.next_queue_id for _text, e in parsed):
                        queued.setdefault(hop.next_queue_id, _Queued())
    order = _by_appearance(queued, parsed)
    ends, pending, unsettled = _ends(queued, order)
    words = [*order, message_id]
    log = [text for text in texts if any(_mentions(text, word) for word in words)]
    return Story(ends, hops, order, pending, unsettled, log)


def _note(queued: _Queued, program: str, queue_id: str, rest: str, text: str) -> Hop | None:
    """Keep what a line says of its queue file; the hop, if it is about a delivery."""
    if rest == "removed":
        queued.removed = True
    elif _DISCARD_ACTION.match(rest):
        queued.discarded = True
    elif _EXPIRED.match(rest):
        queued.expired = True
    delivery = _DELIVERY.match(rest)
    if delivery is None:
        return None
    reply = delivery["reply"]
    # smtp(8) and lmtp(8) say whose words they log.
    said = re.fullmatch(r"host \S+ said: (.*)", reply)
    hop = Hop(
        queue_id,
        delivery["recipient"],
        program,
        delivery["relay"],
        delivery["status"],
        delivery["dsn"],
        float(delivery["delay"]),
        said[1] if said else reply,
        queue_id_in(reply) if delivery["status"] == "sent" else None,
        text,
    )
    queued.latest[hop.recipient] = hop
    return hop


def _ends(queued: dict[str, _Queued], order: list[str]) -> tuple[list[str], bool, bool]:
    ends: list[str] = []
    pending = not order
    unsettled = False
    for position, queue_id in enumerate(order):
        file = queued[queue_id]
        deferred = False
        if file.discarded:
            ends.append("discarded")
            continue
        for hop in file.latest.values():
            if hop.status == "deferred" and not file.expired:
                ends.append("deferred")
                deferred = True
            elif hop.status != "sent":
                ends.append("bounced")
            elif hop.next_queue_id in queued:
                continue
            elif hop.next_queue_id is not None and was_passed_on(hop.reply):
                pending = True
            elif was_discarded(hop.reply) or hop.program.endswith("/discard"):
                ends.append("discarded")
            elif hop.program.endswith("/pipe") and position < len(order) - 1:
                # A pipe(8) filter that hands the message to sendmail(1): what follows has the same Message-ID.
                continue
            else:
                ends.append("delivered")
                unsettled = unsettled or hop.next_queue_id is not None
        # qmgr(8) says "removed" when nothing is left to do; until then further recipients may follow.
        if not file.removed and not deferred:
            pending = True
    return ends, pending, unsettled


def _by_appearance(queued: Iterable[str], parsed: list[tuple[str, tuple[str, str, str] | None]]) -> list[str]:
    first: dict[str, int] = {}
    for position, (_text, entry) in enumerate(parsed):
        if entry is not None:
            first.setdefault(entry[1], position)
    return sorted(queued, key=lambda queue_id: first.get(queue_id, len(parsed)))


def _mentions(text: str, word: str) -> bool:
    """Whether a line has a word that is not part of a longer one."""
    return re.search(rf"(?<![0-9A-Za-z]){re.escape(word)}(?![0-9A-Za-z])", text) is not None
