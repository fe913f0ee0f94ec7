# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a worker writes down of each message: a line of the ledger, and figures."""

from __future__ import annotations

from typing import Optional

from .. import log
from ..config import Config
from . import ledger
from .metrics import Meter
from .record import Privacy, Record, end_of, line


class Accounts:
    """The books of one worker. Nothing here raises, whatever is wrong with disks."""

    def __init__(self, config: Config, meter: Meter) -> None:
        self._meter = meter
        self._privacy = Privacy("none")
        where = ledger.place(config)
        self._ledger: Optional[ledger.Ledger] = ledger.Ledger(where, meter.name) if where else None
        try:
            self._privacy = ledger.privacy(config)
        except OSError as error:
            log.warning(f"ledger: the key for hashes cannot be read ({error.strerror}): addresses are left out")

    def message(self, record: Record) -> None:
        """A message was answered."""
        ends = [end_of(recipient) for recipient in record.recipients]
        if self._ledger is not None:
            self._write(line(record, ends, self._privacy))
        self._meter.message(record.verdict, record.disposition, record.size, ends, record.seconds, record.used)

    def given_up(self, message_id: str, front: str, size: int, reason: str) -> None:
        """A message has no end: `reason` is one of metrics.REASONS."""
        self._write({"event": "given up", "id": message_id, "front": front, "size": size, "reason": reason})
        self._meter.add("given_up", (("reason", reason),))

    def scanner(self, name: str, seconds: float, failed: bool) -> None:
        """A scanner was asked about a message."""
        self._meter.scanner(name, seconds, failed)

    def reinjection_failed(self) -> None:
        """A copy was not taken, but may be later."""
        self._meter.add("reinjection_failures")

    def _write(self, data: dict[str, object]) -> None:
        if self._ledger is not None:
            written = self._ledger.write(data)
            self._meter.set("ledger_lines", self._ledger.number)
            if not written:
                self._meter.set("ledger_failures", self._ledger.failures)
