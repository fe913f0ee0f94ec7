# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real scanners, one of each for all tests here, and a way to ask one without a daemon."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from harness.scanners import RealClamd, Rspamd, Spamd

from filterd.scan import Scanner, factory, settings


@pytest.fixture(scope="session")
def real_clamd() -> Iterator[RealClamd]:
    server = RealClamd("AlertExceedsMax yes")
    yield server
    server.stop()


@pytest.fixture(scope="session")
def spamd() -> Iterator[Spamd]:
    server = Spamd()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def rspamd() -> Iterator[Rspamd]:
    server = Rspamd()
    yield server
    server.stop()


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    """The scratch directory for `ask`."""
    path = tmp_path / "asked"
    path.mkdir()
    return path


@pytest.fixture
def ask(scratch: Path) -> Callable[..., Any]:
    """`ask(settings, question)`: the result of `await question(scanner)`; nothing is left in scratch."""

    def run(given: dict[str, Any], question: Callable[[Scanner], Any]) -> Any:
        async def go() -> Any:
            scanner = factory.scanner(settings.scanners([given])[0], str(scratch), asyncio.get_running_loop())
            try:
                return await question(scanner)
            finally:
                scanner.close()

        try:
            return asyncio.run(go())
        finally:
            assert list(scratch.iterdir()) == []

    return run
