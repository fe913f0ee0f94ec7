# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A mail client as raw bytes: nothing is checked, corrected or hidden."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Sequence
from types import TracebackType
from typing import NamedTuple

from .behaviour import PATIENCE, hard_close

#: A message that no policy minds.
CLEAN = b"From: alice@example.com\r\nTo: bob@example.com\r\nSubject: clean\r\n\r\nHello\r\n"


class ConnectionClosed(Exception):
    """The daemon closed; `data` is what it had said and nobody had read."""

    def __init__(self, data: bytes) -> None:
        super().__init__(f"closed after {data!r}")
        self.data = data


class Reply(NamedTuple):
    """One reply: code and whole lines without CR LF."""

    code: int
    lines: list[str]

    @property
    def text(self) -> str:
        """All lines without their codes."""
        return "\n".join(line[4:] for line in self.lines)

    @property
    def enhanced(self) -> list[str]:
        """The enhanced status code of each line; "" where there is none."""
        words = [line[4:].split(" ", 1)[0] for line in self.lines]
        return [word if word.count(".") == 2 and word.replace(".", "").isdigit() else "" for word in words]


def stuff(content: bytes) -> bytes:
    """Content with transparency dots and the end of data."""
    wire = content.replace(b"\r\n.", b"\r\n..")
    wire = b"." + wire if wire.startswith(b".") else wire
    return wire + (b".\r\n" if not content or content.endswith(b"\r\n") else b"\r\n.\r\n")


class Client:
    """One connection. Every read ends within `timeout` seconds."""

    def __init__(
        self, address: tuple[str, int], timeout: float = PATIENCE, greeting: bool = True, source: str = ""
    ) -> None:
        self.socket = socket.create_connection(address, timeout, (source, 0) if source else None)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._buffer = b""
        if greeting:
            self.banner = self.reply()

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # Bytes

    def send(self, data: bytes) -> None:
        """These bytes and no others."""
        self.socket.sendall(data)

    def reply(self) -> Reply:
        """The next reply, which must be well-formed. Raises ConnectionClosed."""
        lines = []
        while True:
            while b"\r\n" not in self._buffer:
                self._more()
            line, _, self._buffer = self._buffer.partition(b"\r\n")
            assert len(line) >= 3, f"not a reply: {line!r}"
            assert line[:3].isdigit(), f"not a reply: {line!r}"
            assert line[3:4] in (b"", b" ", b"-"), f"not a reply: {line!r}"
            assert all(0x20 <= byte <= 0x7E for byte in line), f"unprintable byte in a reply: {line!r}"
            assert len(line) <= 510, f"reply line of {len(line)} bytes"
            lines.append(line.decode("ascii"))
            if line[3:4] != b"-":
                assert len({item[:3] for item in lines}) == 1, f"codes differ: {lines}"
                return Reply(int(line[:3]), lines)

    def replies(self, count: int) -> list[Reply]:
        """The next `count` replies."""
        return [self.reply() for _ in range(count)]

    def silent(self, seconds: float = 0.1) -> bool:
        """Whether nothing more is said for a moment, and the connection stays open."""
        if self._buffer:
            return False
        self.socket.settimeout(seconds)
        try:
            self._more()
        except TimeoutError:
            return True
        except ConnectionClosed:
            return False
        finally:
            self.socket.settimeout(PATIENCE)
        return False

    def read_to_end(self) -> bytes:
        """Everything until the daemon closes."""
        try:
            while True:
                self._more()
        except ConnectionClosed as closed:
            return closed.data

    def _more(self) -> None:
        try:
            data = self.socket.recv(1 << 16)
        except ConnectionResetError:
            data = b""
        if not data:
            left, self._buffer = self._buffer, b""
            raise ConnectionClosed(left)
        self._buffer += data

    def close(self) -> None:
        """FIN."""
        self.socket.close()

    def abort(self) -> None:
        """RST."""
        hard_close(self.socket)

    def half_close(self) -> None:
        """FIN, but go on reading."""
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_WR)

    # Commands

    def command(self, line: str | bytes) -> Reply:
        """One command and its reply."""
        self.send((line.encode("utf-8", "surrogateescape") if isinstance(line, str) else line) + b"\r\n")
        return self.reply()

    def good(self, line: str | bytes) -> Reply:
        """A command that must be answered with 2xx or 354."""
        reply = self.command(line)
        assert reply.code < 400, f"{line!r} -> {reply}"
        return reply

    def hello(self, verb: str = "EHLO", name: str = "client.example.com") -> dict[str, str]:
        """Greet and return the keywords offered."""
        reply = self.good(f"{verb} {name}")
        return {line.partition(" ")[0]: line.partition(" ")[2] for line in reply.text.split("\n")[1:]}

    def envelope(self, sender: str = "alice@example.com", recipients: Sequence[str] = ("bob@example.com",)) -> None:
        """MAIL and RCPT, one by one; a recipient may carry parameters behind "> "."""
        self.good(f"MAIL FROM:<{sender}>")
        for recipient in recipients:
            self.good(f"RCPT TO:<{recipient}>")

    def data(self, content: bytes, replies: int = 1) -> list[Reply]:
        """DATA, the content with its dots, and so many replies."""
        self.good("DATA")
        self.send(stuff(content))
        return self.replies(replies)


def lmtp(
    address: tuple[str, int],
    content: bytes = CLEAN,
    sender: str = "alice@example.com",
    recipients: Sequence[str] = ("bob@example.com",),
) -> list[Reply]:
    """One message by LMTP on a connection of its own: one reply for each recipient."""
    with Client(address) as client:
        client.hello("LHLO")
        client.envelope(sender, recipients)
        replies = client.data(content, len(recipients))
        client.good("QUIT")
        return replies


def smtp(
    address: tuple[str, int],
    content: bytes = CLEAN,
    sender: str = "alice@example.com",
    recipients: Sequence[str] = ("bob@example.com",),
) -> Reply:
    """One message by SMTP on a connection of its own."""
    with Client(address) as client:
        client.hello("EHLO")
        client.envelope(sender, recipients)
        reply = client.data(content)[0]
        client.good("QUIT")
        return reply
