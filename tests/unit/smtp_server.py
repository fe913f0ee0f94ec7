# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A server on a real socket that says what a test tells it to, for replies that no well-behaved server gives."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress

Answer = bytes | Callable[[], bytes]

POLITE: Mapping[str, Answer] = {
    "connect": b"220 mail.example.com ESMTP\r\n",
    "EHLO": b"250-mail.example.com\r\n250-SIZE 10240000\r\n250-8BITMIME\r\n250 SMTPUTF8\r\n",
    "LHLO": b"250-mail.example.com\r\n250 ENHANCEDSTATUSCODES\r\n",
    "MAIL": b"250 2.1.0 Ok\r\n",
    "RCPT": b"250 2.1.5 Ok\r\n",
    "DATA": b"354 go on\r\n",
    ".": b"250 2.0.0 Ok: queued as 4ABC5DEF6\r\n",
    "QUIT": b"221 2.0.0 Bye\r\n",
}


class Server:
    """Where it listens, and all that it has read."""

    def __init__(self, port: int) -> None:
        self.entry = f"127.0.0.1:{port}"
        self.port = port
        self.received = b""
        #: By verb; may be changed until it connects.
        self.answers: dict[str, Answer] = {}


@contextmanager
def serving(connections: int = 1, **answers: Answer) -> Iterator[Server]:
    """Serve connections, one by one; answers go by verb (`connect`, `dot` too). An empty one closes the connection."""
    table = {**POLITE, **{"." if verb == "dot" else verb: answer for verb, answer in answers.items()}}
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(10)
        server = Server(listener.getsockname()[1])
        server.answers = table
        thread = threading.Thread(target=_serve, args=(listener, server, table, connections), daemon=True)
        thread.start()
        yield server
        thread.join(10)
        assert not thread.is_alive()


def _serve(listener: socket.socket, server: Server, table: Mapping[str, Answer], connections: int) -> None:
    for _number in range(connections):
        # A client that goes away in the middle is what some tests are about.
        with suppress(OSError):
            _serve_one(listener, server, table)


def _serve_one(listener: socket.socket, server: Server, table: Mapping[str, Answer]) -> None:
    connection, _peer = listener.accept()
    with connection, connection.makefile("rb") as stream:
        connection.settimeout(10)
        if not _answer(connection, table["connect"]):
            return
        in_data = False
        for line in stream:
            server.received += line
            if in_data and line != b".\r\n":
                continue
            verb = "." if in_data else line[:4].decode("ascii").upper()
            in_data = verb == "DATA" and _text(table["DATA"]).startswith(b"354")
            if not _answer(connection, table[verb]) or verb == "QUIT":
                return


def _text(answer: Answer) -> bytes:
    return answer if isinstance(answer, bytes) else b""


def _answer(connection: socket.socket, answer: Answer) -> bool:
    text = answer if isinstance(answer, bytes) else answer()
    if text:
        connection.sendall(text)
    return bool(text)
