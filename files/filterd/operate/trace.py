# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The story of a message in words, from the ledger and Postfix' log: this module decides, and reads nothing itself."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Callable, NamedTuple, Optional

from . import postfix_log
from .postfix_log import LogLine
from .record import OMITTED, Line, Privacy

#: Programs of Postfix whose lines tell the postmaster what happened; the others repeat them.
_DELIVERING = ("smtp", "lmtp", "local", "virtual", "pipe", "error", "discard", "bounce")


class Event(NamedTuple):
    """One thing that happened."""

    time: float  #: seconds since 1970
    words: str


class Story(NamedTuple):
    """All that happened to one message."""

    events: list[Event]
    ends: dict[str, str]  #: by recipient: how it stands now
    ids: list[str]  #: queue ids, ids of the filter and quarantine ids


class Wanted:
    """What is looked for: a queue id, Message-ID, address, or an id of the filter or the quarantine."""

    def __init__(self, word: str, privacy: Privacy) -> None:
        self.word = word
        self.privacy = privacy
        self._is_address = "@" in word and not word.startswith("<")
        self._forms = {word, f"<{word}>"}
        # An address that was left out may be anybody's.
        self._addresses = {word.lower(), privacy.address(word)} - {OMITTED} if self._is_address else set()

    def in_ledger(self, data: Line) -> bool:
        """Whether a line of the ledger is about it."""
        names = (data.get("id"), data.get("front"), data.get("message_id"), data.get("quarantine"))
        if self._forms.intersection(name for name in names if isinstance(name, str)):
            return True
        recipients = data.get("recipients", [])
        if any(item.get("queue_id") in self._forms for item in recipients):
            return True
        if not self._is_address:
            return False
        addresses = [data.get("sender"), *(item["address"] for item in recipients), data.get("recipient")]
        return any(isinstance(one, str) and one.lower() in self._addresses for one in addresses)

    def in_log(self, line: LogLine) -> bool:
        """Whether a line of Postfix' log is about it."""
        if line.queue_id == self.word:
            return True
        if line.text.startswith("message-id="):
            return line.text[len("message-id=") :] in self._forms
        return self._is_address and f"=<{self.word.lower()}>" in line.text.lower()


def stories(
    wanted: Wanted, ledger: Callable[[], Iterable[Line]], log: Callable[[], Iterable[LogLine]], quarantined: set[str]
) -> list[Story]:
    """One story for each message, the oldest first. Everything that hangs together is one message.

    Both are read twice: at first names are learnt, and then only the lines of the messages in question are kept.
    """
    groups = _Groups()
    for data in ledger():
        _learn(data, wanted, groups)
    for line in log():
        _learn_from_log(line, wanted, groups)
    roots = groups.wanted()
    told: dict[str, list[Any]] = {}
    for source in (ledger, log):
        for item in source():
            name = _name(item)
            if name and groups.known(name) in roots:
                told.setdefault(groups.find(name), []).append(item)
    found = [
        _story(_with_names(items, wanted.privacy), groups.names(root), quarantined) for root, items in told.items()
    ]
    return sorted(found, key=lambda story: story.events[0].time if story.events else 0.0)


class _Groups:
    """Names of one message: union-find."""

    def __init__(self) -> None:
        self._parents: dict[str, str] = {}
        self._wanted: set[str] = set()

    def find(self, name: str) -> str:
        parent = self._parents.setdefault(name, name)
        while parent != self._parents[parent]:
            self._parents[parent] = self._parents[self._parents[parent]]
            parent = self._parents[parent]
        self._parents[name] = parent
        return parent

    def known(self, name: str) -> str:
        return self.find(name) if name in self._parents else ""

    def join(self, name: str, other: str) -> None:
        self._parents[self.find(name)] = self.find(other)

    def want(self, name: str) -> None:
        self._wanted.add(name)

    def wanted(self) -> set[str]:
        return {self.find(name) for name in self._wanted}

    def names(self, root: str) -> list[str]:
        return [name for name in self._parents if self.find(name) == root]


