# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Archives that are read from front to back: gzip, bzip2, xz, tar. Nothing that they declare is believed.

RFC 1952; POSIX.1 pax interchange format with the long names of GNU tar.
"""

from __future__ import annotations

import bz2
import lzma
import re
import zlib
from collections.abc import Iterable, Iterator
from typing import Callable, NamedTuple, Optional, Union

from .limits import Limits, Unreadable

#: Bytes that come out of a decompressor at a time.
_PIECE = 262144
#: Bytes that go into one at a time.
_INPUT = 8192
#: Memory that xz may use for its dictionary; its strongest preset wants 65 MiB.
_LZMA_MEMORY = 134217728
#: Bytes of a tar header's long name or pax records that are read.
_NAME_LIMIT = 1048576
_BLOCK = 512
_WITHOUT_DATA = frozenset(b"123456")
_PAX_RECORD = re.compile(rb"\d{1,10} (path|size)=([^\n]*)\n")


class Entry(NamedTuple):
    """One file in an archive."""

    name: str
    content: Optional[Iterator[bytes]] = None  #: None: cannot be read here
    encrypted: bool = False


class _Inflater:
    """zlib with the interface of the other decompressors. `window` says which format (zlib.decompressobj)."""

    def __init__(self, window: int) -> None:
        self._engine = zlib.decompressobj(window)
        self._tail = b""

    def decompress(self, data: bytes, limit: int) -> bytes:
        out = self._engine.decompress(self._tail + data if self._tail else data, limit)
        self._tail = self._engine.unconsumed_tail
        return out

    @property
    def eof(self) -> bool:
        return self._engine.eof

    @property
    def unused_data(self) -> bytes:
        return self._engine.unused_data

    @property
    def has_more(self) -> bool:
        return bool(self._tail)


_Engine = Union[_Inflater, bz2.BZ2Decompressor, lzma.LZMADecompressor]
ENGINES: dict[str, Callable[[], _Engine]] = {
    "gz": lambda: _Inflater(31),
    "deflate": lambda: _Inflater(-15),
    "bz2": bz2.BZ2Decompressor,
    "xz": lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, _LZMA_MEMORY),
    "lzma": lambda: lzma.LZMADecompressor(lzma.FORMAT_ALONE, _LZMA_MEMORY),
}
#: How a further member begins; anything else behind the first is padding or garbage, as for gzip(1).
_MEMBERS = {"gz": b"\x1f\x8b", "bz2": b"BZh", "xz": b"\xfd7zXZ"}


def decompressed(form: str, chunks: Iterable[bytes], limits: Limits) -> Iterator[bytes]:
    """What is packed in one of the forms of ENGINES, members one after the other. Raises LimitReached, Unreadable."""
    engine: Optional[_Engine] = ENGINES[form]()
    packed = unpacked = 0
    for piece in _small(chunks):
        packed += len(piece)
        data = piece
        if engine is None:
            engine, data = _next_member(form, data)
        while engine is not None:
            limits.check_time()
            try:
                out = engine.decompress(data, _PIECE)
            except (zlib.error, lzma.LZMAError, OSError, EOFError, ValueError) as error:
                raise Unreadable(str(error)) from None
            if out:
                unpacked += len(out)
                limits.ratio(packed, unpacked)
                yield out
            data = b""
            if engine.eof:
                engine, data = _next_member(form, engine.unused_data)
            elif len(out) < _PIECE and not (isinstance(engine, _Inflater) and engine.has_more):
                break
    if engine is not None and not engine.eof:
        raise Unreadable("it ends too early")


def _small(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Small pieces: what is behind a member is copied, and there may be thousands in a piece."""
    for chunk in chunks:
        for start in range(0, len(chunk), _INPUT):
            yield chunk[start : start + _INPUT]


def _next_member(form: str, data: bytes) -> tuple[Optional[_Engine], bytes]:
    data = data.lstrip(b"\0")
    beginning = _MEMBERS.get(form)
    if beginning and data[: len(beginning)] == beginning[: len(data)] and data:
        return ENGINES[form](), data
    return None, b""


