# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Put entries into main.cf or master.cf and take them back, leaving every other byte as it is. No I/O.

What an edit did is kept in a record, so that it can be undone exactly, also when others edited the file in the
meantime: what they changed stays. A record maps an entry's key to a Trace. Without a record the same edits work,
but an entry that was replaced cannot be put back.

Text that is not ours is never reformatted, merged or moved. What is added goes to the end of the file.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import NamedTuple, Protocol


class Entry(Protocol):
    """A master.cf service or a main.cf parameter; entries with equal values mean the same to Postfix."""

    @property
    def key(self) -> str: ...
    @property
    def value(self) -> object: ...
    @property
    def start(self) -> int: ...
    @property
    def end(self) -> int: ...


#: Finds the entries in a text, in order; of those with the same key the last one counts.
Parser = Callable[[str], Sequence[Entry]]


class Wanted(NamedTuple):
    """An entry as it shall be."""

    key: str
    #: What Postfix reads; see Entry.
    value: object
    #: Comment lines that are written above the entry, each with its line feed; may be empty.
    comment: str
    #: The entry's lines, each with its line feed.
    text: str


class Trace(NamedTuple):
    """What was done for one entry, and what is needed to undo it."""

    #: What this module wrote.
    comment: str
    text: str
    #: The bytes that `comment` and `text` replaced; None for an entry that was added.
    original: str | None = None
    #: Whether an empty line was put above an added entry.
    blank: bool = False
    #: The last line of the file before the entry was added, if it lacked its line feed and was given one.
    unterminated: str | None = None


Record = Mapping[str, Trace]


class Step(NamedTuple):
    """What became of one entry."""

    key: str
    #: added, changed, removed, restored, unchanged, or kept (somebody else's by now, so it was left alone).
    action: str
    before: object | None = None
    after: object | None = None


class Edit(NamedTuple):
    text: str
    record: dict[str, Trace]
    steps: list[Step]


def merge(text: str, parse: Parser, wanted: Sequence[Wanted], record: Record, recording: bool = True) -> Edit:
    """Make the entries be there as wanted: replaced where they stand, or added at the end.

    An entry that means the same already is left alone, whatever it looks like. Without `recording`, comments are
    written only above entries that are added, because nobody could tell later whose the comment was.
    """
    traces = dict(record)
    steps: list[Step] = []
    additions: list[Wanted] = []
    for entry in wanted:
        current = _last(parse(text), entry.key)
        if current is None:
            traces.pop(entry.key, None)
            additions.append(entry)
            steps.append(Step(entry.key, "added", None, entry.value))
        elif current.value == entry.value:
            steps.append(Step(entry.key, "unchanged", entry.value, entry.value))
        else:
            text, traces[entry.key] = _replace(text, current, entry, traces, parse, recording)
            steps.append(Step(entry.key, "changed", current.value, entry.value))
    for position, entry in enumerate(additions):
        unterminated = None
        blank = False
        if position == 0 and text:
            if not text.endswith("\n"):
                unterminated = text.rpartition("\n")[2]
                text += "\n"
            if entry.comment and not text.endswith("\n\n"):
                blank = True
                text += "\n"
        text += entry.comment + entry.text
        traces[entry.key] = Trace(entry.comment, entry.text, None, blank, unterminated)
    return Edit(text, traces, steps)


def retract(text: str, parse: Parser, keys: Collection[str], record: Record) -> Edit:
    """Undo what merge() did for these keys, by the record; what the record does not know is left alone."""
    traces = dict(record)
    steps: dict[str, Step] = {}
    # From the end of the file to its start, so that a last line that once lacked its line feed is the last line
    # again when its turn comes.
    places = {entry.key: entry.start for entry in parse(text)}
    for key in sorted(keys, key=lambda key: places.get(key, -1), reverse=True):
        entries = [entry for entry in parse(text) if entry.key == key]
        trace = traces.pop(key, None)
        if not entries:
            steps[key] = Step(key, "unchanged")
            continue
        if trace is None:
            steps[key] = Step(key, "kept", entries[-1].value, entries[-1].value)
            continue
        written = parse(trace.text)[0].value
        ours = [entry for entry in entries if entry.value == written]
        if not ours:
            steps[key] = Step(key, "kept", entries[-1].value, entries[-1].value)
            continue
        entry = ours[-1]
        start = _start(text, entry, trace)
        if trace.original is None:
            text = _cut(text, start, entry.end, trace, traces, parse)
            steps[key] = Step(key, "removed", entry.value, None)
        else:
            text = _put_back(text, start, entry.end, trace.original, traces, parse)
            steps[key] = Step(key, "restored", entry.value, parse(trace.original)[-1].value)
    return Edit(text, traces, [steps[key] for key in keys])


