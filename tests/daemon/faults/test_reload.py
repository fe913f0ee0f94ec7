# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""SIGHUP: a right configuration replaces the workers while mail flows, a wrong one changes nothing."""

from __future__ import annotations

import os
import signal
import socket
import threading

import pytest
from harness.behaviour import free_port, stall, wait_until
from harness.client import CLEAN, Client, lmtp
from harness.downstream import Downstream
from harness.load import open_message
from harness.sender import NOTHING_WRONG, Sender


def offered_size(daemon) -> str:
    with Client(daemon.address) as client:
        return client.hello()["SIZE"]


def from_new(daemon):
    client = Client(daemon.address)
    if "new.example.com" not in client.banner.text:
        client.close()
        return None
    client.hello()
    client.envelope()
    client.good("DATA")
    client.send(CLEAN + b".\r\n")
    return client


def test_a_new_configuration_takes_effect(start_daemon, downstream):
    # Given a running daemon, when a key is changed and SIGHUP sent
    daemon = start_daemon(message_size_limit=2_000_000)
    assert offered_size(daemon) == "2000000"
    daemon.reload(message_size_limit=3_000_000)
    # then it is in force, and the log names both configurations
    assert offered_size(daemon) == "3000000"
    assert "configuration" in daemon.log.splitlines()[-1]
    daemon.wait_for_log("configuration [0-9a-f]{12} replaces [0-9a-f]{12}")


def test_messages_under_way_are_finished_by_the_old_workers(start_daemon, downstream, clamd):
    # Given one message in the scanner and one that is not complete
    daemon = start_daemon(scanners=[clamd.settings])
    clamd.on("verdict", stall(), times=1)
    scanned = open_message(daemon.address)
    wait_until(lambda: len(clamd.scanned) == 1, "the scan")
    unfinished = open_message(daemon.address, CLEAN, end=False)
    old = daemon.worker_pids()
    # when the configuration is read again
    daemon.configure(hostname="new.example.com")
    daemon.signal(signal.SIGHUP)
    # then new mail passes through a new worker, and both old messages get their 2xx from the old one
    new = wait_until(lambda: from_new(daemon), "a session of the new worker")
    assert new.reply().code == 250
    assert old[0] in daemon.worker_pids()
    unfinished.send(b".\r\n")
    assert unfinished.reply().code == 250
    clamd.release()
    assert scanned.reply().code == 250
    wait_until(lambda: old[0] not in daemon.worker_pids(), "the old worker to end")
    for client in (scanned, unfinished, new):
        client.close()


def test_admission_counts_over_old_and_new_workers(start_daemon, downstream, clamd):
    # Given n = 1, and the place taken in an old worker
    daemon = start_daemon(instances=1, scanners=[clamd.settings])
    clamd.on("verdict", stall(), times=1)
    first = open_message(daemon.address)
    wait_until(lambda: len(clamd.scanned) == 1, "the scan")
    daemon.configure(hostname="new.example.com")
    daemon.signal(signal.SIGHUP)
    wait_until(lambda: len(daemon.worker_pids()) == 2, "the new worker")
    # when a message comes to the new worker, then it waits for the old one's place
    second = wait_until(lambda: from_new(daemon), "a session of the new worker")
    assert second.silent(0.2)
    clamd.release()
    assert first.reply().code == 250
    assert second.reply().code == 250
    first.close()
    second.close()


