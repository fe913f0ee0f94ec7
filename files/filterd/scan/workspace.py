# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A private directory in scratch for one message and one scanner. What is in it counts for the message's budget."""

from __future__ import annotations

import asyncio
import fcntl
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Iterable

from ..scratch import Budget
from .threads import in_thread

_PREFIX = "command-"
#: tmpfs gives whole pages, and some for each name.
_PAGE = 4096
#: Seconds within which a new directory has been locked by its owner.
_NEW = 60.0


class Workspace:
    """The directory. All methods but `remove` raise OSError; `add` also raises BudgetExceeded."""

    def __init__(self, scratch_directory: str, budget: Budget) -> None:
        self._budget = budget
        self._taken = 0
        self.path = tempfile.mkdtemp(prefix=_PREFIX, dir=scratch_directory)
        try:
            # What is locked is in use; the kernel lets go when this process ends, however it ends.
            self._lock = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
        except OSError:
            os.rmdir(self.path)
            raise
        fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self.files = os.path.join(self.path, "files")
        self.temporary = os.path.join(self.path, "tmp")
        os.mkdir(self.files, 0o700)
        os.mkdir(self.temporary, 0o700)

    async def add(self, name: str, content: Iterable[bytes]) -> str:
        """Write a file of this name, and return its path."""
        path = os.path.join(self.files, name)
        self._take(_PAGE)
        room = 0
        with open(path, "xb", buffering=0, opener=_private) as file:  # noqa: ASYNC230  (scratch is memory)
            for piece in content:
                while room < len(piece):
                    self._take(_PAGE)
                    room += _PAGE
                room -= len(piece)
                view = memoryview(piece)
                while view:
                    view = view[file.write(view) :]
                await asyncio.sleep(0)  # other messages have their turn
        return path

    def _take(self, amount: int) -> None:
        self._budget.take(amount)
        self._taken += amount

    # In threads, because thousands of files take their time:

    async def clear(self) -> None:
        """Remove all files that were added."""
        await in_thread(self._clear)
        self._give()

    def _clear(self) -> None:
        _remove_tree(self.files)
        os.mkdir(self.files, 0o700)

    async def overflows(self) -> bool:
        """Whether the scanner's own temporary files need more than is left of the message's budget."""
        room = self._budget.limit - self._budget.used
        return await in_thread(lambda: _used(self.temporary, room)) < 0

    async def remove(self) -> None:
        """Remove everything. What cannot be removed now is left to `sweep`."""
        await in_thread(self._remove)
        self._give()

    def _give(self) -> None:
        self._budget.give(self._taken)
        self._taken = 0

    def _remove(self) -> None:
        _remove_tree(self.path)
        os.close(self._lock)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _used(directory: str, room: int) -> int:
    """`room` less what is below the directory, in bytes; negative as soon as it is less."""
    try:
        with os.scandir(directory) as entries:
            for entry in entries:
                status = entry.stat(follow_symlinks=False)
                room -= _PAGE + status.st_blocks * 512
                if stat.S_ISDIR(status.st_mode) and room >= 0:
                    room = _used(entry.path, room)
                if room < 0:
                    break
    except OSError:
        pass  # it goes while we look
    return room


def _remove_tree(path: str) -> None:
    shutil.rmtree(path, ignore_errors=True)
    if os.path.lexists(path):
        # A scanner may leave directories that not even their owner may write to.
        for directory, names, _ in os.walk(path):
            for name in names:
                below = os.path.join(directory, name)
                if not os.path.islink(below):
                    os.chmod(below, 0o700)
        shutil.rmtree(path, ignore_errors=True)


def sweep(scratch_directory: str) -> None:
    """Remove directories that a killed worker has left. Raises nothing."""
    try:
        names = [name for name in os.listdir(scratch_directory) if name.startswith(_PREFIX)]
    except OSError:
        return  # not ours: the daily job tells
    for name in names:
        path = os.path.join(scratch_directory, name)
        try:
            if time.time() - os.lstat(path).st_mtime > _NEW:
                _remove_unlocked(path)
        except OSError:
            continue  # in use, or somebody was faster


def _remove_unlocked(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        _remove_tree(path)
    finally:
        os.close(descriptor)
