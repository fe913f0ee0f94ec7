# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A scriptable reinjecting smtpd: records every transaction to the byte, and misbehaves where it is told to."""

from __future__ import annotations

import contextlib
import dataclasses
import re
import socket
import threading
import time
from collections.abc import Callable

from .behaviour import PATIENCE, Action, hard_close, wait_until

#: What a Postfix smtpd with smtpd_authorized_xforward_hosts announces.
POSTFIX_KEYWORDS = (
    "PIPELINING",
    "SIZE 0",
    "VRFY",
    "ETRN",
    "XFORWARD NAME ADDR PROTO HELO SOURCE PORT IDENT",
    "ENHANCEDSTATUSCODES",
    "8BITMIME",
    "DSN",
    "SMTPUTF8",
    "CHUNKING",
)
STAGES = ("banner", "ehlo", "xforward", "mail", "rcpt", "data", "content", "dot", "rset", "quit")
_END = b"\r\n.\r\n"
#: A whole reply that says yes.
_POSITIVE = re.compile(rb"(2[0-9][0-9])(?:-[^\n]*\n\1)*(?: [^\n]*)?\r?\n")


@dataclasses.dataclass
class Transaction:
    """One MAIL and what followed. Lines are as they came, without CR LF."""

    connection: int
    mail: str
    xforward: list[str]
    rcpts: list[str] = dataclasses.field(default_factory=list)  #: accepted ones
    refused: list[str] = dataclasses.field(default_factory=list)
    wire: bytes | None = None  #: content with transparency dots, final CR LF included; None: no dot came
    partial: bytes = b""  #: content received when the dot never came
    accepted: bool = False  #: the dot was answered with 2xx
    queue_id: str = ""

    @property
    def content(self) -> bytes:
        """The content without transparency dots."""
        assert self.wire is not None, "the final dot never came"
        body = self.wire[1:] if self.wire.startswith(b".") else self.wire
        return body.replace(b"\r\n.", b"\r\n")

    @property
    def sender(self) -> str:
        """The address in MAIL."""
        return _address(self.mail)

    @property
    def recipients(self) -> list[str]:
        """The addresses in the accepted RCPT."""
        return [_address(line) for line in self.rcpts]

    @property
    def attributes(self) -> dict[str, str]:
        """XFORWARD attributes as they came, in xtext."""
        words = [word for line in self.xforward for word in line.split()[1:]]
        return dict(word.split("=", 1) for word in words)


def parameters(line: str) -> dict[str, str]:
    """The ESMTP parameters of a MAIL or RCPT line."""
    words = line[line.rindex(">") + 1 :].split() if ">" in line else []
    return {word.partition("=")[0]: word.partition("=")[2] for word in words}


def _address(line: str) -> str:
    return line[line.index("<") + 1 : line.rindex(">")]


@dataclasses.dataclass
class _Rule:
    stage: str
    action: Action
    match: str
    times: int | None