WRONG = {
    "not JSON": "{",
    "an unknown key": '{"listn": []}',
    "a wrong value": '{"instances": 0}',
    "an empty file": "",
    "a loop": '{"listen": ["127.0.0.1:10025"], "reinject": "127.0.0.1:10025"}',
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_wrong_configuration_changes_nothing(start_daemon, downstream, wrong):
    # Given a running daemon whose file is then broken
    daemon = start_daemon(message_size_limit=2_000_000)
    workers = daemon.worker_pids()
    daemon.path.write_text(WRONG[wrong])
    # when SIGHUP is sent, then one clear line says why the old configuration is kept
    daemon.signal(signal.SIGHUP)
    line = daemon.wait_for_log("error: the running configuration [0-9a-f]{12} is kept")
    assert str(daemon.path) in line
    # and everything is as before
    assert daemon.worker_pids() == workers
    assert offered_size(daemon) == "2000000"
    assert lmtp(daemon.address)[0].code == 250


def test_a_missing_file_changes_nothing(start_daemon, downstream):
    # Given a configuration file that somebody has removed
    daemon = start_daemon()
    daemon.path.unlink()
    daemon.signal(signal.SIGHUP)
    daemon.wait_for_log("is kept: .*cannot be read")
    assert lmtp(daemon.address)[0].code == 250


@pytest.mark.parametrize("key", ["scratch_directory", "quarantine_directory"])
def test_a_directory_that_cannot_be_used_changes_nothing(start_daemon, downstream, tmp_path, key):
    # Given a new configuration that is right in itself, and cannot work here
    daemon = start_daemon()
    (tmp_path / "file").write_text("")
    daemon.configure(**{key: str(tmp_path / "file")})
    daemon.signal(signal.SIGHUP)
    daemon.wait_for_log(f"is kept: {key}: held ")
    assert lmtp(daemon.address)[0].code == 250


def test_another_address(start_daemon, downstream):
    # Given a service with its own sockets, when listen changes
    daemon = start_daemon()
    old = daemon.address
    port = free_port()
    daemon.reload(listen=[f"127.0.0.1:{port}"])
    # then the new address is served and the old one is closed
    assert lmtp(("127.0.0.1", port))[0].code == 250
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(old, 5)
    daemon.port = port


def test_an_address_that_is_taken_changes_nothing(start_daemon, downstream):
    # Given a new address on which somebody else listens
    daemon = start_daemon()
    daemon.configure(listen=["127.0.0.1:0", downstream.address])
    daemon.configure(reinject="127.0.0.1:1")
    daemon.signal(signal.SIGHUP)
    # then the log names it, and the old address is served with the old configuration
    daemon.wait_for_log(f"is kept: listen: held {downstream.address}; it takes an address that is free")
    assert lmtp(daemon.address)[0].code == 250


def test_more_and_fewer_workers(start_daemon, downstream):
    # Given one worker, when the configuration wants another number, then there are as many
    daemon = start_daemon()
    for count in (3, 2):
        daemon.reload(workers=count)
        wait_until(lambda count=count: len(daemon.worker_pids()) == count, f"{count} workers")
        assert lmtp(daemon.address)[0].code == 250


def test_several_addresses(start_daemon, downstream):
    # Given two addresses of which one is IPv6, then both are served by all workers
    port = free_port()
    daemon = start_daemon(listen=["127.0.0.1:0", f"[::1]:{port}"], workers=2)
    for _ in range(4):
        assert lmtp(daemon.address)[0].code == 250
        assert lmtp(("::1", port))[0].code == 250


def test_another_reinjecting_server(start_daemon, downstream):
    # Given kept connections to one server
    daemon = start_daemon()
    assert lmtp(daemon.address)[0].code == 250
    other = Downstream()
    try:
        # when the configuration names another one, then mail goes there
        daemon.reload(reinject=other.address)
        assert lmtp(daemon.address)[0].code == 250
        assert (len(downstream.accepted), len(other.accepted)) == (1, 1)
        # and the old connections are gone
        wait_until(lambda: not downstream.open, "the old connections to be closed")
    finally:
        other.stop()


@pytest.mark.slow
def test_many_reloads_under_load(start_daemon, downstream):
    # Given a load of mail
    daemon = start_daemon(workers=2, drain_timeout=30)
    sender = Sender(daemon.address, "LHLO")
    numbers = range(200)
    load = threading.Thread(target=sender.send, args=(numbers,))
    before = len(os.listdir(f"/proc/{daemon.pid}/fd"))
    load.start()
    # when the configuration is read again and again, right and wrong ones, n up and down
    count = 0
    while load.is_alive() and count < 9:
        count += 1
        if count % 4 == 0:
            daemon.path.write_text("wrong")
        else:
            daemon.configure(instances=1 + count % 5)
        since = len(daemon.log)
        daemon.signal(signal.SIGHUP)
        daemon.wait_for_log("is kept: " if count % 4 == 0 else "configuration .* replaces ", since=since)
    load.join()
    # then nothing is lost, and no connection was refused
    account = sender.account(downstream, numbers)
    assert count >= 3
    assert sender.refused_connections == 0
    assert account.pop("duplicates") == 0
    assert account == NOTHING_WRONG
    wait_until(lambda: len(daemon.worker_pids()) == 2, "the old workers to end")
    # and the service itself has nothing left of them
    wait_until(lambda: len(os.listdir(f"/proc/{daemon.pid}/fd")) == before, "the descriptors to be given back")
