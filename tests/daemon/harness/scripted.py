# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A server that takes a question and says what a script says, for faults only. Real servers are in scanners.py."""

from __future__ import annotations

import contextlib
import re
import socket
import threading
import time
from collections.abc import Callable

from .behaviour import hard_close

#: What is done with one connection: called with it, and closes it by returning.
Script = Callable[["Connection"], None]


class Connection:
    """The server's side of one connection."""

    def __init__(self, connection: socket.socket, stopped: threading.Event) -> None:
        self._connection = connection
        self._stopped = stopped
        self._buffer = b""

    def question(self) -> bytes:
        """One whole question: what a Content-Length field says behind its head. b"" when the client has gone."""
        while b"\r\n\r\n" not in self._buffer:
            if not self._more():
                return b""
        head, _, _ = self._buffer.partition(b"\r\n\r\n")
        length = re.search(rb"(?i)content-length: *(\d+)", head)
        size = len(head) + 4 + (int(length.group(1)) if length else 0)
        while len(self._buffer) < size:
            if not self._more():
                return b""
        question, self._buffer = self._buffer[:size], self._buffer[size:]
        return question

    def _more(self) -> bool:
        data = self._connection.recv(1 << 16)
        self._buffer += data
        return bool(data)

    def say(self, data: bytes) -> None:
        """Send this."""
        self._connection.sendall(data)

    def finish(self) -> None:
        """Say nothing more, but keep the connection."""
        self._connection.shutdown(socket.SHUT_WR)

    def stall(self) -> None:
        """Do nothing until the test is over."""
        self._stopped.wait(60)

    def wait(self, seconds: float) -> None:
        """Do nothing for a while."""
        time.sleep(seconds)

    def reset(self) -> None:
        """Close with RST."""
        hard_close(self._connection)


class Scripted:
    """Listens on a port of 127.0.0.1 and runs `script` for each connection, in a thread of its own."""

    def __init__(self) -> None:
        self.script: Script = Connection.stall
        self.connections = 0
        self._stopped = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def stop(self) -> None:
        """Refuse connections; what stalls ends."""
        self._stopped.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection:
            self.script(Connection(connection, self._stopped))
