# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading a ledger: its lines in the order of its files, and what is no line of a ledger, with its place."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple, Union

from .ledger import held
from .record import Line
from .shape import complaint

#: Bytes of one line that are read; the daemon writes none that is longer.
_LINE_LIMIT = 64 << 20
#: How each line begins. It cannot stand inside a value, where quotation marks are escaped.
_BEGINNING = b'{"v":'


class Read(NamedTuple):
    """A line as it was written."""

    path: str
    number: int  #: of the line, from 1
    data: Line


class Broken(NamedTuple):
    """Something else."""

    path: str
    number: int  #: of the line, from 1
    offset: int  #: bytes from the beginning of the file
    words: str


def files(path: str) -> list[str]:
    """The files of a ledger, the oldest first. Raises OSError when its directory cannot be read."""
    directory, name = os.path.split(path)
    numbers = [
        int(other[len(name) + 1 :])
        for other in os.listdir(directory)
        if other.startswith(name + ".") and other[len(name) + 1 :].isdigit()
    ]
    found = [f"{path}.{number}" for number in sorted(numbers, reverse=True)]
    return [*found, path] if os.path.exists(path) else found


def lines(path: str) -> Iterator[Union[Read, Broken]]:
    """All lines, as far as they have been written now. Raises OSError."""
    opened: list[tuple[str, BinaryIO, int]] = []
    try:
        with held(path):  # nothing is renamed while the files are opened
            for name in files(path):
                file = open(name, "rb")  # noqa: SIM115  (closed below, all together)
                opened.append((name, file, os.fstat(file.fileno()).st_size))
        for name, stream, size in opened:
            yield from _lines(name, stream, size)
    finally:
        for _, stream, _ in opened:
            stream.close()


def _lines(path: str, file: BinaryIO, size: int) -> Iterator[Union[Read, Broken]]:
    offset = number = 0
    while offset < size:
        line = file.readline(_LINE_LIMIT)
        if not line:
            return  # it was truncated while we read
        number += 1
        if not line.endswith(b"\n") and offset + len(line) >= size and offset + len(line) == _size(file):
            yield Broken(path, number, offset, "the last line is not whole")
        else:
            found = _parsed(path, number, offset, line)
            begins = line.rfind(_BEGINNING) if isinstance(found, Broken) else 0
            yield found
            if begins > 0:
                # A line was cut off (the disk was full), and another one stands behind it.
                found = _parsed(path, number, offset + begins, line[begins:])
                if isinstance(found, Read):
                    yield found
        offset += len(line)


def _size(file: BinaryIO) -> int:
    return os.fstat(file.fileno()).st_size


def _parsed(path: str, number: int, offset: int, line: bytes) -> Union[Read, Broken]:
    if not line.strip():
        return Broken(path, number, offset, "an empty line")
    try:
        data = json.loads(line)
    except (ValueError, RecursionError):
        return Broken(path, number, offset, f"is no JSON: {line[:40]!r}")
    words = complaint(data)
    return Broken(path, number, offset, words) if words else Read(path, number, data)
