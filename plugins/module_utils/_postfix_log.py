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
_QUARANTINED = re.compile(r"\bquarantined as ([^\s()]+)", re.IGNORECASE)
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

    @property
    def verdict(self) -> str:
        """One word for all ends; when they differ the one that a postmaster has to know first."""
        return next(
            (word for word in ("delivered", "deferred", "bounced", "discarded") if word in self.ends), "unknown"
        )


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


def quarantine_id_in(reply: str) -> str | None:
    """The name under which a filter says that it keeps the message."""
    found = _QUARANTINED.search(reply)
    return found[1] if found else None


def was_discarded(reply: str) -> bool:
    """Whether a positive reply says that the message was taken, but goes nowhere."""
    return reply.startswith("2") and not was_passed_on(reply) and _DISCARDED.search(reply) is not None


class Log:
    """Log lines that were read so far. Each is parsed once, so that a busy host's log costs little to follow."""

    def __init__(self, lines: Iterable[str] = ()) -> None:
        self._texts: list[str] = []
        #: By queue ID: the position, program and remaining text of its lines.
        self._entries: dict[str, list[tuple[int, str, str]]] = {}
        self._by_message_id: dict[str, list[str]] = {}
        self.add(lines)

    def add(self, lines: Iterable[str]) -> None:
        for line in lines:
            text = line.rstrip("\n")
            entry = parse_line(text)
            if entry is not None:
                program, queue_id, rest = entry
                self._entries.setdefault(queue_id, []).append((len(self._texts), program, rest))
                if rest.startswith("message-id="):
                    self._by_message_id.setdefault(rest[len("message-id=") :], []).append(queue_id)
            self._texts.append(text)

    def tell(self, queue_ids: Iterable[str], message_id: str) -> Story:
        """The story of the message with these queue IDs and this Message-ID (with its angle brackets)."""
        waiting = [*queue_ids, *self._by_message_id.get(message_id, [])]
        queued: dict[str, _Queued] = {}
        while waiting:
            queue_id = waiting.pop()
            if queue_id not in queued:
                queued[queue_id] = _Queued(queue_id, self._entries.get(queue_id, []), self._texts)
                # Only a queue ID of this host has lines of its own here.
                named = [hop.next_queue_id for _position, hop in queued[queue_id].hops]
                waiting += [name for name in named if name is not None and name in self._entries]
        order = sorted(queued.values(), key=lambda file: (file.first is None, file.first))
        ends, pending, unsettled = _ends(order)
        hops = sorted(pair for file in order for pair in file.hops)
        return Story(ends, [hop for _position, hop in hops], [file.queue_id for file in order], pending, unsettled)

    def mentioning(self, words: Iterable[str]) -> list[str]:
        """The lines that have one of these words, not as a part of a longer one."""
        pattern = re.compile(rf"(?<![0-9A-Za-z])(?:{'|'.join(map(re.escape, words))})(?![0-9A-Za-z])")
        return [text for text in self._texts if pattern.search(text)]


class _Queued:
    """What the log says of one queue file."""

    def __init__(self, queue_id: str, entries: Iterable[tuple[int, str, str]], texts: list[str]) -> None:
        self.queue_id = queue_id
        #: The position of its first line.
        self.first: int | None = None
        self.hops: list[tuple[int, Hop]] = []
        #: The last delivery to each recipient, which is the one that counts.
        self.latest: dict[str, Hop] = {}
        self.removed = self.discarded = self.expired = False
        for position, program, rest in entries:
            if self.first is None:
                self.first = position
            self._read(position, program, rest, texts[position])

    def _read(self, position: int, program: str, rest: str, text: str) -> None:
        if rest == "removed":
            self.removed = True
        elif _DISCARD_ACTION.match(rest):
            self.discarded = True
        elif _EXPIRED.match(rest):
            self.expired = True
        else:
            hop = _hop(self.queue_id, program, rest, text)
            if hop is not None:
                self.hops.append((position, hop))
                self.latest[hop.recipient] = hop


def _hop(queue_id: str, program: str, rest: str, text: str) -> Hop | None:
    delivery = _DELIVERY.match(rest)
    if delivery is None:
        return None
    reply = delivery["reply"]
    # smtp(8) and lmtp(8) say whose words they log.
    said = re.fullmatch(r"host \S+ said: (.*)", reply)
    return Hop(
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


def _ends(files: list[_Queued]) -> tuple[list[str], bool, bool]:
    """How it ended for each recipient, whether more is to come, and whether it may; `files` in their order."""
    ends: list[str] = []
    pending = not files
    unsettled = False
    known = {file.queue_id for file in files}
    for file in files:
        if file.discarded:
            ends.append("discarded")
            continue
        words = [_end(file, hop, known, file is files[-1]) for hop in file.latest.values()]
        ends += [word for word in words if word not in ("passed on", "followed")]
        unsettled = unsettled or any(
            word == "delivered" and hop.next_queue_id is not None for word, hop in zip(words, file.latest.values())
        )
        # qmgr(8) says "removed" when nothing is left to do; until then further recipients may follow.
        if "passed on" in words or not (file.removed or "deferred" in words):
            pending = True
    return ends, pending, unsettled


def _end(file: _Queued, hop: Hop, known: set[str], last: bool) -> str:
    """What one delivery means: an end, "followed" by another queue file, or "passed on" to one not yet seen."""
    if hop.status == "deferred" and not file.expired:
        return "deferred"
    if hop.status != "sent":
        return "bounced"
    if hop.next_queue_id in known:
        return "followed"
    if hop.next_queue_id is not None and was_passed_on(hop.reply):
        return "passed on"
    if was_discarded(hop.reply) or hop.program.endswith("/discard"):
        return "discarded"
    # A pipe(8) filter hands the message to sendmail(1): what follows has the same Message-ID, and no line names it.
    return "followed" if hop.program.endswith("/pipe") and not last else "delivered"
