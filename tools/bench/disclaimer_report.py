# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""From the raw figures of the disclaimer programs: medians as JSON, as a page in Markdown, and a chart."""

from __future__ import annotations

import json
import statistics
import sys
from pathlib import Path
from xml.sax.saxutils import escape

from report import LICENSE, Figures

_COLOURS = ("#7a9e7e", "#1b6ca8", "#c8553d")


def summarise(raw: Figures) -> Figures:
    """Medians over the rounds: program -> kind of message -> rate (messages/s) and cpu_ms."""
    rounds = raw["rounds"]
    return {
        name: {
            kind: {key: statistics.median(one[name][kind][key] for one in rounds) for key in cell}
            for kind, cell in row.items()
        }
        for name, row in rounds[0].items()
    }


def table(summary: Figures, key: str, form: str) -> str:
    """A row for each program, a column for each kind of message."""
    kinds = list(next(iter(summary.values())))
    lines = ["| program | " + " | ".join(kinds) + " |", "|---|" + "---:|" * len(kinds)]
    for name, row in summary.items():
        lines.append(f"| {name} | " + " | ".join(format(row[kind][key], form) for kind in kinds) + " |")
    return "\n".join(lines) + "\n"


def page(raw: Figures, summary: Figures) -> str:
    """The whole page."""
    return (
        f"{LICENSE}# Disclaimer programs\n\n![chart](disclaimers.svg)\n\n"
        f"Medians of {len(raw['rounds'])} interleaved rounds, {raw['parallel']} messages at a time,"
        f" {raw['processors']} processors; one process for each message, as pipe(8) starts them.\n\n"
        f"Messages per second.\n\n{table(summary, 'rate', '.0f')}\n"
        "Processor time per message in ms, with all that the program starts.\n\n"
        f"{table(summary, 'cpu_ms', '.1f')}"
    )


def chart(summary: Figures) -> str:
    """Bars: messages per second, by kind of message."""
    kinds = list(next(iter(summary.values())))
    width, bar, gap, label, top = 760, 15, 12, 110, 34 + 18 * len(summary)
    largest = max(row[kind]["rate"] for row in summary.values() for kind in kinds)
    height = top + len(kinds) * (len(summary) * bar + gap)
    parts = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}"'
            ' font-family="sans-serif" font-size="12" role="img" aria-label="disclaimer programs, messages per second">'
        ),
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
        '<text x="12" y="20" font-weight="bold">Messages per second</text>',
    ]
    for number, name in enumerate(summary):
        y = 30 + 18 * number
        parts.append(f'<rect x="12" y="{y}" width="12" height="12" fill="{_COLOURS[number % len(_COLOURS)]}"/>')
        parts.append(f'<text x="30" y="{y + 10}">{escape(name)}</text>')
    y = top
    for kind in kinds:
        parts.append(f'<text x="12" y="{y + len(summary) * bar / 2 + 4:.0f}">{escape(kind)}</text>')
        for number, row in enumerate(summary.values()):
            rate = row[kind]["rate"]
            long = rate * (width - label - 70) / largest
            colour = _COLOURS[number % len(_COLOURS)]
            parts.append(f'<rect x="{label}" y="{y}" width="{max(long, 1):.1f}" height="{bar - 2}" fill="{colour}"/>')
            parts.append(f'<text x="{label + long + 5:.1f}" y="{y + bar - 4}" font-size="11">{rate:.0f}</text>')
            y += bar
        y += gap
    return "\n".join([*parts, "</svg>"]) + "\n"


def main() -> int:
    """disclaimer_report.py RAW-JSON DIRECTORY"""
    raw = json.loads(Path(sys.argv[1]).read_text())
    directory = Path(sys.argv[2])
    directory.mkdir(parents=True, exist_ok=True)
    summary = summarise(raw)
    text = page(raw, summary)
    (directory / "disclaimers.json").write_text(json.dumps({"summary": summary, "raw": raw}, indent=1) + "\n")
    (directory / "disclaimers.md").write_text(text)
    (directory / "disclaimers.svg").write_text(LICENSE + chart(summary))
    print(text.partition(")\n\n")[2])
    return 0


if __name__ == "__main__":
    sys.exit(main())
