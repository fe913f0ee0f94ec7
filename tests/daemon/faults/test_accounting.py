# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A thousand messages by each protocol while everything fails now and then: each one has its right end."""

from __future__ import annotations

import random
import threading

import pytest
from harness.behaviour import Action, close, late, raw, reply, reset, stall, wait_until
from harness.clamd import EICAR
from harness.load import descriptors, scratch_in_use
from harness.sender import NOTHING_WRONG, Sender

MESSAGES = range(1000)
OTHER = b"another virus, which only the scanner knows"
#: What a stage may do instead; none of it accepts a message or refuses it for good.
SERVER_FAULTS = [
    *(reply(450), reply(451, "4.3.0 later"), Action(b"421 4.3.2 bye\r\n", "close"), close(), reset()),
    *(close(b"250 2."), raw(b"nonsense\r\n"), late(0.05), stall()),
]
SCANNER_FAULTS = [close(), reset(), raw(b"nonsense\0"), late(0.05), raw(b"1: stream: Out of memory ERROR\0"), stall()]


@pytest.mark.slow
@pytest.mark.parametrize("verb", ["LHLO", "EHLO"])
def test_a_thousand_messages_with_random_faults(start_daemon, downstream, clamd, verb):
    # Given neighbours each of which fails in one of forty of its steps, in some way
    chance = random.Random(verb)
    lock = threading.Lock()
    faults = 0

    def sometimes(choices):
        nonlocal faults
        with lock:
            if chance.random() > 1 / 40:
                return None
            faults += 1
            return chance.choice(choices)

    downstream.decide = lambda stage, line, transaction: sometimes(SERVER_FAULTS)
    clamd.action = lambda stage: sometimes(SCANNER_FAULTS)
    clamd.verdict = lambda content: "Other.Virus FOUND" if OTHER in content else "OK"
    daemon = start_daemon(
        workers=2,
        instances=6,
        scanners=[{**clamd.settings, "timeout": 0.3}],
        reinject_reply_timeout=0.3,
        reinject_connect_timeout=0.3,
        message_deadline=5,
    )
    # when a thousand messages come from a client that tries again, as Postfix does
    sender = Sender(daemon.address, verb, [EICAR, OTHER])
    sender.send(MESSAGES, threads=12)
    # then none is lost, no infected one is delivered, none is rejected, none is changed
    account = sender.account(downstream, MESSAGES)
    duplicates = account.pop("duplicates")
    assert account == NOTHING_WRONG
    # and none came twice, unless its acknowledgement was too late on a busy machine
    assert duplicates <= daemon.log.count("reinjection failed at end of data: no reply within")
    assert faults > 100
    assert sender.deferrals > 50
    # each infected one is in quarantine, and nothing is left in use
    assert len(daemon.quarantined()) == sum(map(sender.infected, MESSAGES))
    wait_until(lambda: scratch_in_use(daemon) == 0, "scratch to be empty")
    wait_until(lambda: descriptors(daemon) < 80, "the descriptors to be given back")
    assert len(daemon.messages()) >= len(MESSAGES)
