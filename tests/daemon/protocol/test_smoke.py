# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The harness itself works, and the simplest messages go through."""

from __future__ import annotations

from harness.clamd import EICAR
from harness.client import CLEAN, lmtp, smtp


def test_a_clean_message_by_lmtp(daemon, downstream):
    replies = lmtp(daemon.address, recipients=["bob@example.com", "carol@example.com"])
    assert [reply.code for reply in replies] == [250, 250]
    assert downstream.last.content == CLEAN
    assert downstream.last.sender == "alice@example.com"
    assert downstream.last.recipients == ["bob@example.com", "carol@example.com"]
    assert replies[0].text.endswith(f"queued as {downstream.last.queue_id}")


def test_eicar_by_smtp(start_daemon, downstream, clamd):
    daemon = start_daemon(scanners=[clamd.settings])
    reply = smtp(daemon.address, content=b"Subject: x\r\n\r\n" + EICAR + b"\r\n")
    assert reply.code == 250
    assert not downstream.transactions
    assert len(daemon.quarantined()) == 1


def test_clamd_is_asked(start_daemon, downstream, clamd):
    daemon = start_daemon(scanners=[clamd.settings])
    clamd.verdict = lambda content: "Test.Virus FOUND"
    assert smtp(daemon.address).code == 250
    assert clamd.scanned == [CLEAN]
    assert not downstream.transactions
