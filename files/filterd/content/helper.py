# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Archive programs of the host, each run as a child that can do little: 7z for all forms, bsdtar for most of them.

The archive is the child's standard input, an unnamed file; what it holds comes back through a pipe and is read with a
bound. Nothing that the archive names is ever a path or an argument on our side. prlimit(1) sets the limits in the
child before the program begins: address space, processor time, no files, few descriptors.
"""

from __future__ import annotations

import contextlib
import functools
import os
import re
import selectors
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from typing import NamedTuple, Optional

from .archive import Cursor, Entry, tar_entries
from .limits import Limits, Store, Unreadable

#: Where programs are looked for, whatever the environment says.
_PATH = "/usr/local/bin:/usr/bin:/bin"
#: Bytes of a list of files and of error messages that are read.
_LIST_LIMIT = 1048576
_ERROR_LIMIT = 4096
_PIECE = 65536
#: What programs write when a password is wanted.
_ENCRYPTED = re.compile(rb"(?i)encrypt|password")
_PROGRAMS = ("7zz", "7z", "7za", "bsdtar")


class CannotOpen(Exception):
    """No program of this host opens it."""


class EncryptedArchive(Exception):
    """Even its names are encrypted."""


class _Listed(NamedTuple):
    name: str
    size: Optional[int]  #: bytes, as declared
    encrypted: bool


def programs() -> dict[str, str]:
    """The archive programs of this host by name, with their paths; empty when nothing can limit them.

    Looked up once a minute, so that what is installed meanwhile is found.
    """
    return _programs(int(time.monotonic() // 60))


@functools.lru_cache(maxsize=1)
def _programs(_minute: int) -> dict[str, str]:
    if shutil.which("prlimit", path=_PATH) is None:
        return {}
    found = {name: shutil.which(name, path=_PATH) for name in _PROGRAMS}
    return {name: path for name, path in found.items() if path is not None}


def unpackers() -> dict[str, str]:
    """For the self-report: forms of archives, and what opens them on this host; empty when nothing does."""
    available = programs()
    seven_zip = next((available[name] for name in ("7zz", "7z", "7za") if name in available), "")
    built_in = dict.fromkeys(("zip", "tar", "gz", "bz2", "xz", "lzma"), "built in")
    others = dict.fromkeys(("7z", "rar", "cab", "iso", "cpio", "ar", "lha"), seven_zip or available.get("bsdtar", ""))
    return {**built_in, **others, "arj": seven_zip}


def entries(store: Store, limits: Limits) -> Iterator[Entry]:
    """The files of an archive. Raises CannotOpen, EncryptedArchive, LimitReached."""
    available = programs()
    seven_zip = next((available[name] for name in ("7zz", "7z", "7za") if name in available), None)
    if seven_zip is not None:
        listed = _seven_zip_list(seven_zip, store, limits)
        if listed is not None:
            yield from _seven_zip(seven_zip, listed, store, limits)
            return
    if "bsdtar" not in available:
        raise CannotOpen
    yield from _bsdtar(available["bsdtar"], store, limits)


def _seven_zip_list(program: str, store: Store, limits: Limits) -> Optional[list[_Listed]]:
    child = _Child([program, "l", "-slt", "-ba", "-p", "-sccUTF-8", "/dev/stdin"], store, limits)
    with child:
        text = b"".join(child.output(_LIST_LIMIT))
    if child.status != 0:
        if _ENCRYPTED.search(text) or _ENCRYPTED.search(child.errors):
            raise EncryptedArchive
        return None
    listed = []
    for block in re.split(rb"\n\r?\n", text):
        fields = dict(re.findall(rb"(?m)^([A-Z][A-Za-z ]*) = ([^\r\n]*)", block))
        if b"Path" not in fields:
            continue
        folder = fields.get(b"Folder") == b"+" or fields.get(b"Attributes", b"").startswith(b"D")
        size = fields.get(b"Size", b"")
        known = 0 if folder else int(size[:20]) if size.isdigit() else None
        listed.append(_Listed(fields[b"Path"].decode("utf-8", "replace"), known, fields.get(b"Encrypted") == b"+"))
    return listed


def _seven_zip(program: str, listed: list[_Listed], store: Store, limits: Limits) -> Iterator[Entry]:
    """All contents come one after the other; the sizes in the list only say where to look for a file's beginning."""
    if any(item.encrypted for item in listed):
        for item in listed:
            yield Entry(item.name, None, item.encrypted)
        return
    child = _Child([program, "x", "-so", "-y", "-p", "/dev/stdin"], store, limits)
    with child:
        cursor = Cursor(child.output())
        for item in listed:
            content = cursor.rest() if item.size is None else _as_far_as_it_goes(cursor.stream(item.size))
            yield Entry(item.name, content)
            for _ in content:
                pass
        yield Entry("", cursor.rest())


