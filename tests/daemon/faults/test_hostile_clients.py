# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Clients that flood, stall, trickle, hoard and babble: others are served, limits hold, nothing ends a worker."""

from __future__ import annotations

import random
import socket
import threading

import pytest
from harness.behaviour import PATIENCE, hard_close, stall, wait_until
from harness.client import CLEAN, Client, ConnectionClosed, lmtp, smtp, stuff
from harness.load import descriptors, open_message, peak_memory

MIB = 1 << 20


@pytest.fixture(autouse=True)
def same_workers(request):
    """Whatever clients send, the workers of the daemon in use stay the same processes."""
    if "daemon" not in request.fixturenames:
        yield
        return
    daemon = request.getfixturevalue("daemon")
    before = daemon.worker_pids()
    yield
    assert daemon.worker_pids() == before


def connect(daemon, count: int) -> list[socket.socket]:
    return [socket.create_connection(daemon.address, PATIENCE) for _ in range(count)]


def close_all(sockets) -> None:
    for item in sockets:
        item.close()


# Numbers


@pytest.mark.parametrize("begun", ["", "EHLO x\r\n", "MAIL", "DATA"])
def test_more_connections_than_allowed(start_daemon, downstream, begun):
    # Given many more clients than max_connections, idle at this point of their session
    daemon = start_daemon(max_connections=40)
    clients = []
    for _ in range(120):
        client = Client(daemon.address)
        clients.append(client)
        if begun in ("MAIL", "DATA"):
            client.hello()
            client.envelope()
            if begun == "DATA":
                client.good("DATA")
                client.send(b"Subject: never ends\r\n")
        else:
            client.send(begun.encode())
    # when a real message comes, then it passes
    assert lmtp(daemon.address)[0].code == 250
    # and it was the oldest idle ones that had to go, with a word that means: come again
    assert b"421 4.3.2" in clients[0].read_to_end()
    assert begun or clients[-1].silent(0.01)
    assert descriptors(daemon) < 40 + 60
    close_all(clients)


@pytest.mark.slow
def test_thousands_of_idle_connections(start_daemon, downstream):
    # Given three thousand idle connections to two workers
    daemon = start_daemon(workers=2)
    clients = connect(daemon, 3000)
    # then mail passes by both protocols
    for _ in range(5):
        assert lmtp(daemon.address)[0].code == 250
        assert smtp(daemon.address).code == 250
    close_all(clients)
    # and when they are gone, so are their descriptors
    wait_until(lambda: descriptors(daemon) < 80, "the descriptors to be given back")


def test_fewer_descriptors_than_clients(tmp_path, start_daemon, downstream):
    # Given a process that may open 90 descriptors, and 300 clients
    daemon = start_daemon()
    daemon.stop()
    daemon.start(wrapper=["prlimit", "--nofile=90"])
    clients = connect(daemon, 300)
    # then mail passes, also large mail that needs scratch
    assert lmtp(daemon.address)[0].code == 250
    assert lmtp(daemon.address, CLEAN + b"0123456789\r\n" * 50_000)[0].code == 250
    close_all(clients)
    assert "Too many open files" not in daemon.log


def test_all_clients_wait_for_an_answer(start_daemon, downstream, clamd):
    # Given as many clients as allowed, all of which wait for the scanner
    daemon = start_daemon(max_connections=10, instances=2, scanners=[clamd.settings])
    clamd.on("verdict", stall(), times=2)
    waiting = [open_message(daemon.address) for _ in range(10)]
    wait_until(lambda: len(clamd.scanned) == 2, "two scans")
    # when one more comes, then it is the one that has to come again: nobody else loses a message that is complete
    late = Client(daemon.address, greeting=False)
    assert b"421 4.3.2" in late.read_to_end()
    clamd.release()
    assert [client.reply().code for client in waiting] == [250] * 10
    close_all([late, *waiting])


def test_connections_that_end_at_once(daemon, downstream):
    # Given a thousand clients that connect and reset
    for client in connect(daemon, 1000):
        hard_close(client)
    # then nothing is left of them
    assert lmtp(daemon.address)[0].code == 250
    wait_until(lambda: descriptors(daemon) < 40, "the descriptors to be given back")


# Amounts


