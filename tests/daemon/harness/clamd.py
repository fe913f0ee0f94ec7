# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A scriptable clamd on a local socket (IDSESSION, INSTREAM, VERSION, PING), for faults only.

What a real clamd finds is tested with a real clamd.
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import threading
import time
from collections.abc import Callable
from pathlib import Path

from .behaviour import Action, hard_close

EICAR = rb"X5O!P%@AP[4\PZX54(P^)7CC)7}$" + b"EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"
STAGES = ("connect", "stream", "verdict")


def find_eicar(content: bytes) -> str:
    """The verdict of a scanner that knows one virus, and tells of its limits."""
    if content.startswith(b"PK") and content.count(b"PK\x03\x04") > 17:
        return "Heuristics.Limits.Exceeded.MaxRecursion FOUND"
    return "Eicar-Test-Signature FOUND" if EICAR in content else "OK"


class Clamd:
    """Answers each INSTREAM with `verdict(content)`, such as "OK" or "Name FOUND", unless scripted otherwise.

    >>> clamd.verdict = lambda content: "Heuristics.Limits.Exceeded.MaxFileSize FOUND"
    >>> clamd.on("verdict", stall())              # takes the content and says nothing
    >>> clamd.on("stream", close(), times=1)      # closes while the content comes, once
    """

    def __init__(self, path: Path) -> None:
        self.path = str(path)
        self.verdict: Callable[[bytes], str] = find_eicar
        self.scanned: list[bytes] = []  #: content of every scan that came whole
        self.connections = 0
        self.scanning = 0  #: scans under way now
        self.most = 0  #: the most scans that were under way at a time
        self.idle_timeout: float | None = None  #: seconds after which an idle session is closed
        self.stream_limit: int | None = None  #: StreamMaxLength
        self._rules: list[list[object]] = []
        self._lock = threading.RLock()
        self._sockets: set[socket.socket] = set()
        self._listener: socket.socket | None = None
        self._stopped = threading.Event()
        self._released = threading.Event()
        self.start()

    @property
    def settings(self) -> dict[str, object]:
        """For `scanners` in the daemon's configuration."""
        return {"type": "clamd", "socket": self.path}

    def on(self, stage: str, action: Action, times: int | None = None) -> None:
        """Do `action` at `stage`; the latest rule wins."""
        assert stage in STAGES, stage
        with self._lock:
            self._rules.append([stage, action, times])

    def clear(self) -> None:
        """Behave again; what is stalled goes on."""
        with self._lock:
            self._rules.clear()
            self.verdict = find_eicar
            self.scanned.clear()
            self.most = 0
        self.release()

    def release(self) -> None:
        """What is stalled at "verdict" now gets the usual answer."""
        self._released.set()
        self._released = threading.Event()

    def start(self) -> None:
        """Listen."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.path)
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(self.path)
        os.chmod(self.path, 0o666)
        listener.listen(512)
        self._listener = listener
        self._stopped = threading.Event()
        threading.Thread(target=self._accept, args=(listener, self._stopped), daemon=True).start()

    def stop(self) -> None:
        """Refuse connections, drop the open ones."""
        self._stopped.set()
        if self._listener is not None:
            with contextlib.suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self._listener = None
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.path)
        self.drop_connections()

    def drop_connections(self) -> None:
        """Close all open sessions."""
        with self._lock:
            connections = list(self._sockets)
        for connection in connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def _accept(self, listener: socket.socket, stopped: threading.Event) -> None:
        while not stopped.is_set():
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with self._lock:
                self.connections += 1
                self._sockets.add(connection)
            threading.Thread(target=self._serve, args=(connection, stopped), daemon=True).start()

    def _serve(self, connection: socket.socket, stopped: threading.Event) -> None:
        try:
            _Session(self, connection, stopped).run()
        except OSError:
            pass  # the peer is gone
        finally:
            with self._lock:
                self._sockets.discard(connection)
            connection.close()

    # For the sessions

    def action(self, stage: str) -> Action | None:
        """What the script says for this stage."""
        with self._lock:
            for rule in reversed(self._rules):
                if rule[0] == stage and rule[2] != 0:
                    if isinstance(rule[2], int):
                        rule[2] -= 1
                    assert isinstance(rule[1], Action)
                    return rule[1]
        return None

    def begin(self) -> None:
        """A scan begins."""
        with self._lock:
            self.scanning += 1
            self.most = max(self.most, self.scanning)

    def end(self) -> None:
        """A scan has ended."""
        with self._lock:
            self.scanning -= 1

    def judge(self, content: bytes) -> str:
        """Record one whole content and say what it is."""
        with self._lock:
            self.scanned.append(content)
            return self.verdict(content)

    @property
    def released(self) -> threading.Event:
        """Set when stalled scans may go on."""
        return self._released


class _Gone(OSError):
    """The session is over."""


class _Session:
    def __init__(self, server: Clamd, connection: socket.socket, stopped: threading.Event) -> None:
        self._server = server
        self._connection = connection
        self._stopped = stopped
        self._buffer = b""
        self._kept = False
        self._number = 0

    def run(self) -> None:
        action = self._server.action("connect")
        if action is not None:
            self._perform(action)
        while True:
            command = self._command()
            if command == "IDSESSION":
                self._kept = True
                continue
            self._number += 1
            if command == "INSTREAM":
                self._instream()
            elif command == "VERSION":
                self._answer("ClamAV 1.4.3/27800/Tue Oct 20 08:00:00 2026")
            elif command == "PING":
                self._answer("PONG")
            else:
                self._answer("UNKNOWN COMMAND")
            if not self._kept:
                return

    def _instream(self) -> None:
        self._server.begin()
        try:
            content = self._stream()
            usual = self._server.judge(content)
            action = self._server.action("verdict")
            if action is None:
                self._answer("stream: " + usual)
            elif action.then == "stall" and not action.say:
                self._wait()
                self._answer("stream: " + usual)
            else:
                self._perform(action, "stream: " + usual)
        finally:
            self._server.end()

    def _stream(self) -> bytes:
        pieces: list[bytes] = []
        size = 0
        while True:
            length = struct.unpack("!I", self._exactly(4))[0]
            if not length:
                return b"".join(pieces)
            size += length
            limit = self._server.stream_limit
            if limit is not None and size > limit:
                # As clamd does: it tells, and closes while the peer is still sending.
                self._answer("INSTREAM size limit exceeded. ERROR")
                raise _Gone
            pieces.append(self._exactly(length))
            action = self._server.action("stream")
            if action is not None:
                self._perform(action)

    def _perform(self, action: Action, usual: str = "") -> None:
        if action.delay:
            self._stopped.wait(action.delay)
        if action.say is not None:
            self._connection.sendall(action.say * action.repeat)
        elif usual:
            self._answer(usual)
        if action.then == "continue":
            return
        if action.then == "reset":
            hard_close(self._connection)
        elif action.then == "stall":
            self._wait()
        raise _Gone

    def _wait(self) -> None:
        released, end = self._server.released, time.monotonic() + 60
        self._connection.settimeout(0.02)
        while not released.is_set() and not self._stopped.is_set() and time.monotonic() < end:
            try:
                if not self._connection.recv(1, socket.MSG_PEEK):
                    raise _Gone
                time.sleep(0.02)
            except TimeoutError:
                continue
        self._connection.settimeout(None)

    def _answer(self, text: str) -> None:
        prefix = f"{self._number}: " if self._kept else ""
        self._connection.sendall(f"{prefix}{text}\0".encode())

    def _command(self) -> str:
        self._connection.settimeout(self._server.idle_timeout)
        try:
            while b"\0" not in self._buffer and b"\n" not in self._buffer:
                self._more()
        except TimeoutError:
            raise _Gone from None
        self._connection.settimeout(None)
        end = min(position for position in (self._buffer.find(b"\0"), self._buffer.find(b"\n")) if position >= 0)
        command, self._buffer = self._buffer[:end], self._buffer[end + 1 :]
        return command.decode().lstrip("zn")

    def _exactly(self, length: int) -> bytes:
        while len(self._buffer) < length:
            self._more()
        data, self._buffer = self._buffer[:length], self._buffer[length:]
        return data

    def _more(self) -> None:
        data = self._connection.recv(1 << 18)
        if not data:
            raise _Gone
        self._buffer += data