class Downstream:
    """A server on a free port of 127.0.0.1, one thread a connection.

    >>> downstream.on("rcpt", reply(450), match="<b@example.com>")   # always
    >>> downstream.on("dot", close(), times=1)                       # once
    """

    def __init__(self, keywords: tuple[str, ...] = POSTFIX_KEYWORDS, host: str = "127.0.0.1", port: int = 0) -> None:
        self.host = host
        self.keywords = keywords
        self.transactions: list[Transaction] = []
        self.commands: list[str] = []  #: every command of every connection, in order of arrival
        self.connections = 0  #: ever accepted
        self.open: set[int] = set()
        self.decide: Callable[[str, str, Transaction | None], Action | None] | None = None
        self._rules: list[_Rule] = []
        self._lock = threading.RLock()
        self._sockets: dict[int, socket.socket] = {}
        self._listener: socket.socket | None = None
        self._stopped = threading.Event()
        self._accepted_count = 0
        self.port = port
        self.start()

    # Script

    def on(self, stage: str, action: Action, match: str = "", times: int | None = None) -> None:
        """Do `action` at `stage` when `match` is in the command; the latest rule that fits wins."""
        assert stage in STAGES, stage
        with self._lock:
            self._rules.append(_Rule(stage, action, match, times))

    def clear(self) -> None:
        """Behave again, and forget what was recorded. Connections stay open."""
        with self._lock:
            self._rules.clear()
            self.decide = None
            self.transactions.clear()
            self.commands.clear()

    # What happened

    @property
    def accepted(self) -> list[Transaction]:
        """Transactions whose dot was answered with 2xx."""
        with self._lock:
            return [transaction for transaction in self.transactions if transaction.accepted]

    @property
    def dots(self) -> int:
        """Transactions whose dot was seen, whatever was answered."""
        with self._lock:
            return sum(transaction.wire is not None for transaction in self.transactions)

    def wait_for_accepted(self, count: int, timeout: float = PATIENCE) -> list[Transaction]:
        """The accepted transactions once there are `count`."""
        wait_until(lambda: len(self.accepted) >= count, f"{count} messages downstream", timeout)
        return self.accepted

    @property
    def last(self) -> Transaction:
        """The newest accepted transaction."""
        return self.wait_for_accepted(1)[-1]

    # Life

    @property
    def address(self) -> str:
        """host:port for the daemon's configuration."""
        return f"{self.host}:{self.port}"

    def start(self) -> None:
        """Listen, on the same port as before."""
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Of a server that stalls the kernel would else take megabytes, and the end of the message with them.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
        listener.bind((self.host, self.port))
        listener.listen(512)
        self.port = listener.getsockname()[1]
        self._listener = listener
        self._stopped = threading.Event()
        threading.Thread(target=self._accept, args=(listener, self._stopped), daemon=True).start()

    def stop(self) -> None:
        """Refuse connections and drop the open ones (FIN)."""
        self._stopped.set()
        if self._listener is not None:
            # shutdown wakes the thread in accept; close alone does not.
            with contextlib.suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self._listener = None
        self.drop_connections()

    def drop_connections(self, goodbye: bytes = b"") -> None:
        """Close all open connections, as a reloaded Postfix does with idle ones."""
        with self._lock:
            connections = list(self._sockets.values())
        for connection in connections:
            with contextlib.suppress(OSError):
                if goodbye:
                    connection.sendall(goodbye)
                connection.shutdown(socket.SHUT_RDWR)

    def _accept(self, listener: socket.socket, stopped: threading.Event) -> None:
        while not stopped.is_set():
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                self.connections += 1
                number = self.connections
                self.open.add(number)
                self._sockets[number] = connection
                if stopped.is_set():
                    # it came in the moment in which the others were dropped
                    with contextlib.suppress(OSError):
                        connection.shutdown(socket.SHUT_RDWR)
            threading.Thread(target=self._serve, args=(number, connection, stopped), daemon=True).start()

    def _serve(self, number: int, connection: socket.socket, stopped: threading.Event) -> None:
        try:
            _Conversation(self, number, connection, stopped).run()
        except OSError:
            pass  # the peer is gone
        finally:
            with self._lock:
                # who counts from the beginning again may have given the number to another one
                if self._sockets.get(number) is connection:
                    self.open.discard(number)
                    del self._sockets[number]
            connection.close()

    # For the conversations

    def action(self, stage: str, line: str, transaction: Transaction | None) -> Action | None:
        """What the script says for this stage."""
        with self._lock:
            if self.decide is not None:
                action = self.decide(stage, line, transaction)
                if action is not None:
                    return action
            for rule in reversed(self._rules):
                if rule.stage == stage and rule.match in line and rule.times != 0:
                    if rule.times is not None:
                        rule.times -= 1
                    return rule.action
        return None

    def record(self, transaction: Transaction) -> None:
        """A new transaction."""
        with self._lock:
            self.transactions.append(transaction)

    def record_command(self, line: str) -> None:
        """One more command."""
        with self._lock:
            self.commands.append(line)

    def next_queue_id(self) -> str:
        """The queue id for the next accepted message."""
        with self._lock:
            self._accepted_count += 1
            return f"4BACK{self._accepted_count:06X}"


class _Gone(OSError):
    """The conversation is over."""


