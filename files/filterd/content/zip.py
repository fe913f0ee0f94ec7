# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Zip archives, read by their directory and compared with what stands before each file (APPNOTE.TXT of PKWARE).

Readers that go by the directory and readers that go from file to file must find the same, or it is told.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple, Optional

from .archive import ENGINES, Entry, decompressed, text_of
from .limits import LimitReached, Limits, Store, Unreadable

_END = struct.Struct("<4s4H2LH")
_END64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR64 = struct.Struct("<4sLQL")
_CENTRAL = struct.Struct("<4s6H3L5H2L")
_LOCAL = struct.Struct("<4s5H3L2H")
_ENCRYPTED = 0x0001
_UTF8 = 0x0800
_STORED = 0
_FORMS = {8: "deflate", 12: "bz2", 95: "xz"}
#: Bytes between two files that are looked at: data descriptors and alignment are shorter.
_GAP = 65536

HEADERS = "zip headers that differ"
OUTSIDE = "zip entries outside the directory"


class _Member(NamedTuple):
    name: bytes
    flags: int
    method: int
    packed: int  #: bytes
    start: int  #: of the local header
    data: int  #: of the packed bytes

    @property
    def end(self) -> int:
        return self.data + self.packed


def entries(store: Store, limits: Limits, notes: list[str]) -> Iterator[Entry]:
    """The files of a zip archive; `notes` gets HEADERS and OUTSIDE. Raises LimitReached, Unreadable."""
    prefix, directory, end, total = _directory(store)
    members: list[_Member] = []
    trouble: Optional[Exception] = None
    try:
        position = directory
        # One more than are allowed tells that they are too many.
        while position < end and len(members) <= limits.keys.unpack_files and not _is_signature(store, position):
            member, position = _member(store, prefix, position, notes)
            members.append(member)
        complete = len(members) <= limits.keys.unpack_files
        if complete and len(members) & 0xFFFF != total & 0xFFFF:
            notes.append(HEADERS)  # some go by the number, some by the place
        _check_layout(store, members, directory if complete else None, notes)
    except (LimitReached, Unreadable) as error:
        trouble = error
    for member in members:
        encrypted = bool(member.flags & _ENCRYPTED)
        name = text_of(member.name) if member.flags & _UTF8 else member.name.decode("cp437")
        readable = trouble is None and not encrypted
        yield Entry(name, _content(store, member, limits) if readable else None, encrypted)
    if trouble is not None:
        raise trouble


def _is_signature(store: Store, position: int) -> bool:
    """Behind the directory may be a signature of it."""
    return store.read(position, 4) == b"PK\x05\x05"


def _directory(store: Store) -> tuple[int, int, int, int]:
    """Bytes before the archive itself, position of the directory, its end, number of files."""
    tail_start = max(0, store.size - _END.size - 65535)
    tail = store.read(tail_start, store.size - tail_start)
    at = tail.rfind(b"PK\x05\x06")
    if at < 0 or len(tail) - at < _END.size:
        raise Unreadable("no directory")
    _, _, _, _, total, size, offset, _ = _END.unpack_from(tail, at)
    end = tail_start + at
    if 0xFFFF in (total,) or 0xFFFFFFFF in (size, offset):
        locator = store.read(end - _LOCATOR64.size, _LOCATOR64.size)
        if locator.startswith(b"PK\x06\x07"):
            place = _LOCATOR64.unpack(locator)[2]
            record = store.read(place, _END64.size)
            if len(record) == _END64.size and record.startswith(b"PK\x06\x06"):
                total, size, offset = _END64.unpack(record)[7:10]
                end = place
    prefix = end - size - offset
    if prefix < 0:
        raise Unreadable("its directory does not fit")
    return prefix, end - size, end, total


def _member(store: Store, prefix: int, position: int, notes: list[str]) -> tuple[_Member, int]:
    record = store.read(position, _CENTRAL.size)
    if len(record) < _CENTRAL.size or not record.startswith(b"PK\x01\x02"):
        raise Unreadable("its directory is damaged")
    fields = _CENTRAL.unpack(record)
    flags, method, packed, unpacked = fields[3], fields[4], fields[8], fields[9]
    name_length, extra_length, comment_length, offset = fields[10], fields[11], fields[12], fields[16]
    rest = store.read(position + _CENTRAL.size, name_length + extra_length)
    name, extra = rest[:name_length], rest[name_length:]
    if 0xFFFFFFFF in (packed, unpacked, offset):
        packed, offset = _large(extra, packed, unpacked, offset)
    start = prefix + offset
    local = store.read(start, _LOCAL.size)
    if len(local) < _LOCAL.size or not local.startswith(b"PK\x03\x04"):
        raise Unreadable("a file is not where the directory says")
    found = _LOCAL.unpack(local)
    local_name = store.read(start + _LOCAL.size, found[9])
    if (
        local_name.replace(b"\\", b"/") != name.replace(b"\\", b"/")
        or found[3] != method
        or (found[2] ^ flags) & _ENCRYPTED
    ):
        notes.append(HEADERS)
    data = start + _LOCAL.size + found[9] + found[10]
    after = position + _CENTRAL.size + name_length + extra_length + comment_length
    return _Member(name, flags, method, packed, start, data), after


def _large(extra: bytes, packed: int, unpacked: int, offset: int) -> tuple[int, int]:
    """Sizes over 4 GiB stand in an extra field, only those that do not fit, in this order."""
    at = 0
    while at + 4 <= len(extra):
        kind, length = struct.unpack_from("<HH", extra, at)
        if kind == 1:
            values = [int.from_bytes(extra[i : i + 8], "little") for i in range(at + 4, at + 4 + length - 7, 8)]
            if unpacked == 0xFFFFFFFF and values:
                values.pop(0)
            if packed == 0xFFFFFFFF and values:
                packed = values.pop(0)
            if offset == 0xFFFFFFFF and values:
                offset = values.pop(0)
            break
        at += 4 + length
    return packed, offset


def _check_layout(store: Store, members: list[_Member], directory: Optional[int], notes: list[str]) -> None:
    """Files must stand one behind the other: the same bytes twice are a bomb, and what stands between is hidden."""
    end = 0
    for member in sorted(members, key=lambda item: item.start):
        if member.start < end:
            raise LimitReached("zip entries overlap", False)
        _check_gap(store, end, member.start, notes)
        end = max(end, member.end)
    if directory is not None:
        if end > directory:
            raise Unreadable("it ends too early")
        _check_gap(store, end, directory, notes)


def _check_gap(store: Store, start: int, end: int, notes: list[str]) -> None:
    # Before the first file there may be a program that unpacks it, but nowhere are there files.
    if end - start >= _LOCAL.size and b"PK\x03\x04" in store.read(start, min(end - start, _GAP)):
        notes.append(OUTSIDE)


def _content(store: Store, member: _Member, limits: Limits) -> Optional[Iterator[bytes]]:
    packed = store.chunks(member.data, member.packed)
    if member.method == _STORED:
        return packed
    form = _FORMS.get(member.method)
    if form is None:
        return None
    assert form in ENGINES
    return decompressed(form, packed, limits)
