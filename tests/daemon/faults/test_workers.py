# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Workers that are killed, drained and replaced, a service that goes away: no mail is lost, nothing stays behind."""

from __future__ import annotations

import os
import random
import signal
import threading
import time

import pytest
from harness.behaviour import stall, wait_until
from harness.client import CLEAN, Client, lmtp
from harness.load import open_message
from harness.sender import NOTHING_WRONG, Sender


def alive(pid: int) -> bool:
    """Whether a process runs."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


@pytest.mark.slow
@pytest.mark.parametrize("verb", ["LHLO", "EHLO"])
def test_workers_killed_at_random_moments_under_load(start_daemon, downstream, verb):
    # Given a load of clean and infected, small and large messages
    daemon = start_daemon(workers=2, instances=4)
    sender = Sender(daemon.address, verb)
    numbers = range(250)
    chance = random.Random(3)
    load = threading.Thread(target=sender.send, args=(numbers,))
    load.start()
    # when workers are killed again and again while it lasts
    kills = 0
    while load.is_alive() and kills < 8:
        time.sleep(chance.uniform(0.01, 0.1))
        workers = daemon.worker_pids()
        if workers and load.is_alive():
            os.kill(chance.choice(workers), signal.SIGKILL)
            kills += 1
    load.join()
    # then every message has its right end; a second copy is explained by a connection that was cut
    account = sender.account(downstream, numbers)
    assert kills >= 3
    assert account.pop("duplicates") <= sender.deferrals
    assert account == NOTHING_WRONG
    wait_until(lambda: len(daemon.worker_pids()) == 2, "the workers to be replaced")
    # and quarantine holds whole files only
    assert all(path.suffix == ".msg" for path in daemon.quarantine.iterdir())


@pytest.mark.slow
def test_a_worker_that_dies_at_once_is_not_replaced_in_a_loop(start_daemon):
    # Given workers that die as soon as they have started
    daemon = start_daemon()
    for _ in range(3):
        [worker] = wait_until(daemon.worker_pids, "a worker")
        os.kill(worker, signal.SIGKILL)
        wait_until(lambda gone=worker: gone not in daemon.worker_pids(), "it to be gone")
    # then there is a pause, and then there is one again
    wait_until(lambda: daemon.log.count("and is replaced") >= 3, "the log lines")
    wait_until(daemon.worker_pids, "a worker")
    assert lmtp(daemon.address)[0].code == 250


# SIGTERM


def test_draining(start_daemon, downstream, clamd):
    # Given one message in the scanner, one client that is idle, one inside its message
    daemon = start_daemon(workers=2, scanners=[clamd.settings])
    clamd.on("verdict", stall(), times=1)
    scanned = open_message(daemon.address)
    wait_until(lambda: len(clamd.scanned) == 1, "the scan")
    idle = Client(daemon.address)
    unfinished = open_message(daemon.address, CLEAN, end=False)
    # when the service is asked to stop
    daemon.signal(signal.SIGTERM)
    # then the idle one is told, and nobody new is taken
    assert idle.reply().code == 421
    wait_until(lambda: refused(daemon), "new connections to be refused")
    # the one inside its message may finish
    unfinished.send(b"second\r\n.\r\n")
    assert unfinished.reply().code == 250
    assert unfinished.reply().code == 421
    # and so does the one in the scanner
    clamd.release()
    assert scanned.reply().code == 250
    assert scanned.reply().code == 421
    assert daemon.running.wait(10) == 0
    assert len(downstream.accepted) == 2
    for client in (scanned, idle, unfinished):
        client.close()


def refused(daemon) -> bool:
    try:
        Client(daemon.address, greeting=False).close()
    except ConnectionRefusedError:
        return True
    return False


@pytest.mark.slow
def test_a_silent_client_does_not_hold_up_the_stop(start_daemon, downstream):
    # Given a client that has begun a message and is silent, and patience for a minute
    daemon = start_daemon(drain_timeout=60)
    client = open_message(daemon.address, CLEAN, end=False)
    # when the service is asked to stop, then it does not wait a minute for it
    assert daemon.stop(timeout=12) == 0
    assert client.read_to_end().startswith(b"421 4.4.2 ")
    client.close()


def test_messages_that_do_not_end_in_time(start_daemon, downstream):
    # Given a reinjection that hangs, and little patience
    daemon = start_daemon(drain_timeout=0.3)
    downstream.on("data", stall())
    client = open_message(daemon.address)
    wait_until(lambda: "DATA" in downstream.commands, "the reinjection")
    # when the service is asked to stop, then it does, and the client has no 2xx: it will come again
    assert daemon.stop(timeout=10) == 0
    assert not client.read_to_end().startswith(b"2")
    assert downstream.dots == 0
    client.close()


def test_asked_twice(start_daemon, downstream):
    # Given a message that hangs, and patience for a minute
    daemon = start_daemon(drain_timeout=60)
    downstream.on("data", stall())
    client = open_message(daemon.address)
    wait_until(lambda: "DATA" in downstream.commands, "the reinjection")
    workers = daemon.worker_pids()
    # when the service is asked to stop twice, then it stops at once, and no worker stays behind
    daemon.signal(signal.SIGTERM)
    daemon.wait_for_log("stopping")
    daemon.signal(signal.SIGTERM)
    assert daemon.running.wait(5) == 0
    assert not any(alive(pid) for pid in workers)
    client.close()


def test_a_service_that_is_killed_leaves_no_workers(start_daemon, downstream, clamd):
    # Given a message in the scanner
    daemon = start_daemon(workers=2, scanners=[clamd.settings])
    clamd.on("verdict", stall(), times=1)
    client = open_message(daemon.address)
    wait_until(lambda: len(clamd.scanned) == 1, "the scan")
    workers = daemon.worker_pids()
    # when the service process is killed
    daemon.running.kill()
    daemon.running.wait(5)
    # then a new one can start on the same address while the old worker finishes
    clamd.release()
    assert client.reply().code == 250
    wait_until(lambda: not any(alive(pid) for pid in workers), "the workers to end")
    daemon.configure(listen=[f"127.0.0.1:{daemon.port}"])
    daemon.start()
    assert lmtp(daemon.address)[0].code == 250
    client.close()


def test_the_address_is_free_again_while_workers_drain(start_daemon, downstream, clamd):
    # Given a service without systemd that stops slowly
    daemon = start_daemon(scanners=[clamd.settings])
    clamd.on("verdict", stall(), times=1)
    client = open_message(daemon.address)
    wait_until(lambda: len(clamd.scanned) == 1, "the scan")
    daemon.signal(signal.SIGTERM)
    # then clients are refused at once, and do not hang in a queue that nobody serves
    wait_until(lambda: refused(daemon), "new connections to be refused", timeout=3)
    clamd.release()
    assert client.reply().code == 250
    client.close()


# A worker that hangs


def test_a_stopped_worker_does_not_stop_the_others(start_daemon, downstream):
    # Given one of two workers that does not run
    daemon = start_daemon(workers=2)
    stopped = daemon.worker_pids()[0]
    os.kill(stopped, signal.SIGSTOP)
    try:
        # then the other one serves
        for _ in range(10):
            assert lmtp(daemon.address)[0].code == 250
    finally:
        os.kill(stopped, signal.SIGCONT)


def test_a_worker_that_hangs_is_killed_and_replaced(start_daemon, downstream):
    # Given a single worker that stops dead
    daemon = start_daemon(workers=1, worker_stall_limit=2)
    (stuck,) = daemon.worker_pids()
    os.kill(stuck, signal.SIGSTOP)
    # then it is killed once it has not been heard of for the configured time, and another one serves
    wait_until(lambda: daemon.worker_pids() not in ([stuck], []), "the worker to be replaced")
    assert not alive(stuck)
    assert f"worker {stuck} has not been heard of for 2 s and is killed" in daemon.log
    assert [reply.code for reply in lmtp(daemon.address)] == [250]
    assert len(downstream.transactions) == 1
