# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The two things that systemd and a service tell each other: sd_listen_fds(3) and sd_notify(3)."""

from __future__ import annotations

import os
import socket

_FIRST_DESCRIPTOR = 3


def listeners() -> list[socket.socket]:
    """The listening sockets that systemd opened for this process, or none."""
    if os.environ.get("LISTEN_PID") != str(os.getpid()):
        return []
    count = int(os.environ.get("LISTEN_FDS", "0"))
    for name in ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"):
        os.environ.pop(name, None)
    sockets = [socket.socket(fileno=number) for number in range(_FIRST_DESCRIPTOR, _FIRST_DESCRIPTOR + count)]
    for listener in sockets:
        listener.set_inheritable(False)
    return sockets


def notify(*lines: str) -> None:
    """Tell the service manager; without one nothing happens."""
    path = os.environ.get("NOTIFY_SOCKET", "")
    if not path:
        return
    address = "\0" + path[1:] if path.startswith("@") else path
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
            channel.sendto("\n".join(lines).encode(), address)
    except OSError:
        pass  # a manager that is gone needs no news


def watchdog_interval() -> float:
    """Seconds between signs of life, 0 when none are wanted (half of WATCHDOG_USEC)."""
    if os.environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return 0.0
    value = os.environ.get("WATCHDOG_USEC", "0")
    return int(value) / 2e6 if value.isdigit() else 0.0
