# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One daemon with the usual configuration and one reinjecting server for all tests here that need no others."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from harness.daemon import Daemon
from harness.downstream import POSTFIX_KEYWORDS, Downstream


@pytest.fixture(scope="session")
def lasting_downstream() -> Iterator[Downstream]:
    server = Downstream()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def lasting_daemon(tmp_path_factory: pytest.TempPathFactory, lasting_downstream: Downstream) -> Iterator[Daemon]:
    daemon = Daemon(tmp_path_factory.mktemp("lasting"), lasting_downstream.address)
    yield daemon
    try:
        daemon.finish()
    finally:
        daemon.kill()


@pytest.fixture
def downstream(lasting_downstream: Downstream) -> Iterator[Downstream]:
    """A reinjecting smtpd that behaves until it is told otherwise, and remembers nothing of other tests."""
    server = lasting_downstream
    server.stop()
    server.clear()
    server.keywords = POSTFIX_KEYWORDS
    server.connections = 0
    server.start()
    yield server
    server.clear()


@pytest.fixture
def daemon(lasting_daemon: Daemon, downstream: Downstream) -> Iterator[Daemon]:
    """A running daemon with the built-in EICAR pattern as its only scanner, an empty log and an empty quarantine."""
    daemon = lasting_daemon
    os.truncate(daemon.log_path, 0)
    if daemon.process is None or daemon.process.poll() is not None:
        daemon.start()
    for path in daemon.quarantine.iterdir():
        path.unlink()
    yield daemon
    assert "Traceback" not in daemon.log, daemon.log
