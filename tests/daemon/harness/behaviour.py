# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Waiting with an end, and what a scripted neighbour can do instead of answering properly."""

from __future__ import annotations

import dataclasses
import socket
import struct
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

#: Seconds that anything in these tests may take before it counts as hanging.
PATIENCE = 15.0


def wait_until(condition: Callable[[], T], what: str, timeout: float = PATIENCE) -> T:
    """The first true value of `condition`. Fails after `timeout` seconds, saying `what` did not come."""
    end = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"waited {timeout:g} s for {what}")
        time.sleep(0.005)


def free_port() -> int:
    """A TCP port on 127.0.0.1 that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def hard_close(connection: socket.socket) -> None:
    """Close with RST: what is under way is lost, as when a host dies."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


@dataclasses.dataclass(frozen=True)
class Action:
    """What a neighbour does at one stage: say something after a delay, and then go on or not."""

    say: bytes | None = None  #: None: the usual answer
    then: str = "continue"  #: continue, close, reset (RST), stall (until the peer goes or the test ends)
    delay: float = 0.0  #: seconds before it is said
    repeat: int = 1  #: how often it is said


def reply(code: int, text: str = "scripted reply") -> Action:
    """One reply, and go on."""
    return Action(f"{code} {text}\r\n".encode())


def raw(data: bytes) -> Action:
    """These bytes instead of a reply, and go on."""
    return Action(data)


def late(seconds: float) -> Action:
    """The usual answer, late."""
    return Action(delay=seconds)


def close(say: bytes = b"") -> Action:
    """Close, perhaps after some bytes."""
    return Action(say, "close")


def reset(say: bytes = b"") -> Action:
    """Close with RST."""
    return Action(say, "reset")


def stall(say: bytes = b"") -> Action:
    """Say nothing more, take nothing more, and keep the connection."""
    return Action(say, "stall")


def flood(line: bytes = b"250-spam spam spam spam\r\n", count: int = 20000) -> Action:
    """Half a megabyte of continuation lines; then silence."""
    return Action(line, "stall", repeat=count)
