# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What was released to whom: lines of JSON beside a quarantined message, each on disk before anything depends on it.

That a message is about to be sent is recorded right before the final dot, what became of it right after the answer.
Whoever is named by the first and not by the second is in doubt: the process ended between the two, or no answer came,
and only the mail log of the next host tells whether the message was taken.
"""

from __future__ import annotations

import json
import os
import secrets
import time
from typing import Any, NamedTuple

from .quarantine import Entry

WAITING, DOUBT, RELEASED = "waiting", "in doubt", "released"
_MODE = 0o640


class State(NamedTuple):
    """What is known of one recipient."""

    name: str  #: WAITING, DOUBT or RELEASED
    time: int = 0  #: seconds since 1970: when it was sent
    downstream: str = ""  #: host:port of the server that it was sent to
    reply: str = ""  #: the server's, when it is RELEASED


class Journal:
    """The releases of one message. Whoever writes has claimed the message."""

    def __init__(self, entry: Entry) -> None:
        self._entry = entry

    def states(self) -> dict[str, State]:
        """Each recipient's state. Raises OSError."""
        found = dict.fromkeys(self._entry.addresses, State(WAITING))
        attempts: dict[str, dict[str, Any]] = {}
        for record in self._records():
            if record.get("event") == "sending":
                attempts[record["attempt"]] = record
                for address in record["recipients"]:
                    found[address] = State(DOUBT, record["time"], record["downstream"])
            elif record.get("event") == "answered" and record["attempt"] in attempts:
                sent = attempts[record["attempt"]]
                for address, reply in record["released"].items():
                    found[address] = State(RELEASED, sent["time"], sent["downstream"], reply)
                for address in record["refused"]:
                    found[address] = State(WAITING)
        return found

    def sending(self, downstream: str, recipients: list[str]) -> str:
        """Record that the final dot will be sent next; a name for this attempt. Raises OSError."""
        attempt = secrets.token_hex(8)
        self._append({"event": "sending", "attempt": attempt, "downstream": downstream, "recipients": recipients})
        return attempt

    def answered(self, attempt: str, released: dict[str, str], refused: dict[str, str]) -> None:
        """Record whose copy was taken and whose was not, by the server's replies. Raises OSError."""
        self._append({"event": "answered", "attempt": attempt, "released": released, "refused": refused})

    def _records(self) -> list[dict[str, Any]]:
        try:
            with open(self._entry.journal_path, "rb") as file:
                lines = file.read().split(b"\n")
        except FileNotFoundError:
            return []
        # A line that is not whole was being written when the process was killed: nothing has depended on it.
        records = []
        for line in lines[:-1]:
            try:
                record = json.loads(line)
            except ValueError:
                continue
            if isinstance(record, dict):
                records.append(record)
        return records

    def _append(self, record: dict[str, Any]) -> None:
        path = self._entry.journal_path
        # The directory belongs to the filter's user, and root may be the one who calls: no link is followed.
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        is_new = not os.path.lexists(path)
        descriptor = os.open(path, flags, _MODE)
        try:
            if is_new:
                self._as_the_message(descriptor)
            end = os.fstat(descriptor).st_size
            torn = end > 0 and os.pread(descriptor, 1, end - 1) != b"\n"
            line = json.dumps({"time": int(time.time()), **record}).encode("ascii") + b"\n"
            line = b"\n" + line if torn else line
            if os.write(descriptor, line) != len(line):
                raise OSError(28, os.strerror(28), path)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if is_new:
            place = os.open(os.path.dirname(path), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                os.fsync(place)
            finally:
                os.close(place)

    def _as_the_message(self, descriptor: int) -> None:
        """Give the journal the owner of the message, so that the filter's user can go on with what root began."""
        os.fchmod(descriptor, _MODE)
        if os.geteuid() == 0:
            status = os.stat(self._entry.path)
            os.fchown(descriptor, status.st_uid, status.st_gid)
