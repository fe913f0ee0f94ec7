# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Many clients at a time, and what the daemon's processes hold meanwhile."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from .client import CLEAN, Client, stuff
from .daemon import Daemon


def open_message(address: tuple[str, int], content: bytes = CLEAN, end: bool = True, verb: str = "LHLO") -> Client:
    """A client that has sent its message, but for the end of data if `end` is false, and has read no answer."""
    client = Client(address)
    client.hello(verb)
    client.envelope()
    client.good("DATA")
    client.send(stuff(content) if end else content)
    return client


def scratch_in_use(daemon: Daemon) -> int:
    """Bytes that the workers have in the scratch directory: its files have no name, so their descriptors tell."""
    total = 0
    for pid in daemon.worker_pids():
        with contextlib.suppress(OSError):
            for entry in os.scandir(f"/proc/{pid}/fd"):
                with contextlib.suppress(OSError):
                    if os.readlink(entry.path).startswith(str(daemon.scratch) + "/"):
                        total += os.stat(entry.path).st_size
    return total


def descriptors(daemon: Daemon) -> int:
    """Open descriptors of the service and its workers."""
    return sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in [daemon.pid, *daemon.worker_pids()])


def peak_memory(pid: int) -> int:
    """The most memory that a process has ever had, in bytes."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("no VmHWM")


@contextlib.contextmanager
def sampled(measure: Callable[[], int]) -> Iterator[list[int]]:
    """Take `measure` again and again while the block runs; the list holds all values once it has ended."""
    values: list[int] = []
    done = threading.Event()

    def sample() -> None:
        while not done.is_set():
            values.append(measure())
            time.sleep(0.002)

    thread = threading.Thread(target=sample, daemon=True)
    thread.start()
    try:
        yield values
    finally:
        done.set()
        thread.join()