def _name(item: Any) -> str:
    """The first name of a line of either kind, empty when it is about no message."""
    if isinstance(item, LogLine):
        if item.queue_id:
            return item.queue_id
        attempt = postfix_log.delivery(item)
        return attempt.filter_id if attempt else ""
    return str(item.get("id") or item.get("quarantine")) if item["event"] in _EVENTS else ""


def _learn(data: Line, wanted: Wanted, groups: _Groups) -> None:
    if data["event"] not in _EVENTS:
        return
    name = _name(data)
    for other in _names(data):
        groups.join(name, other)
    if wanted.in_ledger(data):
        groups.want(name)


def _learn_from_log(line: LogLine, wanted: Wanted, groups: _Groups) -> None:
    attempt = postfix_log.delivery(line)
    name = line.queue_id or (attempt.filter_id if attempt else "")
    if not name:
        return
    if attempt is not None:
        for other in (attempt.filter_id, attempt.queued):
            if other:
                groups.join(name, other)
    if wanted.in_log(line):
        groups.want(name)


def _names(data: Line) -> list[str]:
    """The other names of the message in a line of the ledger."""
    names = [data.get("front"), data.get("quarantine"), data.get("queue_id")]
    names += [item.get("queue_id") for item in data.get("recipients", [])]
    return [name for name in names if isinstance(name, str) and name not in ("", "-")]


# Words


def _with_names(items: list[Any], privacy: Privacy) -> list[Any]:
    """The same with recipients whose hashes the ledger has under the addresses that Postfix' log has."""
    attempts = [postfix_log.delivery(item) for item in items if isinstance(item, LogLine)]
    known = {privacy.address(one.recipient): one.recipient for one in attempts if one}
    known.pop(OMITTED, None)
    return [item if isinstance(item, LogLine) else _renamed(item, known) for item in items]


def _renamed(data: Line, known: dict[str, str]) -> Line:
    changed = dict(data)
    if "recipient" in data:
        changed["recipient"] = known.get(data["recipient"], data["recipient"])
    if "recipients" in data:
        changed["recipients"] = [
            {**one, "address": known.get(one["address"], one["address"])} for one in data["recipients"]
        ]
    return changed


def _story(items: list[Any], names: list[str], quarantined: set[str]) -> Story:
    order = _Order(items)
    found: list[tuple[tuple[int, int], Event]] = []
    ends: dict[str, str] = {}
    for item in sorted(items, key=order.of):
        if isinstance(item, LogLine):
            event = _postfix(item, ends)
            events = [event] if event else []
        else:
            events = _EVENTS[item["event"]](item, ends, quarantined)
        found += [((int(event.time), order.of(item)[1]), event) for event in events]
    found.sort(key=lambda pair: pair[0])
    return Story([event for _, event in found], ends, names)


class _Order:
    """The order in which lines tell a story. Postfix' stamps may be whole seconds: within one, causes stand first.

    Postfix takes a message, the filter has it, Postfix is told, takes it again and delivers it; the same for a release.
    What it was told of an attempt belongs to that one, as the next may be in the same second.
    """

    def __init__(self, items: list[Any]) -> None:
        lines = [item for item in items if not isinstance(item, LogLine)]
        self._released = {item.get("queue_id") for item in lines}
        self._attempts = {item["id"]: item["time"] for item in lines if item["event"] == "message"}
        self._behind = {one.get("queue_id") for item in lines for one in item.get("recipients", [])}

    def of(self, item: Any) -> tuple[int, int, float]:
        """Second, rank within it, and time."""
        if not isinstance(item, LogLine):
            return (int(item["time"]), 1 if "id" in item else 4, item["time"])
        attempt = postfix_log.delivery(item)
        had = self._attempts.get(attempt.filter_id, 0.0) if attempt else 0.0
        if int(had) == int(item.time):
            return (int(had), 1, had + 1e-6)
        if item.queue_id in self._released:
            rank = 5
        elif item.queue_id in self._behind:
            rank = 3
        else:
            follows = item.text == "removed" or item.program.endswith("/bounce") or attempt
            rank = 2 if follows else 0
        return (int(item.time), rank, item.time)


