# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Archives as tests need them, good and bad."""

from __future__ import annotations

import gzip
import io
import os
import struct
import subprocess
import tarfile
import tempfile
import zipfile
import zlib
from pathlib import Path

from .mail import installed


def zipped(files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A zip archive."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return file.getvalue()


def tarred(files: dict[str, bytes], mode: str = "w", tar_format: int = tarfile.PAX_FORMAT) -> bytes:
    """A tar archive; `mode` as tarfile knows it."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode=mode, format=tar_format) as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return file.getvalue()


def nested_zip(levels: int, data: bytes = b"x", name: str = "a.txt") -> bytes:
    """A file in so many zip archives."""
    for level in range(levels):
        data = zipped({name: data}, zipfile.ZIP_STORED)
        name = f"level{level}.zip"
    return data


def overlapping_zip(count: int, size: int) -> bytes:
    """A bomb: many names for the same packed bytes, each of them `size` bytes when unpacked."""
    engine = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = engine.compress(bytes(size)) + engine.flush()
    local = struct.pack("<4s5H3L2H", b"PK\3\4", 20, 0, 8, 0, 0, 0, len(packed), size, 1, 0) + b"a" + packed
    entry = struct.pack("<4s6H3L5H2L", b"PK\1\2", 20, 20, 0, 8, 0, 0, 0, len(packed), size, 1, 0, 0, 0, 0, 0, 0) + b"a"
    directory = entry * count
    return local + directory + struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, count, count, len(directory), len(local), 0)


def zip_of_many(count: int) -> bytes:
    """A zip archive with so many empty files."""
    local = bytearray()
    directory = bytearray()
    for number in range(count):
        name = b"%06d" % number
        offset = len(local)
        local += struct.pack("<4s5H3L2H", b"PK\3\4", 20, 0, 0, 0, 0, 0, 0, 0, 6, 0) + name
        directory += struct.pack("<4s6H3L5H2L", b"PK\1\2", 20, 20, 0, 0, 0, 0, 0, 0, 0, 6, 0, 0, 0, 0, 0, offset) + name
    few = min(count, 65535)
    end = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, count, count, len(directory), len(local))
    end += struct.pack("<4sLQL", b"PK\6\7", 0, len(local) + len(directory), 1)
    end += struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, few, few, len(directory), len(local), 0)
    return bytes(local + directory + end)


def gzip_of_zeros(size: int) -> bytes:
    """About a thousandth of its size."""
    return gzip.compress(bytes(size), 9)


def packed_by(program: str, package: str, arguments: list[str], files: dict[str, bytes], suffix: str) -> bytes:
    """What an archive program makes of these files; `arguments` come before the archive's name."""
    path = installed(package, Path("/usr/bin") / program)
    with tempfile.TemporaryDirectory() as directory:
        for name, data in files.items():
            Path(directory, name).write_bytes(data)
        archive = f"archive{suffix}"
        subprocess.run(
            [str(path), *arguments, archive, *sorted(files)],
            cwd=directory,
            check=True,
            capture_output=True,
            env={**os.environ, "LC_ALL": "C.UTF-8"},
        )
        return Path(directory, archive).read_bytes()
