# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Scratch space: where a message is kept while it is in the filter, what it may use, and what is stale.

Small messages stay in memory. What is beyond goes to a file without a name in the scratch directory (a tmpfs):
the kernel frees it when the process ends, however it ends, so a killed worker leaves nothing behind.
"""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from typing import BinaryIO, Optional

from .locks import is_locked

_CHUNK = 65536


class ScratchFull(Exception):
    """The scratch directory takes no more; the words say what the system said."""


class BudgetExceeded(Exception):
    """A message would use more scratch than one message may."""


class Budget:
    """Bytes of scratch that one message may use: (1+f)*message_size_limit*7/8."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.used = 0

    def take(self, amount: int) -> None:
        """Reserve `amount` bytes or raise BudgetExceeded."""
        if self.used + amount > self.limit:
            raise BudgetExceeded(f"{self.used + amount} bytes of scratch wanted, {self.limit} allowed for one message")
        self.used += amount

    def give(self, amount: int) -> None:
        """What had been reserved is free again."""
        self.used -= amount


class MemoryAccount:
    """Bytes of message content that one worker keeps in memory."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.used = 0


class Spool:
    """The content of one message: a head in memory, and what is beyond it in scratch."""

    def __init__(self, directory: str, head_limit: int, memory: MemoryAccount, budget: Budget) -> None:
        self._directory = directory
        self._head_limit = head_limit
        self._memory = memory
        self._budget = budget
        self._head: list[bytes] = []
        self._tail: list[bytes] = []  # what is left when the budget is used up
        self._memory_size = 0
        self._kept = 0  # bytes that others keep of it in memory
        self._file: Optional[BinaryIO] = None
        self._file_size = 0
        self.size = 0

    @property
    def in_memory(self) -> bool:
        """Whether nothing of it is in scratch."""
        return self._file is None

    @property
    def budget(self) -> Budget:
        """What is left for unpacking."""
        return self._budget

    def wants_scratch(self, more: int) -> bool:
        """Whether `more` bytes would have to go to scratch, for which the message must have been admitted."""
        if self._file is not None:
            return True
        return self._memory_size + more > self._head_limit or self._memory.used + more > self._memory.limit

    def append_to_memory(self, data: bytes) -> None:
        """Keep the next piece of content in memory."""
        self._in_memory(self._head, data)

    def _in_memory(self, place: list[bytes], data: bytes) -> None:
        place.append(data)
        self._memory_size += len(data)
        self._memory.used += len(data)
        self.size += len(data)

    def append(self, data: bytes) -> None:
        """Keep the next piece of content where it fits. Raises ScratchFull."""
        if not self.wants_scratch(len(data)):
            self.append_to_memory(data)
            return
        try:
            if self._tail:
                raise BudgetExceeded
            self._budget.take(len(data))
        except BudgetExceeded:
            # Only with f below 1/7: the content alone is larger than its share of scratch. The guarantee for
            # scratch holds, and about an eighth of the message stays in memory instead.
            self._in_memory(self._tail, data)
            return
        try:
            if self._file is None:
                self._file = tempfile.TemporaryFile(dir=self._directory, buffering=0)  # noqa: SIM115
            view = memoryview(data)
            while view:
                view = view[self._file.write(view) :]
        except OSError as error:
            raise ScratchFull(f"{self._directory}: {error.strerror}") from None
        self._file_size += len(data)
        self.size += len(data)

    def keep(self, amount: int) -> bool:
        """Whether `amount` bytes of what was decoded may be kept in memory until the end, beside what is there.

        As much as a message in memory may have; when it says no, nothing is kept any more.
        """
        if amount and self._kept + amount <= self._head_limit and self._memory.used + amount <= self._memory.limit:
            self._kept += amount
            self._memory.used += amount
            return True
        self._memory.used -= self._kept
        self._kept = 0
        return False

    def chunks(self) -> Iterator[bytes]:
        """The content from its beginning, in pieces of bounded size. Raises ScratchFull when it cannot be read."""
        yield from self._head
        offset = 0
        while offset < self._file_size:
            assert self._file is not None
            try:
                piece = os.pread(self._file.fileno(), _CHUNK, offset)
            except OSError as error:
                raise ScratchFull(f"{self._directory}: cannot be read: {error.strerror}") from None
            if not piece:
                raise ScratchFull(f"{self._directory}: a spooled message became shorter")
            offset += len(piece)
            yield piece
        yield from self._tail

    def head(self, limit: int) -> bytes:
        """The first `limit` bytes at most."""
        pieces: list[bytes] = []
        room = limit
        for piece in self.chunks():
            pieces.append(piece[:room])
            room -= len(pieces[-1])
            if not room:
                break
        return b"".join(pieces)

    def close(self) -> None:
        """Give everything back."""
        self._memory.used -= self._memory_size + self._kept
        self._kept = 0
        self._head.clear()
        self._tail.clear()
        self._memory_size = 0
        self.size = self._file_size = 0
        if self._file is not None:
            self._file.close()
            self._file = None


def head_limit(memory_per_message: int, message_size_limit: int, budget: int) -> int:
    """Bytes of a message kept in memory, so that the rest of the largest message fits its scratch budget."""
    return max(memory_per_message, message_size_limit - budget)


def prepare_directory(path: str) -> None:
    """Make a private directory if it is missing, and prove that files can be made in it. Raises OSError."""
    os.makedirs(path, mode=0o750, exist_ok=True)
    probe_directory(path)


def probe_directory(path: str) -> None:
    """Prove that files can be made in it. Raises OSError."""
    with tempfile.TemporaryFile(dir=path) as probe:
        probe.write(b"x")


def stale_entries(directory: str, older_than: float, now: float) -> list[str]:
    """Names in `directory` that nobody uses: unchanged for `older_than` seconds, not open and not locked."""
    stale = []
    in_use = _open_files()
    with os.scandir(directory) as entries:
        for entry in entries:
            try:
                newest, identities = _tree(entry.path)
            except OSError:
                continue  # it went away while we looked
            if now - newest >= older_than and not identities & in_use and not _locked(entry.path):
                stale.append(entry.name)
    return sorted(stale)


def clean(directory: str, older_than: float) -> list[str]:
    """Remove what is stale and return the names. Raises OSError when the directory cannot be read."""
    removed = []
    for name in stale_entries(directory, older_than, time.time()):
        path = os.path.join(directory, name)
        try:
            if stat.S_ISDIR(os.lstat(path).st_mode):
                shutil.rmtree(path, ignore_errors=True)
            else:
                os.unlink(path)
        except FileNotFoundError:
            continue  # somebody was faster
        if not os.path.lexists(path):
            removed.append(name)
    return removed


def _tree(path: str) -> tuple[float, set[tuple[int, int]]]:
    """The newest change below `path`, itself included, and what is there as (device, inode)."""
    status = os.lstat(path)
    newest = max(status.st_mtime, status.st_ctime)
    identities = {(status.st_dev, status.st_ino)}
    if stat.S_ISDIR(status.st_mode):
        with os.scandir(path) as entries:
            for entry in entries:
                below, more = _tree(entry.path)
                newest = max(newest, below)
                identities |= more
    return newest, identities


def _open_files() -> set[tuple[int, int]]:
    """What any process that we may look into has open or works in, as (device, inode)."""
    found = set()
    for process in os.listdir("/proc"):
        if not process.isdigit():
            continue
        links = [f"/proc/{process}/cwd"]
        try:
            links += [f"/proc/{process}/fd/{number}" for number in os.listdir(f"/proc/{process}/fd")]
        except OSError:
            continue  # it ended, or is not ours to look into
        for link in links:
            try:
                status = os.stat(link)
            except OSError:
                continue
            found.add((status.st_dev, status.st_ino))
    return found


def _locked(path: str) -> bool:
    """Whether somebody holds a lock on it (working directories are locked by the worker that uses them)."""
    try:
        return is_locked(path)
    except OSError:
        return False  # a link or a socket, or of somebody who has no lock there
