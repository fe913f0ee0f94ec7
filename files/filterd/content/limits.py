# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What unpacking may use: time, files, bytes, scratch. Declared sizes count for nothing."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterable, Iterator
from typing import BinaryIO, Optional, Protocol

from ..keys.content import ContentKeys
from ..scratch import Budget, BudgetExceeded, ScratchFull

#: Bytes unpacked from one archive before its ratio counts: an empty form or a small picture may well have any ratio.
RATIO_FLOOR = 1048576
#: Bytes of one archive that are kept in memory; what is larger goes to scratch.
_MEMORY = 262144
_CHUNK = 65536


class StopFlag(Protocol):
    """What threading.Event has of it."""

    def is_set(self) -> bool:
        """Whether somebody wants an end."""


class LimitReached(Exception):
    """A limit ends the unpacking of this archive, or (`final`) of the whole message. The words are the finding."""

    def __init__(self, words: str, final: bool) -> None:
        super().__init__(words)
        self.final = final
        self.told = False  #: there is a finding for it


class Unreadable(Exception):
    """An archive is damaged."""


class Limits:
    """Counts for one message."""

    def __init__(self, keys: ContentKeys, budget: Budget, directory: str, stop: StopFlag) -> None:
        self.keys = keys
        self.budget = budget
        self.directory = directory
        self._stop = stop
        self._end = time.monotonic() + keys.unpack_timeout
        self._files = 0
        self._bytes = 0

    @property
    def seconds_left(self) -> float:
        """Until the time for all archives is over."""
        return self._end - time.monotonic()

    def one_file(self) -> None:
        """One more name in an archive. Raises LimitReached."""
        self._files += 1
        if self._files > self.keys.unpack_files:
            raise LimitReached("too many files in archives", True)
        self.check_time()

    def unpacked(self, amount: int) -> None:
        """So many bytes more. Raises LimitReached."""
        self._bytes += amount
        if self._bytes > self.keys.unpack_size:
            raise LimitReached("too much to unpack", True)
        self.check_time()

    def check_time(self) -> None:
        """Raises LimitReached when it is over."""
        if self._stop.is_set() or time.monotonic() > self._end:
            raise LimitReached("unpacking took too long", True)

    def ratio(self, packed: int, unpacked: int) -> None:
        """Raises LimitReached when an archive grows beyond measure."""
        if unpacked > RATIO_FLOOR and unpacked > self.keys.unpack_ratio * packed:
            raise LimitReached("compression ratio over the limit", False)


class Store:
    """Bytes that can be read at any place: in memory, or in a file without name within the message's share of scratch.

    Close it. Raises LimitReached when it does not fit, ScratchFull when the system says so.
    """

    def __init__(self, chunks: Iterable[bytes], limits: Limits, on_disk: bool = False) -> None:
        self._limits = limits
        self._memory: list[bytes] = []
        self._file: Optional[BinaryIO] = None
        self._reserved = 0
        self.size = 0
        try:
            for chunk in chunks:
                self._add(chunk, on_disk)
            if on_disk and self._file is None:
                self._add(b"", on_disk)
        except BaseException:
            self.close()
            raise
        self._bytes = b"".join(self._memory)
        self._memory = []

    def _add(self, chunk: bytes, on_disk: bool) -> None:
        self.size += len(chunk)
        if self._file is None and not on_disk and self.size <= _MEMORY:
            self._memory.append(chunk)
            return
        try:
            if self._file is None:
                self._file = tempfile.TemporaryFile(dir=self._limits.directory, buffering=0)  # noqa: SIM115
                for earlier in self._memory:
                    self._write(earlier)
                self._memory = []
            self._write(chunk)
        except OSError as error:
            raise ScratchFull(f"{self._limits.directory}: {error.strerror}") from None

    def _write(self, data: bytes) -> None:
        assert self._file is not None
        try:
            self._limits.budget.take(len(data))
        except BudgetExceeded:
            raise LimitReached("too big to unpack", True) from None
        self._reserved += len(data)
        view = memoryview(data)
        while view:
            view = view[self._file.write(view) :]

    def read(self, offset: int, amount: int) -> bytes:
        """Up to `amount` bytes; fewer at the end."""
        if offset < 0 or amount <= 0:
            return b""
        if self._file is None:
            return self._bytes[offset : offset + amount]
        try:
            return os.pread(self._file.fileno(), amount, offset)
        except OSError as error:
            raise ScratchFull(f"{self._limits.directory}: cannot be read: {error.strerror}") from None

    def chunks(self, offset: int, amount: int) -> Iterator[bytes]:
        """A range in pieces of bounded size; it may end early."""
        while amount > 0:
            piece = self.read(offset, min(amount, _CHUNK))
            if not piece:
                return
            offset += len(piece)
            amount -= len(piece)
            yield piece

    def descriptor(self) -> int:
        """Of the file, at its beginning; only with `on_disk`."""
        assert self._file is not None
        os.lseek(self._file.fileno(), 0, os.SEEK_SET)
        return self._file.fileno()

    def close(self) -> None:
        """Give everything back."""
        if self._file is not None:
            self._file.close()
            self._file = None
        self._limits.budget.used -= self._reserved
        self._reserved = 0
        self._memory = []
        self._bytes = b""
