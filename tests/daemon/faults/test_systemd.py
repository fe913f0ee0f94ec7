# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What systemd and the service say to each other: sockets handed over, readiness, reload, stop, watchdog."""

from __future__ import annotations

import os
import signal
import socket
import threading
from pathlib import Path

import pytest
from harness.behaviour import wait_until
from harness.client import Client, lmtp
from harness.daemon import Daemon
from harness.interpreter import interpreter
from harness.sender import NOTHING_WRONG, Sender


class Manager:
    """The receiving end of sd_notify(3)."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.said: list[str] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind("\0" + address[1:] if address.startswith("@") else address)
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def _listen(self) -> None:
        while True:
            try:
                data = self._socket.recv(65536)
            except OSError:
                return
            if not data:
                return
            self.said.append(data.decode())

    def words(self) -> list[str]:
        """First word of each message but the watchdog's."""
        return [text.split("\n")[0] for text in self.said if not text.startswith("WATCHDOG")]

    def close(self) -> None:
        # shutdown wakes the thread; close alone leaves it in recv, and the name taken
        self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._socket.close()


@pytest.fixture(params=["path", "abstract"])
def manager(request, tmp_path):
    """A service manager that listens on a path, or in the abstract namespace."""
    address = str(tmp_path / "notify") if request.param == "path" else f"@filter-stack-test-{os.getpid()}"
    server = Manager(address)
    yield server
    server.close()


@pytest.fixture
def service(tmp_path, downstream):
    """A daemon that is not started yet."""
    daemon = Daemon(tmp_path / "service", downstream.address)
    yield daemon
    try:
        daemon.finish()
    finally:
        daemon.kill()


def test_what_the_manager_is_told(service, manager):
    # Given a manager, when the service starts
    service.start(environment={"NOTIFY_SOCKET": manager.address})
    # then it says READY when it serves, with a status for people
    wait_until(lambda: manager.words() == ["READY=1"], "READY")
    assert "STATUS=n=4" in manager.said[0]
    assert lmtp(service.address)[0].code == 250
    # when it reloads, it says so with the time, and READY again when the new workers serve
    service.reload(instances=3)
    wait_until(lambda: manager.words() == ["READY=1", "RELOADING=1", "READY=1"], "the reload")
    assert "\nMONOTONIC_USEC=" in manager.said[1]
    assert "STATUS=n=3" in manager.said[2]
    # also when the new configuration is wrong
    service.path.write_text("wrong")
    service.signal(signal.SIGHUP)
    wait_until(lambda: manager.words()[3:] == ["RELOADING=1", "READY=1"], "the failed reload")
    # and when it stops
    assert service.stop() == 0
    assert manager.words()[5:] == ["STOPPING=1"]


def test_a_service_that_cannot_start_is_never_ready(service, manager):
    # Given an address that is taken
    with socket.create_server(("127.0.0.1", 0)) as other:
        service.configure(listen=[f"127.0.0.1:{other.getsockname()[1]}"])
        service.start(environment={"NOTIFY_SOCKET": manager.address}, wait=False)
        # then it ends with a line that names it, and READY was never said
        assert service.running.wait(10) == 1
    assert "it takes an address that is free" in service.log
    assert manager.said == []


def test_the_watchdog(service, manager):
    # Given a manager that wants a sign of life every 0.4 s
    service.start(environment={"NOTIFY_SOCKET": manager.address, "WATCHDOG_USEC": "400000"})
    # then it gets one at least twice as often
    wait_until(lambda: manager.said.count("WATCHDOG=1") >= 5, "five signs of life", timeout=2)


def test_a_watchdog_for_another_process(service, manager):
    # Given a watchdog that is meant for another process, then nothing is said
    service.start(environment={"NOTIFY_SOCKET": manager.address, "WATCHDOG_USEC": "200000", "WATCHDOG_PID": "1"})
    lmtp(service.address)
    assert "WATCHDOG=1" not in manager.said


def test_a_manager_that_is_gone(service, tmp_path):
    # Given a notification socket that nobody has, then the service works all the same
    service.start(environment={"NOTIFY_SOCKET": str(tmp_path / "nobody")})
    assert lmtp(service.address)[0].code == 250


# Socket activation