def remove(text: str, parse: Parser, unwanted: Sequence[Wanted]) -> Edit:
    """Delete entries without a record, every instance, with the comment above where it is the given one.

    A value of None stands for any; with another value, entries that mean something else are kept.
    """
    steps: list[Step] = []
    for one in unwanted:
        action = Step(one.key, "unchanged")
        for entry in reversed(parse(text)):
            if entry.key != one.key:
                continue
            if one.value is not None and entry.value != one.value:
                if action.action == "unchanged":
                    action = Step(one.key, "kept", entry.value, entry.value)
                continue
            text = text[: _start(text, entry, Trace(one.comment, one.text))] + text[entry.end :]
            action = Step(one.key, "removed", entry.value, None)
        steps.append(action)
    return Edit(text, {}, steps)


def _replace(
    text: str, current: Entry, wanted: Wanted, traces: dict[str, Trace], parse: Parser, recording: bool
) -> tuple[str, Trace]:
    trace = traces.get(current.key)
    if trace is None:
        start = current.start
        trace = Trace("", wanted.text, _original(text, current, traces, parse))
    else:
        start = _start(text, current, trace)
    # A comment that stands there already, and is not ours, is somebody else's: it is not written twice.
    comment = wanted.comment if recording and not _ends_with_lines(text[:start], wanted.comment) else ""
    return text[:start] + comment + wanted.text + text[current.end :], trace._replace(comment=comment, text=wanted.text)


def _original(text: str, entry: Entry, traces: dict[str, Trace], parse: Parser) -> str:
    """The bytes of somebody else's entry, without a line feed that it has only because ours was added below it."""
    original = text[entry.start : entry.end]
    heir = _ours_at(text[entry.end :], traces, parse)
    if heir is not None and traces[heir].unterminated is not None:
        traces[heir] = traces[heir]._replace(unterminated=None)
        original = original[:-1]
    return original


def _cut(text: str, start: int, end: int, trace: Trace, traces: dict[str, Trace], parse: Parser) -> str:
    """Take out an entry that was added, with the line feeds that were added for it."""
    before, after = text[:start], text[end:]
    heir = _ours_at(after, traces, parse)
    if heir is not None:
        # The next entry is ours too: it inherits the line feeds, so that its removal takes them away.
        follower = traces[heir]
        if trace.blank and follower.blank:
            after = after[1:]
        traces[heir] = follower._replace(blank=trace.blank or follower.blank, unterminated=trace.unterminated)
        return before + after
    if trace.blank and before.endswith("\n\n"):
        before = before[:-1]
    if trace.unterminated is not None and not after and _ends_with_lines(before, trace.unterminated + "\n"):
        before = before[:-1]
    return before + after


def _put_back(text: str, start: int, end: int, original: str, traces: dict[str, Trace], parse: Parser) -> str:
    """Put the bytes back that were replaced; they lack their line feed if they were the end of the file."""
    after = text[end:]
    if after and not original.endswith("\n"):
        heir = _ours_at(after, traces, parse)
        if heir is not None:
            traces[heir] = traces[heir]._replace(unterminated=original.rpartition("\n")[2])
        original += "\n"
    return text[:start] + original + after


def _ours_at(text: str, traces: Mapping[str, Trace], parse: Parser) -> str | None:
    """The key of the added entry that a text begins with, if there is one."""
    entries = parse(text)
    if not entries:
        return None
    trace = traces.get(entries[0].key)
    if trace is None or trace.original is not None:
        return None
    lead = ("\n" if trace.blank else "") + trace.comment
    return entries[0].key if text[: entries[0].start] == lead else None


def _start(text: str, entry: Entry, trace: Trace) -> int:
    """Where an entry of ours starts, with its comment if that is still there."""
    if trace.comment and _ends_with_lines(text[: entry.start], trace.comment):
        return entry.start - len(trace.comment)
    return entry.start


def _ends_with_lines(text: str, lines: str) -> bool:
    """Whether a text ends with these whole lines."""
    return bool(lines) and text.endswith(lines) and (len(text) == len(lines) or text[-len(lines) - 1] == "\n")


def _last(entries: Sequence[Entry], key: str) -> Entry | None:
    return next((entry for entry in reversed(entries) if entry.key == key), None)
