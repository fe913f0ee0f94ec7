# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixtures: neighbours and daemons that are gone when the test is."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import hypothesis
import pytest
from harness.clamd import Clamd
from harness.daemon import Daemon
from harness.downstream import Downstream
from harness.interpreter import interpreter

# No time limit for one example: the machine may be busy with other things.
hypothesis.settings.register_profile("daemon", deadline=None)
hypothesis.settings.load_profile("daemon")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Say of a test that failed which Python the daemon had."""
    report = yield
    if report.failed:
        report.sections.append(("the daemon's Python", interpreter()))
    return report


@pytest.fixture
def downstream() -> Iterator[Downstream]:
    """A reinjecting smtpd that behaves until it is told otherwise."""
    server = Downstream()
    yield server
    server.stop()


@pytest.fixture
def clamd(tmp_path: Path) -> Iterator[Clamd]:
    """A scanner that knows EICAR until it is told otherwise."""
    server = Clamd(tmp_path / "clamd.ctl")
    yield server
    server.stop()


@pytest.fixture
def start_daemon(tmp_path: Path, downstream: Downstream) -> Iterator[Callable[..., Daemon]]:
    """`start_daemon(instances=1, ...)`: a running daemon, which must end cleanly when the test is over."""
    started: list[Daemon] = []

    def start(**settings: object) -> Daemon:
        daemon = Daemon(tmp_path / f"daemon{len(started)}", **{"reinject": downstream.address, **settings})
        started.append(daemon)
        return daemon.start()

    yield start
    try:
        for daemon in started:
            daemon.finish()
    finally:
        for daemon in started:
            daemon.kill()


@pytest.fixture
def daemon(start_daemon: Callable[..., Daemon]) -> Daemon:
    """A running daemon with the built-in EICAR pattern as its only scanner."""
    return start_daemon()
