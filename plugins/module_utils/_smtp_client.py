# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A small SMTP and LMTP client that keeps the dialogue, for probing (RFC 5321, RFC 2033).

smtplib keeps no dialogue and hides which of its commands failed. This client sends what it is told, one command at a
time, and raises nothing for a negative reply: to see it is what a probe is for.
"""

from __future__ import annotations

import contextlib
import re
import socket
import time
from typing import NamedTuple

#: More than any server says in one reply (RFC 5321 section 4.5.3.1.5 allows 512 bytes a line).
_LONGEST_REPLY = 65536
#: How long to wait for the reply to QUIT, in seconds.
_PATIENCE_AT_QUIT = 2.0
_REPLY_LINE = re.compile(rb"([2-5][0-9]{2})([ -]?)(.*)")


class Reply(NamedTuple):
    code: int
    #: The text of each line, without the code.
    lines: list[str]
    #: Whether it answers the end of a message.
    after_data: bool = False

    @property
    def positive(self) -> bool:
        return self.code < 300

    @property
    def text(self) -> str:
        return " ".join(self.lines)

    def __str__(self) -> str:
        return f"{self.code} {self.text}"


class ProbeError(ValueError):
    """The dialogue could not go on: no connection, no reply, or one that is not SMTP."""


def parse_entry(entry: object, name: str = "entry") -> tuple[str, int]:
    """A host and port from "host:port" or "[address]:port"."""
    takes = "host:port, such as 127.0.0.1:25 or [::1]:25"
    if not isinstance(entry, str):
        raise ValueError(f"{name}: {entry!r} is wrong, it takes {takes}")
    host, colon, port = entry.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        # Without the brackets nobody can tell where the address ends.
        host = ""
    number = int(port) if port.isascii() and port.isdigit() and len(port) <= 5 else 0
    if not host or not colon or not 1 <= number <= 65535 or re.search(r"[\s\x00-\x1f\[\]/]", host):
        raise ValueError(f"{name}: {entry!r} is wrong, it takes {takes}")
    return host, number


def dot_stuff(content: bytes) -> bytes:
    """The content as it goes over the wire after DATA, with its end (RFC 5321 section 4.5.2).

    Its lines have to end with CR LF already; the last one gets it if it lacks it.
    """
    if content and not content.endswith(b"\r\n"):
        content += b"\r\n"
    if content.startswith(b"."):
        content = b"." + content
    return content.replace(b"\r\n.", b"\r\n..") + b".\r\n"


def extensions(reply: Reply) -> dict[str, str]:
    """The extensions in a reply to EHLO or LHLO, upper case, each with its parameters."""
    found = {}
    for line in reply.lines[1:]:
        keyword, _space, parameters = line.strip().partition(" ")
        if keyword:
            found[keyword.upper()] = parameters.strip()
    return found


class Client:
    """One connection. Every step has to be finished before the deadline (time.monotonic())."""

    def __init__(self, host: str, port: int, deadline: float) -> None:
        self.dialogue: list[str] = []
        self.deadline = deadline
        self._buffer = b""
        self._place = f"{host}:{port}"
        try:
            self._socket = socket.create_connection((host, port), timeout=self._left())
            # A probe of many small writes must not wait for the other side's delayed acknowledgements.
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError as error:
            raise ProbeError(f"entry: no connection to {self._place}: {error}") from None

    def close(self) -> None:
        self._socket.close()

    def literal(self) -> str:
        """This end's address as a HELO name (RFC 5321 section 4.1.3): right without any DNS."""
        address: str = self._socket.getsockname()[0]
        return f"[IPv6:{address}]" if ":" in address else f"[{address}]"

    def command(self, line: str) -> Reply:
        """Send a command and read the reply."""
        self.dialogue.append(f"C: {line}")
        self._send(line.encode("utf-8") + b"\r\n")
        return self.reply()

    def content(self, content: bytes) -> Reply:
        """Send a message with the end of data, and read the reply (with LMTP that for the first recipient)."""
        self.dialogue.append(f"C: (message of {len(content)} bytes)")
        self._send(dot_stuff(content))
        self.dialogue.append("C: .")
        return self.reply()._replace(after_data=True)

    def quit(self) -> None:
        """Say QUIT. The reply that counts was read: a server that hangs up early takes nothing of it back."""
        self.deadline = min(self.deadline, time.monotonic() + _PATIENCE_AT_QUIT)
        with contextlib.suppress(ProbeError):
            self.command("QUIT")

    def reply(self) -> Reply:
        """Read one reply, which may have many lines."""
        lines: list[str] = []
        while True:
            raw = self._line()
            self.dialogue.append(f"S: {raw.decode('utf-8', 'backslashreplace')}")
            parts = _REPLY_LINE.fullmatch(raw)
            if parts is None:
                raise ProbeError(f"entry: {self._place} gave {raw!r} as a reply, which is not SMTP")
            lines.append(parts[3].decode("utf-8", "backslashreplace"))
            if parts[2] != b"-":
                return Reply(int(parts[1]), lines)

    def _line(self) -> bytes:
        while b"\n" not in self._buffer:
            if len(self._buffer) > _LONGEST_REPLY:
                raise ProbeError(f"entry: {self._place} sent {len(self._buffer)} bytes without the end of a line")
            try:
                self._socket.settimeout(self._left())
                received = self._socket.recv(4096)
            except OSError as error:
                raise ProbeError(f"entry: no reply from {self._place}: {error}") from None
            if not received:
                raise ProbeError(f"entry: {self._place} closed the connection before it replied")
            self._buffer += received
        line, _feed, self._buffer = self._buffer.partition(b"\n")
        return line.rstrip(b"\r")

    def _send(self, data: bytes) -> None:
        try:
            self._socket.settimeout(self._left())
            self._socket.sendall(data)
        except OSError as error:
            raise ProbeError(f"entry: {self._place} took no more input: {error}") from None

    def _left(self) -> float:
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise ProbeError(f"entry: {self._place} did not answer within the timeout")
        return left
