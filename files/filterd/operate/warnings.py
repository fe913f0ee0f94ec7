# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Warnings before harm: pure judgement of what was seen, and the memory of what has been said."""

from __future__ import annotations

from typing import NamedTuple

from ..config import Config
from .looks import Disks

#: Seconds for which a warning that has ended must stay away before this is said.
_CALM = 30.0

INSTANCES, DEADLINE, SCRATCH, QUARANTINE = "instances", "deadline", "scratch", "quarantine"
SIGNATURES, SCANNER, CLOCK, LEDGER, CONFIGURATION = "signatures", "scanner", "clock", "ledger", "configuration"
#: All names, in the order of urgency.
NAMES = (QUARANTINE, SCRATCH, DEADLINE, INSTANCES, SCANNER, SIGNATURES, CLOCK, LEDGER, CONFIGURATION)

#: What to do about each.
ADVICE = {
    INSTANCES: "find what keeps messages in the filter (status shows the time of each stage), or raise instances "
    "together with the tmpfs and Postfix' maxproc for the transport",
    DEADLINE: "find the slow stage in status; messages that need longer than message_deadline are deferred",
    SCRATCH: "messages are deferred with 452 when it is full: look for stale files with filter-daemon clean, or "
    "enlarge the tmpfs",
    QUARANTINE: "release or delete with filter-daemon quarantine, lower quarantine_max_age or quarantine_max_size, or "
    "enlarge the file system; when the reserve is touched, infected mail is deferred",
    SIGNATURES: "see why the updates fail: systemctl status clamav-freshclam, /var/log/clamav/freshclam.log",
    SCANNER: "see what the scanner does: its log, its memory, its number of threads",
    CLOCK: "see whether the machine's clock is synchronised: timedatectl",
    LEDGER: "see the log for the reason; mail goes on, but trace and audit miss what was not written",
    CONFIGURATION: "systemctl reload filter-daemon takes over what is on disk; a restart is needed for new code",
}


class Seen(NamedTuple):
    """What was seen just now. Times in seconds, sizes in bytes."""

    full_for: float  #: for so long all places were taken and messages waited
    used: float  #: most of the deadline that a message needed lately, as a part of it
    disks: Disks
    signature_ages: dict[str, float]  #: by scanner
    scanner_times: dict[str, float]  #: average of the last minutes, by scanner
    clock: str  #: what is wrong with it
    ledger_failures: float  #: lines lost lately
    drift: str  #: how what runs differs from what is on disk


class Warning(NamedTuple):  # noqa: A001  (that is what it is)
    """One thing that will do harm."""

    name: str  #: one of NAMES
    words: str
    advice: str


def judge(seen: Seen, config: Config) -> list[Warning]:
    """What is to be warned of."""
    found: dict[str, str] = {}
    if seen.full_for >= config.warn_full_time:
        found[INSTANCES] = (
            f"all {config.instances} instances are busy and messages have been waiting for {seen.full_for:.0f} s"
        )
    if seen.used >= config.warn_deadline_used:
        deadline = f"message_deadline ({config.message_deadline:g} s)"
        found[DEADLINE] = f"a message needed {seen.used * 100:.0f} % or more of {deadline} lately"
    used, capacity, free = seen.disks
    if used is not None and capacity and used >= config.warn_scratch_used * capacity:
        found[SCRATCH] = f"{used} of {capacity} bytes of scratch are in use ({100 * used // capacity} %)"
    if free is not None and free < config.quarantine_reserve + config.warn_quarantine_margin:
        left = max(0, free - config.quarantine_reserve)
        found[QUARANTINE] = f"the quarantine has room for {left} more bytes before its reserve is touched"
    old = {name: age for name, age in seen.signature_ages.items() if age > config.warn_signature_age}
    if old:
        found[SIGNATURES] = "; ".join(f"signatures of {name} are {duration(age)} old" for name, age in old.items())
    slow = {name: time for name, time in seen.scanner_times.items() if time > config.warn_scanner_time}
    if slow:
        found[SCANNER] = "; ".join(f"{name} needs {time:.1f} s on average" for name, time in slow.items())
    if seen.clock:
        found[CLOCK] = seen.clock
    if seen.ledger_failures:
        found[LEDGER] = f"{seen.ledger_failures:.0f} lines could not be written to the ledger lately"
    if seen.drift:
        found[CONFIGURATION] = seen.drift
    return [Warning(name, found[name], ADVICE[name]) for name in NAMES if name in found]


def duration(seconds: float) -> str:
    """A time for people: 45 s, 12 min, 3 h, 2 days."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.0f} h" if seconds < 172800 else f"{seconds / 86400:.0f} days"


class Standing:
    """The warnings that stand, each said once when it begins and once when it has ended."""

    def __init__(self) -> None:
        self._standing: dict[str, Warning] = {}
        self._last_seen: dict[str, float] = {}

    def update(self, found: list[Warning], now: float) -> tuple[list[Warning], list[str]]:
        """Which begin, and which have ended. What flickers stands."""
        new = [warning for warning in found if warning.name not in self._standing]
        for warning in found:
            self._standing[warning.name] = warning
            self._last_seen[warning.name] = now
        ended = [name for name in self._standing if now - self._last_seen[name] > _CALM]
        for name in ended:
            del self._standing[name]
        return new, ended

    @property
    def now(self) -> list[Warning]:
        """All that stand, the most urgent first."""
        return [self._standing[name] for name in NAMES if name in self._standing]

    def stands(self, name: str) -> bool:
        """Whether this one does."""
        return name in self._standing
