# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A program with limits: its own process group, no shell in the way of its arguments, bounded output, killed in time.

It is waited for by pidfd_open(2): no thread, no signal handler, and its process group can be killed before its number
is free for others.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
from typing import NamedTuple, Optional

from .threads import in_thread

#: Bytes of output that are kept.
KEPT_OUTPUT = 65536
#: Whoever writes more than this is killed.
OUTPUT_LIMIT = 4 << 20
#: Sets limits and becomes the program. In the shell and not in a function between fork and exec: a worker has threads.
#: ulimit takes KiB for -v and blocks of 512 bytes for -f (POSIX). 125 to 127 are the shell's exit codes.
_WRAPPER = (
    'umask 077; ulimit -c 0 && ulimit -t "$1" && ulimit -v "$2" && ulimit -f "$3" || exit 125; shift 3; exec "$@"'
)
_LIMITS_FAILED, _NOT_EXECUTABLE, _NOT_FOUND = 125, 126, 127
_ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"}


class ProcessFailure(Exception):
    """The program could not be run to its own end; the words say why."""


class Limits(NamedTuple):
    """For each process of the program: seconds of processor time, bytes of address space, bytes of one file."""

    cpu: int
    memory: int
    file: int


class Ended(NamedTuple):
    """How the program ended."""

    status: int  #: exit code
    output: bytes  #: the beginning of standard output and standard error


class _Child(NamedTuple):
    """A program that has been started."""

    process: subprocess.Popen[bytes]
    reading: int  #: descriptor of its output
    handle: int  #: its pidfd, readable when it has ended

    def kill(self) -> None:
        """Its whole process group. All of it may have ended; or have become another user, whom only time ends."""
        # As long as nobody has waited for the leader, alive or not, its number belongs to this group alone.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)

    def discard(self) -> None:
        """It is not wanted any more."""
        self.kill()
        self.process.wait()
        for descriptor in (self.reading, self.handle):
            if descriptor >= 0:
                os.close(descriptor)


def _spawn(argv: tuple[str, ...], limits: Limits, directory: str, temporary: str) -> _Child:
    numbers = (limits.cpu, limits.memory // 1024, max(1, limits.file // 512))
    reading, writing = os.pipe()
    try:
        process = subprocess.Popen(
            ["/bin/sh", "-c", _WRAPPER, "sh", *map(str, numbers), *argv],
            stdin=subprocess.DEVNULL,
            stdout=writing,
            stderr=writing,
            cwd=directory,
            env={**_ENVIRONMENT, "HOME": temporary, "TMPDIR": temporary},
            start_new_session=True,
        )
    except OSError as error:
        os.close(reading)
        raise ProcessFailure(f"cannot be started: {error.strerror}") from None
    finally:
        os.close(writing)
    os.set_blocking(reading, False)
    try:
        return _Child(process, reading, os.pidfd_open(process.pid))
    except OSError as error:
        _Child(process, reading, -1).discard()
        raise ProcessFailure(f"cannot be waited for: {error.strerror}") from None


async def start(argv: tuple[str, ...], limits: Limits, directory: str, temporary: str) -> Process:
    """Start a program with these working and temporary directories. Raises ProcessFailure, OSError."""
    # In a thread: the fork of a large process, and a child that waits for a processor, take their time.
    child = await in_thread(lambda: _spawn(argv, limits, directory, temporary), _Child.discard)
    return Process(child, asyncio.get_running_loop())


class Process:
    """One run of a program, whose end must be waited for."""

    def __init__(self, child: _Child, loop: asyncio.AbstractEventLoop) -> None:
        self._child = child
        self._loop = loop
        self._output: list[bytes] = []
        self._size = 0
        self._ended: asyncio.Future[None] = loop.create_future()
        self._exited: asyncio.Future[None] = loop.create_future()
        loop.add_reader(child.reading, self._read)
        loop.add_reader(child.handle, self._exit)

    def _read(self) -> None:
        try:
            data = os.read(self._child.reading, 65536)
        except BlockingIOError:
            return
        if not data:
            self._loop.remove_reader(self._child.reading)
        if self._size < KEPT_OUTPUT:
            self._output.append(data[: KEPT_OUTPUT - self._size])
        self._size += len(data)
        if self._size > OUTPUT_LIMIT:
            self._stop(ProcessFailure(f"wrote more than {OUTPUT_LIMIT} bytes"))

    def _stop(self, failure: Optional[ProcessFailure]) -> None:
        if not self._ended.done():
            if failure is None:
                self._ended.set_result(None)
            else:
                self._ended.set_exception(failure)

    def _exit(self) -> None:
        self._loop.remove_reader(self._child.handle)
        self._exited.set_result(None)
        self._stop(None)

    def stop(self, words: str) -> None:
        """End it; whoever waits for it gets a ProcessFailure with these words."""
        self._stop(ProcessFailure(words))

    async def ended(self) -> Ended:
        """Wait for its end, however long. When this returns or raises, nothing of its process group is left."""
        try:
            await self._ended
        finally:
            self._child.kill()
            try:
                await asyncio.shield(self._exited)
            finally:
                self._clean_up()
        status = self._child.process.returncode
        if status < 0:
            raise ProcessFailure(f"was killed by {_signal_name(-status)}")
        words = {
            _LIMITS_FAILED: "its limits cannot be set",
            _NOT_EXECUTABLE: "cannot be executed",
            _NOT_FOUND: "is not there",
        }
        if status in words:
            raise ProcessFailure(words[status])
        return Ended(status, b"".join(self._output))

    def _clean_up(self) -> None:
        self._loop.remove_reader(self._child.handle)
        if self._loop.remove_reader(self._child.reading):
            self._rest()
        self._child.discard()

    def _rest(self) -> None:
        """What the program wrote last, and nobody has read yet."""
        while self._size < KEPT_OUTPUT:
            try:
                data = os.read(self._child.reading, KEPT_OUTPUT - self._size)
            except BlockingIOError:
                return
            if not data:
                return
            self._output.append(data)
            self._size += len(data)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
