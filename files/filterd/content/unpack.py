# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is inside the archives of a message: names, types, the test pattern, and what cannot be looked at.

A blocking function for a thread: it reads the message again, and ends soon after its stop flag is set.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from typing import Callable

from ..findings import AMBIGUOUS, ENCRYPTED, UNCHECKED, Finding
from ..scratch import Budget
from . import archive, eicar, helper
from . import zip as zip_archive
from .analysis import Analysis
from .archive import Entry
from .flaws import SOURCE
from .limits import LimitReached, Limits, StopFlag, Store, Unreadable
from .names import extensions, finding_name
from .rules import Collection, Rules
from .types import BY_EXTENSION, HEAD, ISO, Kind, real_type

_STREAMS = ("gz", "bz2", "xz", "lzma")
#: What a packed file is called without the end of its name.
_UNPACKED_NAMES = {"tgz": ".tar", "tbz": ".tar", "tbz2": ".tar", "txz": ".tar", "tlz": ".tar", "svgz": ".svg"}


def inspect(
    analysis: Analysis,
    content: Callable[[], Iterable[bytes]],
    budget: Budget,
    directory: str,
    stop: StopFlag,
) -> list[Finding]:
    """Open all archives that the finished analysis has seen (`analysis.archives`), and what is inside of them.

    `content()` gives the message from its beginning; `budget` is the message's share of scratch, `directory` where
    that is. Blocks; never longer than `unpack_timeout`. Raises ScratchFull (the message stays with the client).
    """
    keys = analysis.rules.keys
    if not keys.unpack_levels:
        return []
    work = _Work(analysis.rules, Limits(keys, budget, directory, stop))
    wanted = analysis.archives
    with contextlib.suppress(LimitReached):  # the finding is there
        for number, stream in analysis.parts(content(), lambda number, _part: number in wanted):
            item = wanted[number]
            work.top(item.kind, stream, item.name or f"part {number + 1}")
    return work.findings.all()


class _Work:
    """One message."""

    def __init__(self, rules: Rules, limits: Limits) -> None:
        self._rules = rules
        self._limits = limits
        self.findings = Collection()

    def add(self, category: str, what: str, path: str) -> None:
        """One more finding."""
        self.findings.add(Finding(category, finding_name(what, path), SOURCE))

    def top(self, kind: Kind, stream: Iterator[bytes], name: str) -> None:
        """An attachment that is an archive; its bytes as they are have been looked at."""
        self._archive(kind, stream, name.replace("/", "\\"), 1)

    def _archive(self, kind: Kind, chunks: Iterator[bytes], path: str, level: int) -> None:
        """Look at all that is in an archive. What goes wrong in it alone is a finding."""
        try:
            if level > self._limits.keys.unpack_levels:
                raise LimitReached("too many archives inside each other", False)
            self._open(kind, chunks, path, level)
        except LimitReached as limit:
            self._reached(limit, path)
        except Unreadable:
            self.add(UNCHECKED, f"damaged {kind.name}", path)
        except helper.EncryptedArchive:
            self.add(ENCRYPTED, f"encrypted {kind.name}", path)
        except helper.CannotOpen:
            pass  # its names stay unknown; viruses in it are the scanner's to find

    def _open(self, kind: Kind, chunks: Iterator[bytes], path: str, level: int) -> None:
        if kind.name in _STREAMS:
            self._compressed(kind, chunks, path, level)
        elif kind.name == "tar":
            cursor = archive.Cursor(chunks)
            self._entries(archive.tar_entries(cursor), path, level)
            self._drain(cursor.rest())
        elif kind.name == "zip":
            self._zip(chunks, path, level)
        else:
            store = Store(chunks, self._limits, on_disk=True)
            try:
                if kind is not ISO or store.read(32769, 5) in (b"CD001", b"BEA01"):
                    self._entries(helper.entries(store, self._limits), path, level)
            finally:
                store.close()

    def _zip(self, chunks: Iterator[bytes], path: str, level: int) -> None:
        store = Store(chunks, self._limits)
        notes: list[str] = []
        try:
            self._entries(zip_archive.entries(store, self._limits, notes), path, level)
        finally:
            for note in dict.fromkeys(notes):
                self.add(AMBIGUOUS, note, path)
            store.close()

    def _compressed(self, kind: Kind, chunks: Iterator[bytes], path: str, level: int) -> None:
        first = next(chunks, b"")
        name = archive.gzip_name(first) if kind.name == "gz" else ""
        if name:
            self.findings.add(self._rules.banned_name(f"{path}/{name}"))
        content = archive.decompressed(kind.name, _chain(first, chunks), self._limits)
        self._entries(iter([Entry(_without_extension(path), content)]), path, level)

    def _entries(self, entries: Iterable[Entry], path: str, level: int) -> None:
        for entry in entries:
            self._limits.one_file()
            name = f"{path}/{entry.name}" if entry.name else path
            self.findings.add(self._rules.banned_name(name))
            if entry.encrypted:
                self.add(ENCRYPTED, "encrypted", name)
            if entry.content is None:
                continue
            try:
                self._file(self._watched(entry.content), name, level)
            except LimitReached as limit:
                self._reached(limit, name)
            except Unreadable:
                # The others are looked at all the same.
                self.add(UNCHECKED, "damaged", name)

    def _reached(self, limit: LimitReached, path: str) -> None:
        if not limit.told:
            self.add(UNCHECKED, str(limit), path)
            limit.told = True
        if limit.final:
            raise limit

    def _watched(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        """Everything that is unpacked is counted and searched."""
        search = eicar.PatternSearch()
        for chunk in chunks:
            self._limits.unpacked(len(chunk))
            search.feed(chunk)
            if search.found:
                self.findings.add(eicar.finding())
            yield chunk

    def _file(self, chunks: Iterator[bytes], path: str, level: int) -> None:
        head = b""
        for chunk in chunks:
            head += chunk
            if len(head) >= HEAD:
                break
        kind = real_type(head[:HEAD])
        if kind is None:
            kind = next((BY_EXTENSION[end] for end in extensions(path) if end in BY_EXTENSION), None)
        self.findings.add(self._rules.banned_type(kind, (), path))
        if kind is not None and kind.archive:
            self._archive(kind, _chain(head, chunks), path, level + 1)
        self._drain(chunks)

    @staticmethod
    def _drain(chunks: Iterator[bytes]) -> None:
        for _ in chunks:
            pass


def _chain(first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    if first:
        yield first
    yield from rest


def _without_extension(path: str) -> str:
    """What a packed file is called when it is unpacked: a.tar for a.tgz, a.exe for a.exe.bz2."""
    name = path.rpartition("/")[2]
    stem, dot, extension = name.rpartition(".")
    return stem + _UNPACKED_NAMES.get(extension.lower(), "") if dot and stem else ""