def test_a_command_line_without_end(daemon):
    # Given a command that goes on and on
    client = Client(daemon.address)
    [before] = [peak_memory(pid) for pid in daemon.worker_pids()]
    with pytest.raises(OSError, match=r"reset|Broken pipe"):
        client.send(b"A" * 50 * MIB)
    # then the connection was ended, and the worker has not kept what came
    [after] = [peak_memory(pid) for pid in daemon.worker_pids()]
    assert after - before < 4 * MIB
    client.close()
    # and a client that sends just a bit too much is told why
    client = Client(daemon.address)
    client.send(b"A" * 70_000)
    assert b"500 5.5.2 " in client.read_to_end()
    client.close()


def test_a_content_line_without_end(daemon, downstream):
    # Given one line of sixteen times the size limit
    client = open_message(daemon.address, CLEAN, end=False)
    for _ in range(64):
        client.send(b"x" * MIB)
    client.send(b"\r\n.\r\n")
    # then the message is refused for good at its end, and the session goes on
    assert client.reply().enhanced == ["5.3.4"]
    client.envelope()
    assert client.data(CLEAN)[0].code == 250
    assert [item.content for item in downstream.transactions] == [CLEAN]
    [worker] = daemon.worker_pids()
    assert peak_memory(worker) < 64 * MIB
    client.close()


def flood(client: Client, data: bytes, stop: threading.Event) -> None:
    """Send without ever reading, until the daemon takes no more."""
    client.socket.settimeout(0.2)
    while not stop.is_set():
        try:
            client.socket.send(data)
        except TimeoutError:
            continue
        except OSError:
            return


@pytest.mark.slow
@pytest.mark.parametrize("line", [b"NOOP\r\n", b"what\r\n", b"EHLO x\r\n"])
def test_commands_without_reading_the_replies(start_daemon, downstream, line):
    # Given clients that flood commands and never read
    daemon = start_daemon(max_errors=100_000, command_timeout=1)
    stop = threading.Event()
    clients = [Client(daemon.address) for _ in range(2)]
    threads = [threading.Thread(target=flood, args=(client, line * 1000, stop)) for client in clients]
    for thread in threads:
        thread.start()
    try:
        # then others are served
        for _ in range(3):
            assert lmtp(daemon.address)[0].code == 250
        # and they are cut off, whether they take their last replies or not
        for thread in threads:
            thread.join(20)
            assert not thread.is_alive()
        wait_until(lambda: descriptors(daemon) < 40, "their descriptors to be given back")
    finally:
        stop.set()
        close_all(clients)
    [worker] = daemon.worker_pids()
    assert peak_memory(worker) < 64 * MIB


def test_commands_that_lead_to_no_message(daemon):
    # Given a client that asks and asks, and reads the answers
    client = Client(daemon.address)
    client.send(b"NOOP\r\n" * 6000)
    # then it is told to come again
    assert client.read_to_end().splitlines()[-1].startswith(b"421 4.7.0 ")
    client.close()


def test_errors_without_end(start_daemon):
    # Given a client that makes errors only, then it is cut off
    daemon = start_daemon(max_errors=10)
    client = Client(daemon.address)
    client.send(b"what\r\n" * 50)
    lines = client.read_to_end().splitlines()
    assert len(lines) == 12
    assert lines[-1].startswith(b"421 4.7.0 ")
    client.close()


def test_pipelined_messages_that_nobody_waits_for(daemon, downstream):
    # Given a client that sends a hundred messages without reading a single reply, then they are all delivered
    message = b"MAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.com>\r\nDATA\r\n" + stuff(CLEAN)
    client = Client(daemon.address)
    client.send(b"LHLO x\r\n" + message * 100 + b"QUIT\r\n")
    text = client.read_to_end()
    assert text.count(b"\r\n250 2.0.0 Ok: filter id=") == 100
    assert len(downstream.accepted) == 100
    client.close()


# Trickles


