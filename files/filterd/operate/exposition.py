# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""OpenMetrics text (the specification of 2020, version 1.0.0)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from .metrics import COUNTER, FAMILIES, HISTOGRAM, INFO, PREFIX, SUM, Family, Labels, Slot

CONTENT_TYPE = "application/openmetrics-text; version=1.0.0; charset=utf-8"


def render(numbers: Mapping[Slot, float]) -> str:
    """All numbers; families without any are left out."""
    by_family: dict[str, dict[Labels, dict[int, float]]] = {}
    for slot, number in numbers.items():
        by_family.setdefault(slot.family, {}).setdefault(slot.labels, {})[slot.part] = number
    lines: list[str] = []
    for family in FAMILIES.values():
        if family.name in by_family:
            name = PREFIX + family.name
            lines += [f"# TYPE {name} {family.kind}"]
            # A unit is declared only where the name ends with it, which the specification asks for.
            lines += [f"# UNIT {name} {family.unit}"] if family.unit and name.endswith("_" + family.unit) else []
            lines += [f"# HELP {name} {_escaped(family.meaning)}"]
            for labels, parts in by_family[family.name].items():
                lines += _samples(name, family, labels, parts)
    return "\n".join([*lines, "# EOF", ""])


def _samples(name: str, family: Family, labels: Labels, parts: Mapping[int, float]) -> Iterable[str]:
    if family.kind == HISTOGRAM:
        seen = 0.0
        for number, bound in enumerate([*family.bounds, float("inf")]):
            seen += parts.get(number, 0.0)
            word = "+Inf" if bound == float("inf") else repr(float(bound))
            yield f"{name}_bucket{_labels((*labels, ('le', word)))} {_number(seen)}"
        yield f"{name}_count{_labels(labels)} {_number(seen)}"
        yield f"{name}_sum{_labels(labels)} {_number(parts.get(SUM, 0.0))}"
        return
    suffix = {COUNTER: "_total", INFO: "_info"}.get(family.kind, "")
    yield f"{name}{suffix}{_labels(labels)} {_number(parts[0])}"


def _labels(labels: Labels) -> str:
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in labels) + "}" if labels else ""


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


def _number(number: float) -> str:
    return str(int(number)) if number == int(number) else repr(number)
