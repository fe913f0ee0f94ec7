# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The ledger: one JSON line for each message, written before its client is answered.

All workers append to one file, a line by one write(2). A lock that is shared for writing and exclusive for renaming
keeps a line from going to a file that has just been given up. Each line has its writer's name and a number, counted
without gaps, so that a missing line is seen (see audit). Nothing is synchronised: lines survive the end of any process,
but not of the machine. A ledger that cannot be written keeps no mail back: this is said once, and the lines are lost.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import secrets
import time
from collections.abc import Iterator
from typing import NamedTuple, Optional

from .. import log
from ..config import Config
from ..scratch import probe_directory
from .record import FORMAT, Line, Privacy, encoded

_MODE = 0o640
_DIRECTORY_MODE = 0o750
_LOCK_SUFFIX, _KEY_SUFFIX = ".lock", ".key"
#: How often, and with what pause in seconds, the lock for a line is tried. Renaming takes less than a millisecond; only
#: a process that was stopped in the middle of it can hold the lock for longer, and a line is worth that much patience.
_TRIES, _PAUSE = 500, 0.002
#: How often the lock for renaming is tried in a row: others hold it for some microseconds at a time.
_ATTEMPTS = 200


class Place(NamedTuple):
    """Where a ledger is, and its limits."""

    path: str
    max_size: int  #: bytes of one file
    files: int  #: full files that are kept


def place(config: Config) -> Optional[Place]:
    """The ledger of this configuration, None without one."""
    return Place(config.ledger_file, config.ledger_max_size, config.ledger_files) if config.ledger_file else None


def prepare(path: str) -> None:
    """Make the directory and the key for hashes where they are missing. Raises OSError."""
    os.makedirs(os.path.dirname(path), mode=_DIRECTORY_MODE, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        descriptor = os.open(path + _KEY_SUFFIX, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _MODE)
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_hex(16).encode("ascii") + b"\n")


def probe(path: str) -> None:
    """Prove that this user could write it, and make nothing. Raises OSError."""
    probe_directory(os.path.dirname(path))
    for name in (path, path + _LOCK_SUFFIX):
        if os.path.lexists(name) and not os.access(name, os.W_OK, effective_ids=True):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), name)


def privacy(config: Config) -> Privacy:
    """How this configuration keeps addresses. Raises OSError when the key for hashes cannot be read."""
    if config.ledger_addresses != "hashed" or not config.ledger_file:
        return Privacy(config.ledger_addresses)
    with open(config.ledger_file + _KEY_SUFFIX, "rb") as file:
        return Privacy("hashed", file.read(64).strip())


@contextlib.contextmanager
def held(path: str) -> Iterator[None]:
    """No file is renamed meanwhile. Without a lock file there is nobody who would."""
    try:
        descriptor = os.open(path + _LOCK_SUFFIX, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        yield
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        yield
    finally:
        os.close(descriptor)


class Ledger:
    """One writer. Never raises: what could not be written is counted in `failures`."""

    def __init__(self, where: Place, name: str) -> None:
        self._where = where
        self._name = name
        self._flags = os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC | os.O_CREAT
        self._descriptor = self._lock = -1
        self._identity = (0, 0)
        self._trouble = ""
        self.number = 0  #: of the last line
        self.failures = 0

    def write(self, data: Line) -> bool:
        """One line; whether it is there. Time, writer and number are added."""
        self.number += 1
        head: Line = {"v": FORMAT, "time": round(time.time(), 3), "writer": self._name, "n": self.number}
        head.update(data)
        try:
            self._append(encoded(head))
        except OSError as error:
            self.failures += 1
            words = error.strerror or str(error)
            if words != self._trouble:
                log.warning(f"ledger: {self._where.path} cannot be written ({words}): mail goes on, lines are lost")
                self._trouble = words
            self._let_go()
            return False
        if self._trouble:
            log.info(f"ledger: {self._where.path} is written again, {self.failures} lines were lost so far")
            self._trouble = ""
        return True

    def _append(self, line: bytes) -> None:
        if self._lock < 0:
            self._lock = os.open(self._where.path + _LOCK_SUFFIX, self._flags, _MODE)
        self._take(fcntl.LOCK_SH)
        try:
            size = self._current()
            # A line that is cut off is no loss to the next one: readers find where that begins.
            if os.write(self._descriptor, line) < len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        finally:
            fcntl.flock(self._lock, fcntl.LOCK_UN)
        if size + len(line) >= self._where.max_size:
            self._rotate(patient=size >= 2 * self._where.max_size)

    def _take(self, kind: int) -> None:
        for attempt in range(_TRIES):
            try:
                fcntl.flock(self._lock, kind | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                if attempt == _TRIES - 1:
                    raise
                time.sleep(_PAUSE)

    def _take_soon(self) -> bool:
        for _ in range(_ATTEMPTS):
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return True
        return False

    def _current(self) -> int:
        """Have the file open that has the name now; its size in bytes."""
        path = self._where.path
        try:
            status = os.stat(path)
        except FileNotFoundError:
            status = None
        if status is None or (status.st_dev, status.st_ino) != self._identity:
            if self._descriptor >= 0:
                os.close(self._descriptor)
                self._descriptor = -1
            self._descriptor = os.open(path, self._flags, _MODE)
            status = os.fstat(self._descriptor)
            self._identity = (status.st_dev, status.st_ino)
        return status.st_size

    def _rotate(self, patient: bool) -> None:
        if patient:
            self._take(fcntl.LOCK_EX)
        elif not self._take_soon():
            return  # others write: the next line tries again
        try:
            path = self._where.path
            if os.stat(path).st_size >= self._where.max_size:
                for number in range(self._where.files - 1, 0, -1):
                    with contextlib.suppress(FileNotFoundError):
                        os.rename(f"{path}.{number}", f"{path}.{number + 1}")
                os.rename(path, f"{path}.1")
        except OSError as error:
            log.warning(f"ledger: {self._where.path} cannot be renamed: {error.strerror}")
        finally:
            fcntl.flock(self._lock, fcntl.LOCK_UN)

    def _let_go(self) -> None:
        for descriptor in (self._descriptor, self._lock):
            if descriptor >= 0:
                os.close(descriptor)
        self._descriptor = self._lock = -1
        self._identity = (0, 0)

    def close(self) -> None:
        """No more lines."""
        self._let_go()