def _bsdtar(program: str, store: Store, limits: Limits) -> Iterator[Entry]:
    child = _Child([program, "-c", "-f", "-", "--format=pax", "@-"], store, limits)
    count = 0
    with child:
        cursor = Cursor(child.output())
        try:
            for entry in tar_entries(cursor):
                count += 1
                yield Entry(entry.name, _as_far_as_it_goes(entry.content or iter(())))
        except Unreadable:
            pass  # the program has given up in the middle
        for _ in cursor.rest():
            pass
    if not count:
        raise EncryptedArchive if _ENCRYPTED.search(child.errors) else CannotOpen


def _as_far_as_it_goes(content: Iterator[bytes]) -> Iterator[bytes]:
    """A program that cannot unpack a file, because it lacks the method, writes less than it should."""
    try:
        yield from content
    except Unreadable:
        return


class _Child:
    """One run of a program; leaving the context ends it with all its children."""

    def __init__(self, command: list[str], store: Store, limits: Limits) -> None:
        keys = limits.keys
        self._limits = limits
        self.errors = b""
        self.status: Optional[int] = None
        seconds = max(1, int(keys.unpack_timeout) + 1)
        confined = [
            *("prlimit", f"--as={keys.unpack_helper_memory}", f"--cpu={seconds}", "--fsize=0", "--core=0"),
            *("--nofile=32", "--", *command),
        ]
        self._process = subprocess.Popen(
            confined,
            stdin=store.descriptor(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd="/",
            env={"PATH": _PATH, "LC_ALL": "C.UTF-8"},
            start_new_session=True,
        )

    def __enter__(self) -> _Child:
        return self

    def __exit__(self, *_: object) -> None:
        process = self._process
        if self.status is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        for pipe in (process.stdout, process.stderr):
            assert pipe is not None
            pipe.close()
        status = process.wait()
        if self.status is None:
            self.status = status

    def output(self, limit: Optional[int] = None) -> Iterator[bytes]:
        """What it writes, up to `limit` bytes; its messages go to `errors`. Raises LimitReached."""
        process = self._process
        assert process.stdout is not None
        assert process.stderr is not None
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            selector.register(process.stderr, selectors.EVENT_READ)
            while selector.get_map():
                self._limits.check_time()
                for key, _ in selector.select(min(0.1, max(0.0, self._limits.seconds_left))):
                    data = os.read(key.fd, _PIECE)
                    if not data:
                        selector.unregister(key.fileobj)
                    elif key.fileobj is process.stderr:
                        self.errors = (self.errors + data)[:_ERROR_LIMIT]
                    else:
                        yield data if limit is None else data[:limit]
                        limit = None if limit is None else limit - len(data)
                        if limit is not None and limit <= 0:
                            return
        self.status = self._wait()

    def _wait(self) -> Optional[int]:
        """Both pipes are closed, so it ends now; one that does not is killed."""
        end = time.monotonic() + min(2.0, max(0.0, self._limits.seconds_left))
        while time.monotonic() < end:
            status = self._process.poll()
            if status is not None:
                return status
            time.sleep(0.002)
        return None
