# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Clients that are silent or endless are let go, with a word, and others are not."""

from __future__ import annotations

import contextlib
import time

import pytest
from harness.client import CLEAN, Client, ConnectionClosed, Reply


@pytest.fixture
def impatient(start_daemon):
    """One second for everything."""
    return start_daemon(
        command_timeout=1, data_timeout=1, message_receive_timeout=2, message_size_limit=100000, instances=1
    )


def in_data(client: Client) -> Client:
    client.hello("LHLO")
    client.envelope()
    client.good("DATA")
    return client


def last_words(client: Client) -> list[Reply]:
    """Everything that is said before the connection is closed."""
    replies = []
    with contextlib.suppress(ConnectionClosed):
        while True:
            replies.append(client.reply())
    return replies


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


def test_silence(impatient):
    # Given clients that are silent at different stages, then each is told 421 4.4.2 and let go.
    silent = [impatient.client(), impatient.client(), in_data(impatient.client()), impatient.client()]
    silent[1].hello()
    silent[1].good("MAIL FROM:<a@example.com>")
    silent[2].send(b"Subject: x\r\n")
    silent[3].send(b"EHLO without an end")
    for client in silent:
        assert [(reply.code, reply.enhanced) for reply in last_words(client)] == [(421, ["4.4.2"])]


def test_a_client_that_says_something_now_and_then_is_kept(impatient):
    with impatient.client() as client:
        for _ in range(6):
            time.sleep(0.4)
            client.good("NOOP")
        client.hello()
        client.envelope()
        assert client.data(CLEAN)[0].code == 250


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
