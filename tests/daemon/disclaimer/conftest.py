# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixtures of the disclaimer's tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from harness.disclaimer import Program
from harness.mail import installed


@pytest.fixture
def program(tmp_path: Path) -> Callable[..., Program]:
    """`program("altermime", ...)`: one of the two, with settings."""

    def make(name: str = "bundled", **settings: object) -> Program:
        if name == "altermime":
            installed("altermime", Path("/usr/bin/altermime"))
        return Program(tmp_path / f"program{len(list(tmp_path.iterdir()))}", program=name, **settings)

    return make
