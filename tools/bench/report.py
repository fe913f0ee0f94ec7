# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""From the raw figures of one run: a table with medians and ratios, JSON, Markdown and an SVG chart."""

from __future__ import annotations

import json
import statistics
import sys
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

OURS = "filter-daemon"
PEERS = ("amavisd-new tuned", "amavisd-new installed", "clamsmtp")
_COLOURS = {OURS: "#1b6ca8", "amavisd-new tuned": "#c8553d", "amavisd-new installed": "#e3a18f", "clamsmtp": "#7a9e7e"}

#: Begins every page and chart that make bench writes.
LICENSE = """\
<!--
SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
SPDX-License-Identifier: GPL-3.0-or-later
Written by make bench.
-->
"""

Figures = dict[str, Any]


def summarise(raw: Figures) -> Figures:
    """Medians over the rounds, and ratios against each peer (the median of the ratios round by round)."""
    rounds = raw["rounds"]
    cells = list(rounds[0][OURS]["cells"])
    summary: Figures = {
        "sessions": raw["sessions"],
        "processors": raw["processors"],
        "rounds": len(rounds),
        "cells": {},
    }
    for cell in cells:
        row: Figures = {}
        for name in (OURS, *PEERS, "sink alone"):
            row[name] = {
                key: statistics.median(one[name]["cells"][cell][key] for one in rounds)
                for key in rounds[0][name]["cells"][cell]
            }
            if name in PEERS:
                row[name]["rate_ratio"] = _ratio(rounds, cell, name, "rate")
                row[name]["cpu_ratio"] = 1 / _ratio(rounds, cell, name, "cpu_ms")
        summary["cells"][cell] = row
    summary["process"] = {
        name: {key: statistics.median(one[name][key] for one in rounds) for key in ("p50_ms", "p99_ms", "pss_kib")}
        for name in (OURS, *PEERS)
    }
    summary["beside"] = {key: statistics.median(one[key] for one in raw["beside"]) for key in raw["beside"][0]}
    # the share of throughput that is lost with them, pair by pair; the quarters tell how much of it is noise
    summary["bookkeeping"] = {}
    for name in raw["bookkeeping"][0]:
        if name != OURS:
            lost = [1 - one[OURS] / one[name] for one in raw["bookkeeping"]]
            quarters = statistics.quantiles(lost, n=4)
            summary["bookkeeping"][name] = {"median": quarters[1], "least": quarters[0], "most": quarters[2]}
    postfix = raw["postfix"]
    summary["postfix"] = {name: statistics.median(one[name] for one in postfix) for name in postfix[0]}
    summary["postfix_share"] = {
        name: statistics.median(one[name] / one["no filter"] for one in postfix) for name in postfix[0]
    }
    return summary


def _ratio(rounds: list[Figures], cell: str, peer: str, key: str) -> float:
    return statistics.median(one[OURS]["cells"][cell][key] / max(one[peer]["cells"][cell][key], 0.01) for one in rounds)


