# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The figures of docs/sizing.md are what the module tmpfs_size computes."""

from __future__ import annotations

import re
from fractions import Fraction
from pathlib import Path

import pytest
from ansible_collections.mailops.filter_stack.plugins.module_utils import _tmpfs_size

PAGE = (Path(__file__).parents[3] / "docs/sizing.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| ([^|]+) \| (\d+) \| (\d+) \| (\d+) \| (\d+) \| ([\d.]+) \|$", PAGE, re.MULTILINE)


def test_there_are_figures() -> None:
    assert len(ROWS) >= 5


@pytest.mark.parametrize(("host", "n", "f", "limit", "size", "mib"), ROWS)
def test_sizes_are_computed_right(host: str, n: str, f: str, limit: str, size: str, mib: str) -> None:
    computed = _tmpfs_size.compute(int(n), Fraction(f), int(limit), page_size=4096)
    assert computed.mount_bytes == int(size), host
    assert f"{computed.mount_bytes / 1048576:.1f}" == mib, host


def test_the_worked_example_adds_up() -> None:
    office = _tmpfs_size.compute(8, Fraction(2), 26214400, page_size=4096).mount_bytes // 1048576
    assert f"{office} MiB tmpfs" in PAGE
    assert 2.9 < (office + 2 * 64 + 2 * 1200) / 1024 < 3.1
    assert (office + 2 * 64 + 1200) / 1024 < 2
