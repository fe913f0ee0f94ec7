# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Drawings of the report as SVG: who hands mail to whom, messages over time. Pure functions."""

from __future__ import annotations

import html
import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

#: Verdicts in the order in which they are stacked, and their colours, which differ in lightness too, for print.
COLOURS = {
    "clean": "#7fb685",
    "bad_header": "#c9d6a3",
    "spam": "#e9c46a",
    "ambiguous": "#f4a261",
    "encrypted": "#b8a1d9",
    "unchecked": "#8d99ae",
    "banned": "#e76f51",
    "virus": "#9d0208",
    "loop": "#5c4d7d",
    "unscanned": "#3d405b",
}
_ROW, _BOX, _GAP = 44, 30, 14
_WIDTH = 960


class Wire(NamedTuple):
    """Mail goes from a mail host to a filter."""

    source: str
    target: str  #: a host of the report, or the name in the mail host's configuration
    words: str  #: how, such as scan:[127.0.0.1]:10024
    back: str = ""  #: the mail host to which the filter hands clean mail back, empty when that is not known


def topology(mail_hosts: Sequence[str], filter_hosts: Sequence[str], wires: Sequence[Wire], bad: set[str]) -> str:
    """Mail hosts on the left, filters on the right, and a line for each way that mail takes, there and back."""
    others = [wire.target for wire in wires if wire.target not in filter_hosts]
    right = [*filter_hosts, *dict.fromkeys(others)]
    rows = max(len(mail_hosts), len(right), 1)
    height = rows * _ROW + _GAP
    pieces = [
        f'<svg class="topology" viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="Wiring">',
        (
            '<defs><marker id="tip" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
            '<path d="M0 0L8 4L0 8z" fill="#445"/></marker></defs>'
        ),
    ]
    for wire in wires:
        if wire.source not in mail_hosts:
            continue
        start, end = _middle(mail_hosts.index(wire.source)), _middle(right.index(wire.target))
        pieces.append(
            f'<path d="M360 {start - 4}C480 {start - 4} 480 {end - 4} 600 {end - 4}" class="wire" '
            f'marker-end="url(#tip)"/>'
        )
        if wire.back in mail_hosts:
            home = _middle(mail_hosts.index(wire.back))
            pieces.append(
                f'<path d="M600 {end + 6}C480 {end + 6} 480 {home + 6} 360 {home + 6}" class="wire back" '
                f'marker-end="url(#tip)"/>'
            )
        if len(wires) <= 6:
            words = html.escape(wire.words[:44])
            pieces.append(f'<text x="366" y="{start - 8}" class="how">{words}</text>')
    for number, name in enumerate(mail_hosts):
        pieces.append(_box(60, number, name, "Postfix", name in bad))
    for number, name in enumerate(right):
        kind = "filter" if name in filter_hosts else "not in this report"
        pieces.append(_box(600, number, name, kind, name in bad))
    return "".join([*pieces, "</svg>"])


def _middle(row: int) -> int:
    return row * _ROW + _GAP + _BOX // 2


def _box(x: int, row: int, name: str, kind: str, bad: bool) -> str:
    top = row * _ROW + _GAP
    shown = name if len(name) <= 32 else name[:31] + "…"
    return (
        f'<g class="box{" bad" if bad else ""}"><rect x="{x}" y="{top}" width="300" height="{_BOX}" rx="5"/>'
        f'<text x="{x + 10}" y="{top + 19}">{html.escape(shown)}</text>'
        f'<text x="{x + 292}" y="{top + 19}" class="kind">{kind}</text></g>'
    )


def history(hours: Sequence[Mapping[str, Any]], label: str) -> str:
    """Messages of each hour, stacked by verdict."""
    if not hours:
        return '<p class="none">No figures yet.</p>'
    first, last = int(hours[0]["start"]), int(hours[-1]["start"])
    count = (last - first) // 3600 + 1
    by_start = {int(hour["start"]): hour for hour in hours}
    most = max((sum(hour["messages"].values()) for hour in hours), default=0) or 1
    width, height = _WIDTH, 180
    step = (width - 60) / max(count, 12)
    pieces = [f'<svg class="history" viewBox="0 0 {width} {height}" role="img" aria-label="{html.escape(label)}">']
    for part in (0, 0.5, 1):
        y = 150 - 130 * part
        pieces.append(f'<line x1="50" x2="{width - 10}" y1="{y:.0f}" y2="{y:.0f}" class="grid"/>')
        pieces.append(f'<text x="44" y="{y + 4:.0f}" class="axis">{round(most * part)}</text>')
    for number in range(count):
        start = first + 3600 * number
        x, y = 50 + number * step, 150.0
        messages = by_start.get(start, {}).get("messages", {})
        for verdict, colour in COLOURS.items():
            tall = 130 * messages.get(verdict, 0) / most
            if tall:
                y -= tall
                words = f"{_hour(start)}: {messages[verdict]} {verdict}"
                wide = max(1, step - 1.5)
                pieces.append(
                    f'<rect x="{x:.1f}" y="{y:.1f}" width="{wide:.1f}" height="{tall:.1f}" fill="{colour}">'
                    f"<title>{words}</title></rect>"
                )
        # The last one must have room to the right.
        if number % max(1, count // 8) == 0 and x < width - 70:
            pieces.append(f'<text x="{x:.0f}" y="168" class="hour">{_hour(start)}</text>')
    return "".join([*pieces, "</svg>"])


def _hour(start: int) -> str:
    return time.strftime("%d %b %H:%M", time.gmtime(start))


def legend(verdicts: Sequence[str]) -> str:
    """What the colours mean."""
    found = [
        f'<span><i style="background:{colour}"></i>{verdict.replace("_", " ")}</span>'
        for verdict, colour in COLOURS.items()
        if verdict in verdicts
    ]
    return f'<p class="legend">{"".join(found)}</p>' if found else ""


def capacity_bar(used: float | None, size: float | None, words: str, limit: float = 0.8) -> str:
    """How much of something is in use."""
    if used is None or not size:
        return f'<span class="bar"><b style="width:0"></b></span> {html.escape(words)}'
    part = min(1.0, used / size)
    state = "full" if part >= limit else ""
    return f'<span class="bar {state}"><b style="width:{100 * part:.1f}%"></b></span> {html.escape(words)}'
