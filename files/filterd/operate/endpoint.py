# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where metrics and status can be had: GET by HTTP/1.0 on a Unix socket and on loopback, one answer a connection.

It runs in the service process, whose first job is to admit messages: nothing here waits, and there are few clients at
a time with little to say.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import stat
import time
from collections.abc import Iterator
from typing import Callable, NamedTuple, Optional

from .. import log
from ..values import Address

_MODE = 0o660
_REQUEST_LIMIT = 4096
_CLIENTS = 16
#: Seconds that a client has for everything.
_PATIENCE = 5.0
#: Longest path that bind(2) and connect(2) take.
_PATH_LIMIT = 100


class Answer(NamedTuple):
    """What is said to a request."""

    content_type: str
    body: str


class _Client:
    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.received = b""
        self.unsent: Optional[memoryview] = None
        self.end = time.monotonic() + _PATIENCE


class Endpoint:
    """All listening sockets and clients behind one descriptor that is ready when any of them is (see epoll(7))."""

    def __init__(self, answer: Callable[[str], Optional[Answer]]) -> None:
        self._answer = answer
        self._epoll = select.epoll()
        self._listeners: dict[int, socket.socket] = {}
        self._clients: dict[int, _Client] = {}
        self._path = ""

    def fileno(self) -> int:
        """For a selector."""
        return self._epoll.fileno()

    def open(self, path: str, address: Optional[Address]) -> None:
        """Listen there, and nowhere else. What cannot be opened is said in the log: mail goes on without it."""
        self._close_listeners()
        if path:
            try:
                self._add(_unix_listener(path))
                self._path = path
            except OSError as error:
                log.warning(
                    f"metrics_socket: {path} cannot be opened ({error.strerror or error}): no status, no metrics"
                )
        if address is not None:
            try:
                self._add(_tcp_listener(address))
            except OSError as error:
                log.warning(f"metrics_listen: {address} cannot be opened ({error.strerror})")

    def _add(self, listener: socket.socket) -> None:
        listener.setblocking(False)
        self._listeners[listener.fileno()] = listener
        self._epoll.register(listener.fileno(), select.EPOLLIN)

    def _close_listeners(self) -> None:
        for number, listener in self._listeners.items():
            self._epoll.unregister(number)
            listener.close()
        self._listeners.clear()
        if self._path:
            with contextlib.suppress(OSError):
                os.unlink(self._path)
            self._path = ""

    def turn(self) -> None:
        """Do what can be done now."""
        for number, _ in self._epoll.poll(0):
            if number in self._listeners:
                self._accept(self._listeners[number])
            elif number in self._clients:
                self._serve(self._clients[number])

    def sweep(self) -> None:
        """From time to time: close what takes too long."""
        now = time.monotonic()
        for client in [client for client in self._clients.values() if client.end <= now]:
            self._drop(client)

    def _accept(self, listener: socket.socket) -> None:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        if len(self._clients) >= _CLIENTS:
            connection.close()
            return
        connection.setblocking(False)
        self._clients[connection.fileno()] = _Client(connection)
        self._epoll.register(connection.fileno(), select.EPOLLIN)

    def _serve(self, client: _Client) -> None:
        try:
            if client.unsent is None:
                self._read(client)
            if client.unsent is not None:
                client.unsent = client.unsent[client.connection.send(client.unsent) :]
                if not client.unsent:
                    self._drop(client)
        except BlockingIOError:
            return
        except OSError:
            self._drop(client)

    def _read(self, client: _Client) -> None:
        data = client.connection.recv(_REQUEST_LIMIT)
        client.received += data
        if b"\r\n\r\n" in client.received or b"\n\n" in client.received:
            client.unsent = memoryview(self._respond(client.received))
            self._epoll.modify(client.connection.fileno(), select.EPOLLOUT)
        elif not data or len(client.received) >= _REQUEST_LIMIT:
            self._drop(client)

    def _respond(self, request: bytes) -> bytes:
        words = request.split(b"\n", 1)[0].decode("ascii", "replace").split()
        status, answer = "405 Method Not Allowed", Answer("text/plain", "only GET\n")
        if len(words) == 3 and words[0] == "GET":
            found = self._answer(words[1].partition("?")[0])
            status, answer = (
                ("200 OK", found) if found else ("404 Not Found", Answer("text/plain", "/metrics\n/status\n"))
            )
        body = answer.body.encode("utf-8")
        head = f"HTTP/1.0 {status}\r\nContent-Type: {answer.content_type}\r\nContent-Length: {len(body)}\r\n"
        return (head + "Connection: close\r\n\r\n").encode("ascii") + body

    def _drop(self, client: _Client) -> None:
        self._clients.pop(client.connection.fileno(), None)
        with contextlib.suppress(OSError):
            self._epoll.unregister(client.connection.fileno())
        client.connection.close()

    def close(self, unlink: bool = True) -> None:
        """No more. A child that was forked closes its copies without taking the socket's name away."""
        if not unlink:
            # The descriptors are copies, but what epoll watches is shared: it must not be touched here.
            for holder in (*self._listeners.values(), *(client.connection for client in self._clients.values())):
                holder.close()
            self._epoll.close()
            return
        self._close_listeners()
        for client in list(self._clients.values()):
            self._drop(client)
        self._epoll.close()


def _unix_listener(path: str) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with _short(path) as short:
            _clear(path, short)
            listener.bind(short)
        os.chmod(path, _MODE)
        listener.listen(_CLIENTS)
    except BaseException:
        listener.close()
        raise
    return listener


def _clear(path: str, short: str) -> None:
    """Remove the socket that a daemon left which was killed. Raises OSError when there is something else."""
    try:
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            raise FileExistsError(17, "there is a file that is no socket")
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1)
        try:
            probe.connect(short)
        except ConnectionRefusedError:
            os.unlink(path)
            return
    raise FileExistsError(98, "another daemon listens there")


@contextlib.contextmanager
def _short(path: str) -> Iterator[str]:
    """The path in a form that a socket address has room for."""
    if len(os.fsencode(path)) <= _PATH_LIMIT:
        yield path
        return
    directory = os.open(os.path.dirname(path), os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{directory}/{os.path.basename(path)}"
    finally:
        os.close(directory)


def _tcp_listener(address: Address) -> socket.socket:
    host = "127.0.0.1" if address.host == "localhost" else address.host
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, address.port))
        listener.listen(_CLIENTS)
    except BaseException:
        listener.close()
        raise
    return listener


def fetch(path: str, what: str, timeout: float = 5.0) -> bytes:
    """The body of a GET on a daemon's Unix socket. Raises OSError."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection, _short(path) as short:
        connection.settimeout(timeout)
        connection.connect(short)
        connection.sendall(f"GET {what} HTTP/1.0\r\n\r\n".encode("ascii"))
        pieces = []
        while True:
            piece = connection.recv(65536)
            if not piece:
                break
            pieces.append(piece)
    head, _, body = b"".join(pieces).partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.0 200 "):
        raise ConnectionError(f"{path} answered {head[:60]!r}")
    return body


def greets(address: Address, timeout: float = 5.0) -> bool:
    """Whether a filter daemon takes mail there (seconds to wait for its greeting)."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(address.host, address.host)
    try:
        with socket.create_connection((host, address.port), timeout) as connection:
            connection.settimeout(timeout)
            greeting = connection.recv(1024)
            connection.sendall(b"QUIT\r\n")
    except OSError:
        return False
    return greeting.startswith(b"220 ") and b"content filter" in greeting
