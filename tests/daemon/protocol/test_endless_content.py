# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Content has to end, also when it has long been refused."""

from __future__ import annotations

import time

import pytest
from harness.client import CLEAN, Client


@pytest.fixture
def impatient(start_daemon):
    """One second for everything."""
    return start_daemon(
        command_timeout=1, data_timeout=1, message_receive_timeout=1, message_size_limit=100000, instances=1
    )


def in_data(client: Client) -> Client:
    client.hello("LHLO")
    client.envelope()
    client.good("DATA")
    return client


def trickle(pieces: dict[Client, bytes]) -> bool:
    """Send each client's piece now and then; whether the daemon put an end to all of them within its time."""
    end = time.monotonic() + 8
    going_on = dict(pieces)
    while going_on and time.monotonic() < end:
        for client, data in list(going_on.items()):
            try:
                client.send(data)
            except OSError:
                del going_on[client]
        time.sleep(0.1)
    return not going_on


def test_messages_that_never_end(impatient, downstream):
    # One comes slowly, one has long been refused because of its size: neither is listened to for ever.
    with impatient.client() as slow, impatient.client() as large:
        in_data(slow)
        in_data(large)
        large.send(b"x" * 200000)
        assert trickle({slow: b"x\r\n", large: b"x" * 20000})
    assert not downstream.transactions
    with impatient.client() as client:
        client.hello()
        client.envelope()
        assert client.data(CLEAN)[0].code == 250
