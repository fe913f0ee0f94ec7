# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the first worker looks at for all, because the service must not wait: the quarantine and signatures."""

from __future__ import annotations

import asyncio
import calendar
import os
import time
from typing import NamedTuple, Optional

from .. import log, quarantine
from ..config import Config
from ..scan.clamd import Clamd
from ..scan.panel import Panel
from .metrics import Meter

#: Seconds between two looks.
INTERVAL = 60.0


class Kept(NamedTuple):
    """The quarantine in figures."""

    messages: int
    size: int  #: bytes
    oldest: float  #: seconds since 1970, 0 without any


async def watch(config: Config, panel: Panel, meter: Meter, loop: asyncio.AbstractEventLoop) -> None:
    """Look from time to time, until it is cancelled."""
    while True:
        try:
            kept = await loop.run_in_executor(None, look_into, config.quarantine_directory)
            meter.set("quarantine_messages", kept.messages)
            meter.set("quarantine_bytes", kept.size)
            meter.set("quarantine_oldest_timestamp_seconds", kept.oldest)
        except OSError as error:
            log.warning(f"quarantine_directory: {config.quarantine_directory}: {error.strerror}")
        for scanner in panel.scanners:
            if isinstance(scanner, Clamd):
                made = await signatures(scanner)
                meter.set("scanner_signatures_timestamp_seconds", made or 0.0, (("scanner", scanner.name),))
        await asyncio.sleep(INTERVAL)


def look_into(directory: str) -> Kept:
    """How much is in quarantine. Raises OSError."""
    messages = size = 0
    oldest = ""
    with os.scandir(directory) as entries:
        for entry in entries:
            if entry.name.endswith(".msg") and quarantine.is_identity(entry.name[:-4]):
                try:
                    size += entry.stat(follow_symlinks=False).st_size
                except FileNotFoundError:
                    continue  # it has just been released
                messages += 1
                oldest = min(oldest or entry.name, entry.name)
    since = calendar.timegm(time.strptime(oldest[:16], "%Y%m%dT%H%M%SZ")) if oldest else 0
    return Kept(messages, size, since)


async def signatures(scanner: Clamd) -> Optional[float]:
    """When they were made, in seconds since 1970; None when clamd does not say."""
    try:
        return made(await scanner.command("VERSION"))
    except (OSError, asyncio.TimeoutError):
        return None  # messages that it is to scan tell that something is wrong


def made(version: str) -> Optional[float]:
    """The time in what clamd says of itself: "ClamAV 1.4.3/27800/Tue Oct 20 08:00:00 2026", in local time."""
    try:
        return time.mktime(time.strptime(version.split("/")[2].strip(), "%a %b %d %H:%M:%S %Y"))
    except (IndexError, ValueError, OverflowError):
        return None