#: Puts descriptors in their place as systemd does: the first at 3, and the process id of the service itself.
ACTIVATE = """
import os, sys
descriptors = [int(word) for word in sys.argv[1].split(",")]
for number, descriptor in enumerate(descriptors):
    os.dup2(descriptor, 50 + number)
for number in range(len(descriptors)):
    os.dup2(50 + number, 3 + number)
    os.close(50 + number)
os.environ["LISTEN_PID"] = sys.argv[2] if sys.argv[2] != "own" else str(os.getpid())
os.environ["LISTEN_FDS"] = str(len(descriptors))
os.execv(sys.argv[3], sys.argv[3:])
"""


def activate(daemon: Daemon, sockets: list[socket.socket], pid: str = "own") -> None:
    """Start the service as systemd does with sockets of its own."""
    numbers = [item.fileno() for item in sockets]
    daemon.start(
        wrapper=[interpreter(), "-c", ACTIVATE, ",".join(str(number) for number in numbers), pid], pass_fds=numbers
    )


@pytest.fixture
def listener():
    """A listening socket that lives longer than any service."""
    server = socket.create_server(("127.0.0.1", 0), backlog=512)
    yield server
    server.close()


def test_sockets_of_the_manager(service, listener, downstream):
    # Given two sockets that systemd has opened, one of them IPv6
    other = socket.create_server(("::1", 0), family=socket.AF_INET6)
    activate(service, [listener, other])
    # then both are served, and `listen` of the configuration is not
    assert lmtp(listener.getsockname())[0].code == 250
    with Client(other.getsockname()[:2]) as client:
        client.hello()
    assert f"listens on 127.0.0.1:{listener.getsockname()[1]}, [::1]:{other.getsockname()[1]}," in service.log
    other.close()


def test_sockets_for_another_process(service, listener):
    # Given an environment that is meant for another process, then the service opens its own sockets
    activate(service, [listener], pid="1")
    assert service.port != listener.getsockname()[1]
    assert lmtp(service.address)[0].code == 250


def test_a_changed_listen_is_told_when_systemd_has_the_sockets(service, listener):
    # Given sockets of systemd, when `listen` changes
    activate(service, [listener])
    service.reload(listen=["127.0.0.1:1"])
    # then the log says who can change them, and the old address is served
    service.wait_for_log("restart filter-daemon.socket")
    assert lmtp(listener.getsockname())[0].code == 250


@pytest.mark.slow
def test_restarts_under_load_refuse_no_connection(service, listener, downstream):
    # Given a load through a socket that systemd keeps open
    address = listener.getsockname()
    service.configure(workers=2, drain_timeout=10)
    sender = Sender(address, "LHLO")
    numbers = range(200)
    activate(service, [listener])
    load = threading.Thread(target=sender.send, args=(numbers,))
    load.start()
    # when the service is stopped and started again and again
    restarts = 0
    while load.is_alive() and restarts < 3:
        assert service.stop() == 0
        activate(service, [listener])
        restarts += 1
        seen = len(downstream.accepted)
        wait_until(lambda seen=seen: len(downstream.accepted) > seen + 5 or not load.is_alive(), "some more mail")
    load.join()
    # then no connection was refused, nothing was lost, nothing came twice
    account = sender.account(downstream, numbers)
    assert restarts >= 2
    assert sender.refused_connections == 0
    assert account.pop("duplicates") == 0
    assert account == NOTHING_WRONG


@pytest.mark.slow
def test_a_killed_service_under_load_refuses_no_connection(service, listener, downstream):
    # Given a load through a socket that systemd keeps open
    sender = Sender(listener.getsockname(), "EHLO")
    numbers = range(150)
    activate(service, [listener])
    load = threading.Thread(target=sender.send, args=(numbers,))
    load.start()
    wait_until(lambda: len(downstream.accepted) > 10, "some mail")
    # when the service and its workers are killed at once and started again
    service.kill()
    activate(service, [listener])
    load.join()
    # then nothing is lost; at most the messages whose answer was cut off came twice
    account = sender.account(downstream, numbers)
    assert sender.refused_connections == 0
    assert account.pop("duplicates") <= sender.deferrals
    assert account == NOTHING_WRONG


def test_the_log_under_systemd_has_priorities_and_no_times(service, tmp_path):
    # Given a standard error that is the journal's
    service.start(environment={"JOURNAL_STREAM": "8:12345"}, wait=False)
    wait_until(lambda: "ready" in service.log, "ready")
    # then each line begins with its priority (sd-daemon(3))
    lines = Path(service.log_path).read_text().splitlines()
    assert all(line[:3] in ("<3>", "<4>", "<6>") for line in lines)
    assert lines[-1] == "<6>ready"