def gzip_name(head: bytes) -> str:
    """The file name in the header of a gzip file, empty when there is none."""
    if len(head) < 10 or not head[3] & 8:
        return ""
    start = 10
    if head[3] & 4:
        start += 2 + int.from_bytes(head[10:12], "little")
    return head[start:].split(b"\0", 1)[0].decode("latin-1")


class Cursor:
    """Reads pieces of any size from a stream."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._source = iter(chunks)
        self._buffer = b""

    def read(self, amount: int) -> bytes:
        """Exactly so many bytes, fewer at the end."""
        pieces = [self._buffer]
        have = len(self._buffer)
        while have < amount:
            piece = next(self._source, None)
            if piece is None:
                break
            pieces.append(piece)
            have += len(piece)
        data = b"".join(pieces)
        self._buffer = data[amount:]
        return data[:amount]

    def stream(self, amount: int) -> Iterator[bytes]:
        """So many bytes in pieces. Raises Unreadable when there are fewer."""
        while amount > 0:
            piece = self._buffer or next(self._source, b"")
            if not piece:
                raise Unreadable("it ends too early")
            self._buffer = piece[amount:]
            amount -= min(amount, len(piece))
            yield piece[: len(piece) - len(self._buffer)]

    def rest(self) -> Iterator[bytes]:
        """All that is left."""
        if self._buffer:
            buffer, self._buffer = self._buffer, b""
            yield buffer
        yield from self._source


def tar_entries(cursor: Cursor) -> Iterator[Entry]:
    """The files of a tar archive; read each before the next is asked for, or it is skipped."""
    long_name = b""
    pax: dict[bytes, bytes] = {}
    while True:
        block = cursor.read(_BLOCK)
        if not block or not any(block):
            return
        if len(block) < _BLOCK or not _checksum_fits(block):
            raise Unreadable("a header is damaged")
        size, kind = _number(block[124:136]), block[156:157]
        if kind in (b"L", b"x", b"X", b"g", b"K"):
            data = _extension(cursor, size)
            if kind == b"L":
                long_name = data.split(b"\0", 1)[0]
            elif kind in (b"x", b"X"):
                pax.update((match.group(1), match.group(2)) for match in _PAX_RECORD.finditer(data))
            continue
        name = pax.get(b"path") or long_name or _short_name(block)
        if pax.get(b"size", b"").isdigit():
            size = int(pax[b"size"][:20])
        if kind in _WITHOUT_DATA_KINDS:
            size = 0
        if kind == b"S":
            # GNU: where the holes of a sparse file are stands in further blocks.
            more = block[482]
            while more:
                extra = cursor.read(_BLOCK)
                more = extra[504] if len(extra) == _BLOCK else 0
        long_name, pax = b"", {}
        content = cursor.stream(size)
        yield Entry(text_of(name), content)
        for _ in content:
            pass
        cursor.read(-size % _BLOCK)


_WITHOUT_DATA_KINDS = frozenset(bytes([kind]) for kind in _WITHOUT_DATA)


def _extension(cursor: Cursor, size: int) -> bytes:
    if size > _NAME_LIMIT:
        # Whoever writes names like this wants us to hold them.
        raise Unreadable("a header is too long")
    return cursor.read(size + -size % _BLOCK)[:size]


def _short_name(block: bytes) -> bytes:
    name = block[:100].split(b"\0", 1)[0]
    prefix = block[345:500].split(b"\0", 1)[0] if block[257:262] == b"ustar" and block[262:263] == b"\0" else b""
    return prefix + b"/" + name if prefix else name


def _checksum_fits(block: bytes) -> bool:
    try:
        stated = int(block[148:156].strip(b" \0") or b"x", 8)
    except ValueError:
        return False
    return stated == sum(block) - sum(block[148:156]) + 8 * 32


def _number(field: bytes) -> int:
    if field[0] & 128:
        return int.from_bytes(field[1:], "big")
    try:
        return max(0, int(field.strip(b" \0") or b"0", 8))
    except ValueError:
        raise Unreadable("a header is damaged") from None


def text_of(name: bytes) -> str:
    """A name in an archive, for people."""
    try:
        return name.decode("utf-8")
    except UnicodeDecodeError:
        return name.decode("latin-1")
