# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The figures that `make bench` puts into docs/engines.md."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs/engines.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def writer() -> ModuleType:
    spec = importlib.util.spec_from_file_location("engines_page", ROOT / "tools/bench/engines_page.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def of(rate: float) -> dict[str, Any]:
    return {"rate": rate, "cpu_ms": 1000 / rate, "scanner_cpu_ms": 0.5}


def test_the_table_has_a_column_for_each_way_of_running_an_engine(writer: ModuleType) -> None:
    names = ("filter-daemon", "amavisd-new tuned", "amavisd-new installed")
    summary = {
        "rounds": 3,
        "sessions": 8,
        "processors": 2,
        "cells": {
            "4 KiB, new connection": {names[0]: of(500), names[1]: of(125), names[2]: of(50), "clamsmtp": of(100)}
        },
        "process": {name: {"p50_ms": 2.5, "p99_ms": 9.25, "pss_kib": 20480} for name in names},
        "postfix": {"no filter": 150, "filter-daemon": 140, "amavisd-new installed": 22},
    }
    lines = writer.figures(summary).splitlines()
    assert lines[2] == "| | bundled | amavisd-new tuned | amavisd-new installed |"
    assert "| messages/s: 4 KiB, new connection | 500 | 125 | 50 |" in lines
    assert "| own processor time, ms per message: 4 KiB, new connection | 2.0 | 8.0 | 20.0 |" in lines
    assert "| memory of all its processes after the load (PSS), MiB | 20.0 | 20.0 | 20.0 |" in lines
    assert "| through a whole Postfix, messages/s (150 without a filter) | 140 | not measured | 22 |" in lines


def test_they_stand_between_the_markers_and_nothing_else_changes(writer: ModuleType) -> None:
    once = writer.filled(PAGE, "| 1 |")
    assert "\n| 1 |\n" in once
    # a second run replaces the first
    twice = writer.filled(once, "| 2 |")
    assert "| 1 |" not in twice
    assert twice.replace("| 2 |", "| 1 |") == once
    before, _, rest = PAGE.partition(writer.BEGIN)
    assert once.startswith(before)
    assert once.endswith(rest.partition(writer.END)[2])


@pytest.mark.parametrize("page", ["", "<!-- figures: begin (make bench) -->\n", "x\n<!-- figures: end -->\n"])
def test_a_page_without_a_place_for_them_is_refused(writer: ModuleType, page: str) -> None:
    with pytest.raises(ValueError, match="no place for figures"):
        writer.filled(page, "x")
