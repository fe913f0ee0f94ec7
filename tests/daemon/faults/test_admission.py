# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""At most n messages in the filter, over all workers: so the size of the scratch mount is a guarantee.

Further clients wait, and get 451 before their patience ends. Slow ones do not keep others waiting.
"""

from __future__ import annotations

import os
import random
import signal
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from harness.behaviour import late, stall, wait_until
from harness.client import CLEAN, lmtp, smtp
from harness.load import open_message, peak_memory, sampled, scratch_in_use

MIB = 1 << 20
LINE = b"0123456789abcdefghijklmnopqrstuvwxyz\r\n"


def body(size: int) -> bytes:
    """A message of about so many bytes."""
    return CLEAN + LINE * (size // len(LINE))


@pytest.mark.parametrize("workers", [1, 2])
def test_never_more_than_n_are_scanned(start_daemon, downstream, clamd, workers):
    # Given n = 2 and a scanner that takes its time
    daemon = start_daemon(instances=2, workers=workers, scanners=[clamd.settings])
    clamd.on("verdict", late(0.02))
    # when twelve messages come at once
    with ThreadPoolExecutor(12) as threads:
        replies = list(threads.map(lmtp, [daemon.address] * 12))
    # then all are delivered, and never more than two were in the scanner
    assert {reply.code for [reply] in replies} == {250}
    assert clamd.most == 2
    assert len(downstream.accepted) == 12


def test_a_stuck_reinjection_holds_its_place_too(start_daemon, downstream):
    # Given n = 2, and two messages that hang in reinjection
    daemon = start_daemon(instances=2, workers=2, message_deadline=10)
    downstream.on("data", stall(), times=2)
    stuck = [open_message(daemon.address) for _ in range(2)]
    wait_until(lambda: sum(line == "DATA" for line in downstream.commands) == 2, "two deliveries")
    # when a third comes, then it waits
    third = open_message(daemon.address)
    assert third.silent(0.2)
    # until one of the first is gone
    stuck[0].abort()
    assert third.reply().code == 250
    for client in [*stuck, third]:
        client.close()


@pytest.mark.parametrize("protocol", ["LHLO", "EHLO"])
@pytest.mark.parametrize("size", [0, MIB], ids=["small", "large"])
def test_waiting_longer_than_the_deadline(start_daemon, downstream, clamd, size, protocol):
    # Given a scanner that hangs, and the only place taken
    daemon = start_daemon(instances=1, message_deadline=0.6, scanners=[clamd.settings])
    clamd.on("verdict", stall())
    first = open_message(daemon.address)
    wait_until(lambda: len(clamd.scanned) == 1, "the scan")
    # when others come, then they are told in time to come again, and nothing of theirs is reinjected later
    others = [open_message(daemon.address, body(size), verb=protocol) for _ in range(3)]
    assert [client.reply().code for client in others] == [451, 451, 451]
    assert first.reply().code == 451
    clamd.clear()
    # and everybody's session goes on
    for client in [first, *others]:
        client.envelope()
        assert client.data(CLEAN)[0].code == 250
        client.close()
    assert len(downstream.transactions) == 4


@pytest.mark.slow
def test_hundreds_of_waiting_clients_whose_patience_ends_at_once(start_daemon, downstream, clamd):
    # Given many more clients than the channel to the service can hold messages
    daemon = start_daemon(instances=1, message_deadline=2, scanners=[clamd.settings])
    workers = daemon.worker_pids()
    clamd.on("verdict", stall())
    clients = [open_message(daemon.address) for _ in range(700)]
    # when the service is slow itself
    os.kill(daemon.pid, signal.SIGSTOP)
    # then each is told to come again
    assert {client.reply().code for client in clients} == {451}
    os.kill(daemon.pid, signal.SIGCONT)
    for client in clients:
        client.close()
    clamd.clear()
    # and no worker has given up, and the place is free again
    assert lmtp(daemon.address)[0].code == 250
    assert daemon.worker_pids() == workers


def test_a_killed_worker_gives_its_places_back(start_daemon, downstream, clamd):
    # Given the only place held by a worker
    daemon = start_daemon(instances=1, workers=2, scanners=[clamd.settings])
    clamd.on("verdict", stall(), times=1)
    first = open_message(daemon.address, body(MIB))
    wait_until(lambda: len(clamd.scanned) == 1, "the scan")
    [holder] = [pid for pid in daemon.worker_pids() if _has_scratch(pid, daemon)]
    # when it is killed, then its client sees a connection that ends, and the next message gets the place
    os.kill(holder, signal.SIGKILL)
    assert first.read_to_end() == b""
    assert lmtp(daemon.address)[0].code == 250
    wait_until(lambda: len(daemon.worker_pids()) == 2, "a new worker")
    daemon.wait_for_log(f"worker {holder} ended \\(signal 9\\) and is replaced")
    first.close()


def _has_scratch(pid, daemon) -> bool:
    links = [os.readlink(entry.path) for entry in os.scandir(f"/proc/{pid}/fd")]
    return any(link.startswith(str(daemon.scratch) + "/") for link in links)


@pytest.mark.parametrize("factor", [0, 0.1, 2])
def test_scratch_never_holds_more_than_the_formula(start_daemon, downstream, factor):
    # Given n = 2, small thresholds, and a mix of messages up to the limit, many of which are cut off
    limit = MIB
    daemon = start_daemon(
        instances=2,
        workers=2,
        expansion_factor=factor,
        message_size_limit=limit,
        memory_per_message=4096,
        memory_total=MIB,
    )
    bound = int(2 * (1 + factor) * limit * 7 / 8)
    chance = random.Random(7)

    def one(number: int) -> None:
        content = body(chance.randrange(limit // 4, limit - 1000))
        if number % 4 == 0:
            client = open_message(daemon.address, content, end=False)
            client.abort()
        else:
            assert lmtp(daemon.address, content)[0].code == 250

    # when they come eight at a time, then scratch stays within n*(1+f)*limit*7/8 at every moment
    with sampled(lambda: scratch_in_use(daemon)) as samples, ThreadPoolExecutor(8) as threads:
        list(threads.map(one, range(32)))
    assert 0 < max(samples) <= bound
    # and nothing is left
    wait_until(lambda: scratch_in_use(daemon) == 0, "scratch to be empty")
    assert len(downstream.accepted) == 24


@pytest.mark.slow
def test_the_size_of_a_message_does_not_multiply_in_memory(start_daemon, downstream, clamd):
    # Given a message far larger than what is kept in memory
    daemon = start_daemon(message_size_limit=96 * MIB, scanners=[clamd.settings])
    assert lmtp(daemon.address)[0].code == 250
    [worker] = daemon.worker_pids()
    before = peak_memory(worker)
    # when it passes, then the worker has grown by a fraction of it
    content = body(64 * MIB)
    assert smtp(daemon.address, content).code == 250
    assert downstream.last.content == content
    assert peak_memory(worker) - before < 8 * MIB


@pytest.mark.slow
def test_many_messages_at_once_do_not_multiply_in_memory(start_daemon, downstream, clamd):
    # Given little memory for messages, and a hundred clients with two hundred kilobytes each
    daemon = start_daemon(instances=2, memory_total=MIB, scanners=[clamd.settings], message_deadline=30)
    assert lmtp(daemon.address)[0].code == 250
    [worker] = daemon.worker_pids()
    before = peak_memory(worker)
    clamd.on("verdict", late(0.01))
    with ThreadPoolExecutor(100) as threads:
        replies = list(threads.map(lambda _: lmtp(daemon.address, body(200_000)), range(100)))
    # then all are delivered, and the worker has held a part of them at a time
    assert {item.code for [item] in replies} == {250}
    assert peak_memory(worker) - before < 10 * MIB


@pytest.mark.parametrize("size", [0, MIB], ids=["small", "large"])
@pytest.mark.parametrize("end", ["close", "abort"])
def test_clients_that_leave_the_queue(start_daemon, downstream, clamd, size, end):
    # Given clients that wait for the only place
    daemon = start_daemon(instances=1, scanners=[clamd.settings])
    clamd.on("verdict", stall(), times=1)
    first = open_message(daemon.address)
    wait_until(lambda: len(clamd.scanned) == 1, "the scan")
    others = [open_message(daemon.address, body(size)) for _ in range(10)]
    # when they go away before it is free
    for client in others:
        getattr(client, end)()
    clamd.release()
    assert first.reply().code == 250
    # then their messages are not delivered, and the place is not lost
    for _ in range(3):
        assert lmtp(daemon.address)[0].code == 250
    assert len(downstream.transactions) == 4
    first.close()


# Slow clients


@pytest.mark.parametrize("instances", [1, 2])
def test_slow_small_messages_do_not_hold_places(start_daemon, downstream, instances):
    # Given many clients that have begun a small message and do not go on
    daemon = start_daemon(instances=instances)
    slow = [open_message(daemon.address, CLEAN, end=False) for _ in range(20)]
    # then others pass at once, small and large
    assert lmtp(daemon.address)[0].code == 250
    assert lmtp(daemon.address, body(MIB))[0].code == 250
    # and when the slow ones go on, they pass too
    for client in slow:
        client.send(b".\r\n")
        assert client.reply().code == 250
        client.close()


def test_slow_large_messages_never_take_the_last_place(start_daemon, downstream):
    # Given n = 2 and clients that have begun large messages and do not go on
    daemon = start_daemon(instances=2)
    slow = [open_message(daemon.address, body(MIB), end=False) for _ in range(3)]
    wait_until(lambda: scratch_in_use(daemon) > 0, "the first of them to use scratch")
    # then small messages pass
    for _ in range(5):
        assert lmtp(daemon.address)[0].code == 250
    for client in slow:
        client.abort()


@pytest.mark.slow
def test_slow_large_messages_give_way_when_others_wait(start_daemon, downstream):
    # Given clients that trickle a large message: one has the only place that there is, one the only place for messages
    # that are still being received, and one keeps nobody waiting
    daemons = [start_daemon(instances=1), start_daemon(instances=2), start_daemon(instances=1)]
    slow = [open_message(daemon.address, body(MIB), end=False) for daemon in daemons]
    for daemon in daemons:
        wait_until(lambda daemon=daemon: scratch_in_use(daemon) > 0, "it to use scratch")
    # when other messages come to the first two
    others = [open_message(daemons[0].address), open_message(daemons[1].address, body(MIB))]
    waiting = list(others)
    end = time.monotonic() + 20
    while waiting and time.monotonic() < end:
        for client in slow:
            client.send(b"x")
        waiting = [client for client in waiting if client.silent(0.1)]
    # then they need not wait until the slow ones have finished
    assert [client.reply().code for client in others] == [250, 250]
    # and the slow ones are told to come again when they have finished; the third is delivered
    for client in slow:
        client.send(b"\r\n.\r\n")
    replies = [client.reply() for client in slow]
    assert [(item.code, item.enhanced) for item in replies[:2]] == [(451, ["4.4.2"])] * 2
    assert replies[2].code == 250
    assert len(downstream.transactions) == 3
    for client in [*slow, *others]:
        client.close()