def _message(data: Line, ends: dict[str, str], quarantined: set[str]) -> list[Event]:
    wait, scan, deliver, total = data["seconds"]
    found = ", ".join(f"{name} ({category}, says {source})" for category, name, source in data.get("findings", []))
    words = f"the filter (id {data['id']}) had it for {total:.3f} s"
    if total >= 1:
        words += f" (waiting {wait:.3f} s, scanning {scan:.3f} s, delivering {deliver:.3f} s)"
    words += f" and found {found}" if found else f" and found nothing: {data['verdict']}"
    if data.get("withdrawn"):
        words += "; its client had given up waiting by then and will send it again"
    events = [Event(data["time"] - total, _arrival(data)), Event(data["time"], words)]
    for item in data["recipients"]:
        where = {
            "delivered": f"handed on to Postfix as {item.get('queue_id', '?')}",
            "quarantined": f"put into quarantine as {data.get('quarantine', '?')}",
            "bounced": f"not delivered, the sender was told; kept in quarantine as {data.get('quarantine', '?')}",
            "rejected": f"rejected: {item['reply']}",
            "deferred": f"asked to come again: {item['reply']}",
        }.get(item["end"], item["reply"])
        events.append(Event(data["time"], f"for <{item['address']}> it was {where}"))
        ends[item["address"]] = _standing(item, data, quarantined)
    return events


def _arrival(data: Line) -> str:
    front = f"as {data['front']} " if data["front"] != "-" else ""
    client = f", first sent by [{data['client']}]" if data["client"] != "-" else ""
    return f"Postfix {front}handed it to the filter: from <{data['sender']}>, {data['size']} bytes{client}"


def _standing(item: dict[str, Any], data: Line, quarantined: set[str]) -> str:
    if item["end"] == "quarantined":
        return "in quarantine" if data.get("quarantine") in quarantined else "not in quarantine any more"
    return "handed on" if item["end"] == "delivered" else str(item["end"])


def _given_up(data: Line, ends: dict[str, str], quarantined: set[str]) -> list[Event]:
    reason = {"deadline": "it had not finished in time", "client": "the client had closed"}.get(data["reason"], "?")
    return [Event(data["time"], f"the filter (id {data['id']}) gave it up, because {reason}: it comes again")]


def _removed(data: Line, ends: dict[str, str], quarantined: set[str]) -> list[Event]:
    if data.get("why"):
        return []
    if data["event"] != "released":
        return [Event(data["time"], f"it was {data['event']} in quarantine ({data['quarantine']})")]
    address = data.get("recipient", "?")
    ends[address] = "released"
    return [Event(data["time"], f"it was released from quarantine to <{address}>: {data.get('reply', '')}")]


_EVENTS = {
    "message": _message,
    "given up": _given_up,
    "released": _removed,
    "deleted": _removed,
    "expired": _removed,
}


def _postfix(line: LogLine, ends: dict[str, str]) -> Optional[Event]:
    program = line.program.rpartition("/")[2]
    attempt = postfix_log.delivery(line)
    if attempt is not None:
        if attempt.filter_id and attempt.status == "sent":
            return None  # the filter's own words say more
        if attempt.status == "sent":
            ends[attempt.recipient] = "delivered"
        elif not attempt.filter_id:
            ends[attempt.recipient] = attempt.status
        where = "the filter" if attempt.filter_id else attempt.relay
        return Event(
            line.time,
            f"Postfix ({line.queue_id}): to <{attempt.recipient}> by {where}: {attempt.status} ({attempt.reply})",
        )
    words = _other_words(line, program)
    return Event(line.time, words) if words else None


def _other_words(line: LogLine, program: str) -> str:
    if program == "smtpd" and line.text.startswith("client="):
        return f"Postfix took it as {line.queue_id} from {line.text[len('client=') :].split(',')[0]}"
    if program == "pickup":
        return f"Postfix took it as {line.queue_id} from this host"
    if line.text == "removed":
        return f"Postfix ({line.queue_id}): done with it"
    told = program in _DELIVERING or "expired" in line.text
    return f"Postfix ({line.queue_id}): {line.text}" if told else ""
