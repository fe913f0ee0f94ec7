# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files without a name: the kernel frees them when the program ends, however it ends."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Optional

_CHUNK = 262144


class Trouble(Exception):
    """Something went wrong; the message stays where it is. The words say what."""


class Spool:
    """One message in such a file."""

    def __init__(self, directory: str) -> None:
        """Raises Trouble."""
        self.size = 0
        self.ascii = True  #: no byte of it is above 127
        try:
            self.descriptor = os.open(directory, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise Trouble(f"{directory}: no file can be made: {error.strerror}") from None

    def __enter__(self) -> Spool:
        return self

    def __exit__(
        self, kind: Optional[type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        os.close(self.descriptor)

    def fill(self, source: int) -> None:
        """Copy all that can be read from a descriptor. Raises Trouble."""
        self.write(_read(source))

    def write(self, pieces: Iterable[bytes]) -> None:
        """Append content. Raises Trouble."""
        try:
            for piece in pieces:
                view = memoryview(piece)
                while view:
                    view = view[os.write(self.descriptor, view) :]
                self.size += len(piece)
                self.ascii = self.ascii and piece.isascii()
        except OSError as error:
            raise Trouble(f"the message cannot be kept: {error.strerror}") from None

    def chunks(self) -> Iterator[bytes]:
        """The content from its beginning."""
        return self.part(0, self.size)

    def part(self, start: int, end: int) -> Iterator[bytes]:
        """content[start:end]. Raises Trouble."""
        while start < end:
            try:
                piece = os.pread(self.descriptor, min(_CHUNK, end - start), start)
            except OSError as error:
                raise Trouble(f"the message cannot be read: {error.strerror}") from None
            if not piece:
                raise Trouble("a file became shorter")
            start += len(piece)
            yield piece


def _read(source: int) -> Iterator[bytes]:
    while True:
        try:
            piece = os.read(source, _CHUNK)
        except OSError as error:
            raise Trouble(f"the message cannot be read: {error.strerror}") from None
        if not piece:
            return
        yield piece
