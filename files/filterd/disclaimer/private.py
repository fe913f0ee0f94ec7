# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A directory for a program that works on files with names, which is gone afterwards, however the work ends.

A guardian, a process of its own, removes it when the work is killed. What is left when both are killed goes with the
next message: there is one, because Postfix tries again what did not end well.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import time
from collections.abc import Iterator

_PREFIX = "private."
#: So often, each 0.1 s, the guardian tries, because the program may still be writing.
_TRIES = 100


@contextlib.contextmanager
def directory(parent: str) -> Iterator[str]:
    """Make one below `parent`. Raises OSError."""
    sweep(parent)
    path = os.path.join(parent, _PREFIX + os.urandom(8).hex())
    guard = _guardian(path)
    try:
        lock = _make(parent, path)
        try:
            yield path
        finally:
            _remove(path)
            os.close(lock)
    finally:
        os.close(guard)


def _make(parent: str, path: str) -> int:
    """The directory, with a lock that ends with this process."""
    with _opened(parent) as all_of_them:
        # No sweep between making it and locking it.
        fcntl.flock(all_of_them, fcntl.LOCK_SH)
        os.mkdir(path, 0o700)
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    return descriptor


def sweep(parent: str) -> None:
    """Remove those whose owners are gone. Raises OSError when `parent` cannot be read."""
    left = [name for name in os.listdir(parent) if name.startswith(_PREFIX)]
    if not left:
        return
    with _opened(parent) as all_of_them:
        if not _locked(all_of_them):
            return
        for name in left:
            path = os.path.join(parent, name)
            with contextlib.suppress(OSError), _opened(path) as one:
                if _locked(one):
                    _remove(path)


def _remove(path: str) -> None:
    """The directory and its files, as far as that is possible. (shutil is slow to import.)"""
    with contextlib.suppress(OSError):
        for name in os.listdir(path):
            with contextlib.suppress(OSError):
                os.unlink(os.path.join(path, name))
        os.rmdir(path)


@contextlib.contextmanager
def _opened(path: str) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _guardian(path: str) -> int:
    """A process that removes the directory when the returned descriptor is closed, by the death of this one too."""
    reading, writing = os.pipe()
    child = os.fork()
    if child:
        os.close(reading)
        return writing
    try:
        os.setsid()
        os.close(writing)
        signal.alarm(0)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        for descriptor in _others(reading):
            os.close(descriptor)
        os.read(reading, 1)
        for _ in range(_TRIES):
            _remove(path)
            if not os.path.exists(path):
                break
            time.sleep(0.1)
    finally:
        os._exit(0)


def _others(keep: int) -> Iterator[int]:
    for name in os.listdir("/proc/self/fd"):
        if int(name) not in (keep,) and os.path.exists(f"/proc/self/fd/{name}"):
            yield int(name)