def test_a_byte_at_a_time(daemon, downstream):
    # Given a client that sends every byte by itself, and others beside it
    client = Client(daemon.address)
    wire = b"LHLO x\r\nMAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.com>\r\nDATA\r\n" + stuff(CLEAN + b".\r\n..\r\n")
    for number, byte in enumerate(wire):
        client.send(bytes((byte,)))
        if number % 100 == 0:
            assert lmtp(daemon.address)[0].code == 250
    assert [item.code for item in client.replies(5)] == [250, 250, 250, 354, 250]
    # then what it sent is what arrived
    assert downstream.last.content == CLEAN + b".\r\n..\r\n"
    client.close()


def test_many_trickling_clients(daemon, downstream):
    # Given fifty clients that send a byte each in turn
    clients = [open_message(daemon.address, b"Subject: x\r\n\r\n", end=False) for _ in range(50)]
    wire = stuff(b"a slow line\r\n.with a dot\r\n")
    for byte in wire:
        for client in clients:
            client.send(bytes((byte,)))
    # then all are delivered, each whole
    assert [client.reply().code for client in clients] == [250] * 50
    assert {item.content for item in downstream.accepted} == {b"Subject: x\r\n\r\na slow line\r\n.with a dot\r\n"}
    close_all(clients)


# Babble

BABBLE = {
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(256)) * 2,
    "HTTP": b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 20\r\n\r\nMAIL FROM:<a@b>\r\n\r\n",
    "zeros": b"\0" * 100_000,
    "line feeds": b"\n" * 10_000,
    "carriage returns": b"\r" * 10_000,
    "blank lines": b"\r\n" * 10_000,
    "spaces": b" " * 100_000 + b"\r\n",
    "high bytes": bytes(range(128, 256)) * 500 + b"\r\n",
    "brackets": b"EHLO x\r\nMAIL FROM:" + b"<" * 10_000 + b"\r\n",
    "quotes": b"EHLO x\r\nMAIL FROM:<" + b'"\\' * 4_000 + b">\r\n",
    "parameters": b"EHLO x\r\nMAIL FROM:<a@b>" + b" X=Y" * 3_000 + b"\r\n",
    "surrogates": b"EHLO x\r\nMAIL FROM:<\xed\xa0\x80@b> SMTPUTF8\r\nRCPT TO:<\xff\xfe@b>\r\nDATA\r\n\r\n.\r\n",
}


@pytest.mark.parametrize("kind", BABBLE)
def test_babble(daemon, downstream, kind):
    # Given a client that speaks something else, when it has said it and closes or resets
    for end in ("close", "abort"):
        client = Client(daemon.address)
        try:
            client.send(BABBLE[kind])
            client.half_close()
            client.read_to_end()
        except OSError:
            pass  # cut off while it spoke
        getattr(client, end)()
    # then the worker is the same, and mail passes
    assert lmtp(daemon.address)[0].code == 250


def test_random_dialogues(daemon, downstream):
    # Given clients that say right and wrong things in any order, cut into pieces anywhere
    chance = random.Random(20261122)
    words = [
        *(b"EHLO x\r\n", b"LHLO x\r\n", b"HELO x\r\n", b"HELO\r\n", b"RSET\r\n", b"NOOP\r\n", b"VRFY x\r\n"),
        *(b"MAIL FROM:<a@example.com>\r\n", b"MAIL FROM:<>\r\n", b"RCPT TO:<b@example.com>\r\n", b"RCPT TO:<>\r\n"),
        *(b"XFORWARD ADDR=192.0.2.1\r\n", b"XFORWARD X=Y\r\n", b"DATA\r\n", b"DATA\r\n", stuff(CLEAN), b".\r\n"),
        *(b"\r\n", b"\n", b"\r", b"\0", b"\xff", b"QUIT\r\n", b"BDAT 5\r\n", b"A" * 3000, b"\r\n.\r\n", b"MAIL FROM:<"),
    ]
    for _ in range(150):
        wire = b"".join(chance.choices(words, k=chance.randrange(1, 40)))
        client = Client(daemon.address)
        try:
            while wire:
                size = chance.randrange(1, 400)
                client.send(wire[:size])
                wire = wire[size:]
            client.half_close()
            client.read_to_end()
        except (OSError, ConnectionClosed):
            pass  # cut off while it spoke
        client.close()
    # then the worker is the same, nothing is left, and mail passes
    assert lmtp(daemon.address)[0].code == 250
    wait_until(lambda: descriptors(daemon) < 40, "the descriptors to be given back")
