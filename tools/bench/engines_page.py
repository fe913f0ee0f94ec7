# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Puts the figures of both engines between the markers of docs/engines.md.

Usage: engines_page.py RESULTS-JSON PAGE
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

BEGIN = "<!-- figures: begin (make bench) -->\n"
END = "<!-- figures: end -->\n"
OURS, TUNED, INSTALLED = "filter-daemon", "amavisd-new tuned", "amavisd-new installed"
#: What the page calls them.
_COLUMNS = {OURS: "bundled", TUNED: TUNED, INSTALLED: INSTALLED}


def figures(summary: dict[str, Any]) -> str:
    """One Markdown table from the summary of a run (report.summarise)."""
    lines = [
        (
            f"Medians of {summary['rounds']} interleaved rounds, {summary['sessions']} sessions at a time,"
            f" {summary['processors']} processors."
        ),
        "",
        "| | " + " | ".join(_COLUMNS.values()) + " |",
        "|---|" + "---:|" * len(_COLUMNS),
    ]
    for title, key, digits in (
        ("messages/s", "rate", 0),
        ("own processor time, ms per message", "cpu_ms", 1),
        ("clamd's processor time, ms per message", "scanner_cpu_ms", 1),
    ):
        for cell, row in summary["cells"].items():
            lines.append(_row(f"{title}: {cell}", [row[name][key] for name in _COLUMNS], digits))
    process = summary["process"]
    lines.append(_row("one session, 4 KiB: p50, ms", [process[name]["p50_ms"] for name in _COLUMNS], 1))
    lines.append(_row("one session, 4 KiB: p99, ms", [process[name]["p99_ms"] for name in _COLUMNS], 1))
    memory = [process[name]["pss_kib"] / 1024 for name in _COLUMNS]
    lines.append(_row("memory of all its processes after the load (PSS), MiB", memory, 1))
    postfix = summary["postfix"]
    title = f"through a whole Postfix, messages/s ({postfix['no filter']:.0f} without a filter)"
    lines.append(_row(title, [postfix.get(name) for name in _COLUMNS], 0))
    return "\n".join(lines) + "\n"


def _row(title: str, values: list[float | None], digits: int) -> str:
    words = ("not measured" if value is None else f"{value:.{digits}f}" for value in values)
    return f"| {title} | " + " | ".join(words) + " |"


def filled(page: str, text: str) -> str:
    """The page with this text between its markers. Raises ValueError when it has not both of them once, in order."""
    if page.count(BEGIN) != 1 or page.count(END) != 1 or page.index(BEGIN) > page.index(END):
        raise ValueError(f"no place for figures: it takes one line {BEGIN.strip()} and, after it, one {END.strip()}")
    before, _, rest = page.partition(BEGIN)
    return f"{before}{BEGIN}\n{text}\n{END}{rest.partition(END)[2]}"


def main() -> int:
    results, page = Path(sys.argv[1]), Path(sys.argv[2])
    summary = json.loads(results.read_text(encoding="utf-8"))["summary"]
    page.write_text(filled(page.read_text(encoding="utf-8"), figures(summary)), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
