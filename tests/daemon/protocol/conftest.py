# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One daemon and one next hop for all tests of a module: the protocol keeps nothing between two connections."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

import pytest
from harness.client import Client
from harness.daemon import Daemon
from harness.downstream import Downstream, Transaction

LIMIT = 4 * 1024 * 1024


class Relay(NamedTuple):
    """The daemon between a client and the next hop."""

    daemon: Daemon
    downstream: Downstream

    @property
    def address(self) -> tuple[str, int]:
        """Where clients connect."""
        return self.daemon.address

    def client(self, verb: str = "") -> Client:
        """A connection, greeted with `verb` if given."""
        client = self.daemon.client()
        if verb:
            client.hello(verb)
        return client

    def one(self) -> Transaction:
        """The only message that has arrived."""
        transactions = self.downstream.wait_for_accepted(1)
        assert len(transactions) == 1, transactions
        assert self.downstream.dots == 1
        transaction = transactions[0]
        assert transaction.wire is not None
        # Whatever came in, what goes out is one well-formed message.
        assert re.search(rb"\r(?!\n)|(?<!\r)\n", transaction.wire) is None
        assert b"\r\n.\r\n" not in b"\r\n" + transaction.wire
        return transaction


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Relay]:
    """Started once for a module."""
    downstream = Downstream()
    daemon = Daemon(tmp_path_factory.mktemp("daemon"), downstream.address, message_size_limit=LIMIT)
    try:
        daemon.start()
        yield Relay(daemon, downstream)
        daemon.finish()
    finally:
        daemon.kill()
        downstream.stop()


@pytest.fixture
def relay(shared: Relay) -> Relay:
    """The shared daemon with a next hop that behaves and has seen nothing."""
    shared.downstream.clear()
    for path in shared.daemon.quarantined():
        path.unlink()
    return shared