def table(summary: Figures) -> str:
    """Markdown that is also readable in a terminal."""
    lines = [
        (
            f"Medians of {summary['rounds']} interleaved rounds, {summary['sessions']} sessions at a time,"
            f" {summary['processors']} processors, one clamd for all."
        ),
        "",
        "Messages per second, and in brackets how many times that of each peer this daemon delivers.",
        "",
        "| messages | filter-daemon | amavisd-new tuned | amavisd-new installed | clamsmtp | sink alone |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for cell, row in summary["cells"].items():
        peers = " | ".join(f"{row[name]['rate']:.0f} ({row[name]['rate_ratio']:.1f}x)" for name in PEERS)
        lines.append(f"| {cell} | {row[OURS]['rate']:.0f} | {peers} | {row['sink alone']['rate']:.0f} |")
    lines += [
        "",
        "Own processor time per message in ms, and in brackets how many times ours each peer uses.",
        "",
        "| messages | filter-daemon | amavisd-new tuned | amavisd-new installed | clamsmtp |",
        "|---|---:|---:|---:|---:|",
    ]
    for cell, row in summary["cells"].items():
        peers = " | ".join(f"{row[name]['cpu_ms']:.2f} ({row[name]['cpu_ratio']:.1f}x)" for name in PEERS)
        lines.append(f"| {cell} | {row[OURS]['cpu_ms']:.2f} | {peers} |")
    lines += [
        "",
        "clamd's processor time per message in ms.",
        "",
        "| messages | filter-daemon | amavisd-new tuned | amavisd-new installed | clamsmtp |",
        "|---|---:|---:|---:|---:|",
    ]
    for cell, row in summary["cells"].items():
        peers = " | ".join(f"{row[name]['scanner_cpu_ms']:.2f}" for name in PEERS)
        lines.append(f"| {cell} | {row[OURS]['scanner_cpu_ms']:.2f} | {peers} |")
    lines += [
        "",
        "One session at a time, 4 KiB, new connections; memory of the whole process tree (PSS) after the load.",
        "",
        "| | p50 ms | p99 ms | PSS MiB |",
        "|---|---:|---:|---:|",
    ]
    for name, row in summary["process"].items():
        lines.append(f"| {name} | {row['p50_ms']:.1f} | {row['p99_ms']:.1f} | {row['pss_kib'] / 1024:.1f} |")
    beside = summary["beside"]
    lines += [
        "",
        f"p99 of 4 KiB messages while messages of 25 MB are in flight: {beside['ratio']:.1f} times that without.",
        "",
        *(
            (
                f"Against this daemon {name} (4 KiB, reused connections): {share['median'] * 100:.1f} % fewer messages"
                f" per second; half of all pairs from {share['least'] * 100:.1f} % to {share['most'] * 100:.1f} %."
            )
            for name, share in summary["bookkeeping"].items()
        ),
        "",
        "Through a whole Postfix (two queue passes, 4 KiB), against the same without a filter.",
        "",
        "| | messages/s | share |",
        "|---|---:|---:|",
    ]
    for name, rate in summary["postfix"].items():
        lines.append(f"| {name} | {rate:.0f} | {summary['postfix_share'][name]:.2f} |")
    return "\n".join(lines) + "\n"


def chart(summary: Figures) -> str:
    """Bars: how many times a peer's throughput this daemon delivers, and how many times our CPU time a peer uses."""
    cells = [cell for cell in summary["cells"] if cell.endswith("new connection")]
    panels = (
        ("Messages per second, times the peer's", "rate_ratio"),
        ("Processor time per message, times ours", "cpu_ratio"),
    )
    width, bar, gap, label, top = 760, 15, 12, 110, 54
    height = top + len(panels) * (30 + len(cells) * (len(PEERS) * bar + gap)) + 20
    parts = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}"'
            ' font-family="sans-serif" font-size="12" role="img" aria-label="filter-daemon against its peers">'
        ),
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
    ]
    position = 12
    for name in PEERS:
        parts.append(f'<rect x="{position}" y="12" width="12" height="12" fill="{_COLOURS[name]}"/>')
        parts.append(f'<text x="{position + 18}" y="22">against {escape(name)}</text>')
        position += 210
    y = top
    for title, key in panels:
        parts.append(f'<text x="12" y="{y}" font-weight="bold">{escape(title)}</text>')
        y += 12
        largest = max(summary["cells"][cell][name][key] for cell in cells for name in PEERS)
        scale = (width - label - 70) / largest
        for cell in cells:
            parts.append(f'<text x="12" y="{y + len(PEERS) * bar / 2 + 4:.0f}">{escape(cell.split(",")[0])}</text>')
            for name in PEERS:
                value = summary["cells"][cell][name][key]
                parts.append(
                    f'<rect x="{label}" y="{y}" width="{max(value * scale, 1):.1f}" height="{bar - 2}"'
                    f' fill="{_COLOURS[name]}"/>'
                )
                parts.append(
                    f'<text x="{label + value * scale + 5:.1f}" y="{y + bar - 4}" font-size="11">{value:.1f}</text>'
                )
                y += bar
            y += gap
        y += 18
    parts.append("</svg>")
    return "\n".join(parts) + "\n"


def main() -> int:
    """report.py RAW-JSON DIRECTORY"""
    raw = json.loads(Path(sys.argv[1]).read_text())
    directory = Path(sys.argv[2])
    directory.mkdir(parents=True, exist_ok=True)
    summary = summarise(raw)
    text = table(summary)
    (directory / "results.json").write_text(json.dumps({"summary": summary, "raw": raw}, indent=1) + "\n")
    (directory / "results.md").write_text(LICENSE + "# This daemon beside its peers\n\n![chart](chart.svg)\n\n" + text)
    (directory / "chart.svg").write_text(LICENSE + chart(summary))
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
