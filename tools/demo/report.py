# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the demo shows at its end: one table, and the lines that prove it."""

from __future__ import annotations

import shutil
import textwrap

import container
from follow import Journey

_HEADINGS = ("message", "to", "expected", "happened", "")


def table(journeys: list[Journey]) -> str:
    """One row a message."""
    rows = [
        (way.sample.title, way.sample.recipient, way.sample.expected, way.happened, "ok" if way.met else "FAILED")
        for way in journeys
    ]
    # a long reason stands in full below, under the message
    cells = [_HEADINGS, *((*row[:3], textwrap.shorten(row[3], 60), row[4]) for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(_HEADINGS))]
    rule = "+" + "+".join("-" * (width + 2) for width in widths) + "+"
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in cells
    ]
    return "\n".join([rule, lines[0], rule, *lines[1:], rule])


def proof(journeys: list[Journey]) -> str:
    """Under each message's name, each step of its way with the line that proves it."""
    width = max(shutil.get_terminal_size((120, 25)).columns - 1, 80)
    lines = []
    for way in journeys:
        lines += ["", f"{way.sample.title}: {'as expected' if way.met else 'NOT AS EXPECTED: ' + way.happened}"]
        for step, words in way.proof:
            lines += textwrap.wrap(
                words, width, initial_indent=f"  {step:11}  ", subsequent_indent=" " * 15, break_on_hyphens=False
            )
    return "\n".join(lines)


def look_inside() -> str:
    """What to try next."""
    name = container.NAME
    return f"""
The mail host is still running, at {container.address()}. Look inside:
  docker exec -it {name} bash
  docker exec {name} postconf -M scan/unix 127.0.0.1:10025/inet     how Postfix is wired
  docker exec {name} filter-daemon check                            what the filter says of itself
  docker exec {name} filter-daemon quarantine list                  what it caught
  docker exec {name} journalctl -u filter-daemon                    what it did
  docker exec {name} df /var/spool/vscan                            its scratch space
Go on:
  make demo-verify                                                  prove the host once more, change nothing
  make demo-converge ARGS="-e filter_stack_instances=5 --diff"      change something
  make demo-converge ARGS="--check --diff"                          or only see what would be
  make demo-remove                                                  take the filter off the host again
  make demo-clean                                                   remove the host"""
