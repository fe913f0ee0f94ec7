# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The header fields that the filter adds, and the removal of forged ones. Nothing else of a message changes.

Fields: X-Virus-Scanned, X-Spam-Flag, X-Spam-Score, X-Spam-Level, X-Spam-Status, X-Filter-Alert, X-Quarantine-ID.
They are put before the first field, as trace fields are (RFC 5321 section 4.4), so that signatures stay valid.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from .findings import BAD_HEADER, CLEAN, SPAM, VIRUS, Finding, Score

_VALUE_LIMIT = 400
_FOLD = 76
_SCANNED = "filter-stack at"
_ALERTS = {VIRUS: "INFECTED", BAD_HEADER: "BAD HEADER"}

_FIELD_BREAK = re.compile(rb"\r\n(?![ \t])")
_SUSPECT = re.compile(rb"(?im)^x-(?:spam-|filter-alert|quarantine-id|virus-scanned)")
_OURS = re.compile(rb"(?i)x-(?:filter-alert|quarantine-id)[ \t]*:")
_SCORE = re.compile(rb"(?i)x-spam-[!-9;-~]*[ \t]*:")
_CLAIM = re.compile(rb"(?i)x-virus-scanned[ \t]*:[^:]*" + _SCANNED.encode().replace(b" ", rb"\s+"))
# The envelope line of a mailbox file, which some programs leave before the first field.
_MAILBOX_LINE = re.compile(rb">?From [^\r\n]*\r\n")


class Marks(NamedTuple):
    """What is said in the header of one copy of a message."""

    hostname: str
    virus_scanned: bool
    scores: tuple[Score, ...]
    tags: tuple[str, ...]  #: categories that the copy is marked with
    findings: tuple[Finding, ...]
    quarantine_id: str  #: of a copy that was kept, "-" when there is none
    unscored: bool = False  #: no spam scorer has answered


def fields(marks: Marks) -> bytes:
    """The header fields to add, each with its line end; empty when there is nothing to say."""
    lines: list[str] = []
    if marks.virus_scanned:
        lines += _field("X-Virus-Scanned", f"{_SCANNED} {marks.hostname}")
    if marks.scores:
        lines += _spam_fields(marks)
    elif marks.unscored:
        lines += _field("X-Spam-Status", "Unknown, no spam scorer answered")
    alerts = [_alert(category, marks.findings) for category in marks.tags if category not in (SPAM, CLEAN)]
    if alerts:
        lines += _field("X-Filter-Alert", "; ".join(alerts))
    if marks.quarantine_id != "-":
        lines += _field("X-Quarantine-ID", f"<{marks.quarantine_id}>")
    return "".join(line + "\r\n" for line in lines).encode("ascii")


def _spam_fields(marks: Marks) -> list[str]:
    worst = max(marks.scores, key=lambda score: score.score - score.threshold)
    spam = SPAM in marks.tags
    level = "*" * max(0, min(50, int(worst.score)))
    verdict = "Yes" if worst.score >= worst.threshold else "No"
    status = f"{verdict}, score={worst.score:.1f} required={worst.threshold:.1f} tests=[{', '.join(worst.tests)}]"
    lines = ["X-Spam-Flag: YES"] if spam else []
    lines += [f"X-Spam-Score: {worst.score:.1f}"]
    lines += [f"X-Spam-Level: {level}"] if level else []
    return lines + _field("X-Spam-Status", status)


def _alert(category: str, findings: Iterable[Finding]) -> str:
    names = ", ".join(finding.name for finding in findings if finding.category == category)
    return f"{_ALERTS.get(category, category.upper())}, message contains {names}"


def _field(name: str, value: str) -> list[str]:
    """One field in lines of bounded length, in ASCII (RFC 5322 section 2.2.3)."""
    text = "".join(character if " " <= character <= "~" else "?" for character in value)[:_VALUE_LIMIT]
    lines = [name + ":"]
    for word in text.split():
        if len(lines[-1]) + 1 + len(word) > _FOLD and lines[-1].strip() not in ("", name + ":"):
            lines.append("")
        lines[-1] += " " + word
    return lines


class Rewritten(NamedTuple):
    """Content with another beginning."""

    head: bytes  #: what stands in place of the first `replaced` bytes
    replaced: int

    @property
    def dots(self) -> bool:
        """Whether a line of the new beginning may begin with a dot."""
        return self.head.startswith(b".") or b"\n." in self.head

    def size(self, size: int) -> int:
        """Bytes of a message of `size` bytes afterwards."""
        return size - self.replaced + len(self.head)

    def chunks(self, content: Iterable[bytes]) -> Iterator[bytes]:
        """The whole content, in pieces."""
        left = self.replaced
        first = self.head
        for piece in content:
            if left >= len(piece):
                left -= len(piece)
                continue
            yield first + piece[left:] if left else first + piece
            first, left = b"", 0
        if first:
            yield first


class Changed:
    """Content with another beginning, which can be read again: a delivery on a stale connection is repeated."""

    def __init__(self, change: Rewritten, content: Iterable[bytes]) -> None:
        self._change = change
        self._content = content

    def __iter__(self) -> Iterator[bytes]:
        return self._change.chunks(self._content)


def rewrite(header: bytes, begins_empty: bool, added: bytes, scored: bool) -> Rewritten:
    """How a message with this header block changes; `scored` when X-Spam-* are ours to write.

    `header` are the first bytes of the content, without the line end of the last field; `begins_empty` tells that the
    content begins with an empty line. Fields that claim to be ours are removed; a filter that scores nothing leaves
    X-Spam-* of other hosts alone.
    """
    if not header:
        # Without an empty line a body that begins at once would become a part of the header.
        return Rewritten(added if begins_empty or not added else added + b"\r\n", 0)
    line = _MAILBOX_LINE.match(header)
    start = line.end() if line else 0
    if not _SUSPECT.search(header):
        return Rewritten(header[:start] + added, start) if added else Rewritten(b"", 0)
    fields = _FIELD_BREAK.split(header[start:])
    kept = [field for field in fields if not _is_forged(field, scored)]
    if len(kept) == len(fields):
        return Rewritten(header[:start] + added, start) if added else Rewritten(b"", 0)
    # With the line end after the last field, which is there as in any content.
    return Rewritten(header[:start] + added + b"".join(field + b"\r\n" for field in kept), len(header) + 2)


def _is_forged(field: bytes, scored: bool) -> bool:
    return bool(_OURS.match(field) or _CLAIM.match(field) or (scored and _SCORE.match(field)))
