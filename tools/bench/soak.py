# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Minutes of mixed load on the daemon: does memory, do descriptors or scratch grow? Runs inside the container.

Prints one line for each tenth of the time, and fails when the last third needs more than the one before it.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import statistics
import sys
import time
from pathlib import Path

import contenders
from run import send

import messages

SCRATCH = Path(contenders.SCRATCH, str(contenders.FILTER_PORT))
#: Growth of memory that is taken for noise of the allocator.
TOLERATED = 1.1


def _descriptors(processes: contenders.Processes) -> int:
    total = 0
    for pid in processes.pids():
        with contextlib.suppress(OSError):
            total += len(os.listdir(f"/proc/{pid}/fd"))
    return total


def main() -> int:
    """Load and look."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=300)
    options = parser.parse_args()
    files = messages.write(Path("/tmp/bench-messages"))
    sink = contenders.start_sink()
    clamd = contenders.start_clamd()
    seen: list[tuple[int, int, int]] = []
    sent = 0
    try:
        with contenders.running("filter-daemon") as processes:
            start = time.monotonic()
            for tenth in range(1, 11):
                while time.monotonic() - start < options.seconds * tenth / 10:
                    for kind, count in (("4 KiB", 200), ("realistic", 40), ("100 KiB", 40), ("2 MiB", 6)):
                        send(contenders.FILTER_PORT, files[kind], count, reuse=bool(sent % 2))
                        sent += count
                time.sleep(1)
                seen.append((processes.pss_kib(), _descriptors(processes), len(list(SCRATCH.iterdir()))))
                words = "{:.0f} s: {} messages, PSS {} KiB, {} descriptors, {} scratch files"
                print(words.format(time.monotonic() - start, sent, *seen[-1]), flush=True)
    finally:
        sink.stop()
        clamd.stop()
    middle, last = seen[4:7], seen[7:]
    grown = [
        name
        for index, name in enumerate(("memory", "descriptors", "scratch files"))
        if statistics.median(row[index] for row in last) > TOLERATED * statistics.median(row[index] for row in middle)
    ]
    print("grows: " + ", ".join(grown) if grown else "nothing grows")
    return 1 if grown else 0


if __name__ == "__main__":
    sys.exit(main())