class _Conversation:
    def __init__(self, server: Downstream, number: int, connection: socket.socket, stopped: threading.Event) -> None:
        self._server = server
        self._number = number
        self._connection = connection
        self._stopped = stopped
        self._buffer = b""
        self._transaction: Transaction | None = None
        self._xforward: list[str] = []

    def run(self) -> None:
        self._do("banner", "", b"220 back.example.com ESMTP Postfix\r\n")
        while True:
            line = self._line()
            self._server.record_command(line)
            verb = re.split("[ :]", line.upper(), maxsplit=1)[0]
            handler = getattr(self, "_on_" + verb.lower(), None)
            if handler is None:
                self._connection.sendall(b"502 5.5.2 Error: command not recognized\r\n")
            else:
                handler(line)

    # Commands

    def _on_ehlo(self, line: str) -> None:
        lines = ["back.example.com", *self._server.keywords]
        text = "".join(f"250-{word}\r\n" for word in lines[:-1]) + f"250 {lines[-1]}\r\n"
        self._do("ehlo", line, text.encode())

    def _on_xforward(self, line: str) -> None:
        if self._do("xforward", line, b"250 2.0.0 Ok\r\n"):
            self._xforward.append(line)

    def _on_mail(self, line: str) -> None:
        if self._transaction is not None:
            self._connection.sendall(b"503 5.5.1 Error: nested MAIL command\r\n")
            return
        if self._do("mail", line, b"250 2.1.0 Ok\r\n"):
            self._transaction = Transaction(self._number, line, self._xforward)
            self._server.record(self._transaction)

    def _on_rcpt(self, line: str) -> None:
        if self._transaction is None:
            self._connection.sendall(b"503 5.5.1 Error: need MAIL command\r\n")
            return
        good = self._do("rcpt", line, b"250 2.1.5 Ok\r\n")
        (self._transaction.rcpts if good else self._transaction.refused).append(line)

    def _on_data(self, line: str) -> None:
        transaction = self._transaction
        if transaction is None or not transaction.rcpts:
            self._connection.sendall(b"503 5.5.1 Error: need RCPT command\r\n")
            return
        if self._do("data", line, b"354 End data with <CR><LF>.<CR><LF>\r\n"):
            self._content(transaction)

    def _on_rset(self, line: str) -> None:
        if self._do("rset", line, b"250 2.0.0 Ok\r\n"):
            self._forget()

    def _on_noop(self, _line: str) -> None:
        self._connection.sendall(b"250 2.0.0 Ok\r\n")

    def _on_quit(self, line: str) -> None:
        self._do("quit", line, b"221 2.0.0 Bye\r\n")
        raise _Gone

    def _content(self, transaction: Transaction) -> None:
        pieces, tail = [b"\r\n"], b"\r\n"
        scripted = self._server.action("content", "", transaction)
        while True:
            if scripted is not None:
                self._perform(scripted, b"")
            data, self._buffer = self._buffer or self._receive(transaction, pieces), b""
            pieces.append(data)
            tail = (tail + data)[-(len(data) + len(_END)) :]
            if _END in tail:
                break
            tail = tail[-len(_END) :]
        everything = b"".join(pieces)
        end = everything.index(_END)
        self._buffer = everything[end + len(_END) :]
        transaction.wire = everything[2 : end + 2]
        transaction.queue_id = self._server.next_queue_id()
        usual = f"250 2.0.0 Ok: queued as {transaction.queue_id}\r\n".encode()
        # Counted as accepted before it is said: who reads the reply finds it recorded.
        scripted = self._server.action("dot", ".", transaction)
        transaction.accepted = scripted is None or (
            _POSITIVE.match(scripted.say) is not None if scripted.say is not None else scripted.then == "continue"
        )
        self._forget()
        if scripted is None:
            self._connection.sendall(usual)
        else:
            self._perform(scripted, usual)

    def _receive(self, transaction: Transaction | None = None, pieces: list[bytes] | None = None) -> bytes:
        data = self._connection.recv(1 << 18)
        if not data:
            if transaction is not None and pieces is not None:
                transaction.partial = b"".join(pieces)[2:]
            raise _Gone
        return data

    # Helpers

    def _forget(self) -> None:
        # As Postfix does: XFORWARD attributes end with the transaction.
        self._transaction = None
        self._xforward = []

    def _line(self) -> str:
        while b"\n" not in self._buffer:
            self._buffer += self._receive()
        line, _, self._buffer = self._buffer.partition(b"\n")
        assert line.endswith(b"\r"), f"bare LF in a command: {line!r}"
        return line[:-1].decode("utf-8", "surrogateescape")

    def _do(self, stage: str, line: str, usual: bytes) -> bool:
        """Whether the stage ended well: 2xx, or 354 for DATA."""
        action = self._server.action(stage, line, self._transaction)
        if action is None:
            self._connection.sendall(usual)
            return True
        said = self._perform(action, usual)
        return said.startswith(b"354" if stage == "data" else b"2")

    def _perform(self, action: Action, usual: bytes) -> bytes:
        if action.delay:
            self._stopped.wait(action.delay)
        say = usual if action.say is None else action.say
        if say:
            self._connection.sendall(say * action.repeat)
        if action.then == "continue":
            return say
        if action.then == "reset":
            hard_close(self._connection)
        elif action.then == "stall":
            self._stall()
        raise _Gone

    def _stall(self) -> None:
        # Nothing is read, so that a sender runs into a full window; the end of the peer is still seen.
        self._connection.settimeout(0.05)
        end = time.monotonic() + 60
        while not self._stopped.is_set() and time.monotonic() < end:
            try:
                if not self._connection.recv(1, socket.MSG_PEEK):
                    return
            except TimeoutError:
                continue
            time.sleep(0.05)
