# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Types of files by their first bytes."""

from __future__ import annotations

import gzip
import io
import tarfile

import pytest
from harness.mail import clamav_files
from hypothesis import given
from hypothesis import strategies as st

from filterd.content.types import HEAD, real_type

PE = b"MZ" + b"\0" * 58 + (128).to_bytes(4, "little") + b"\0" * 64 + b"PE\0\0"


def _tar(tar_format: int) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=tar_format) as archive:
        archive.addfile(tarfile.TarInfo("x"))
    return file.getvalue()


@pytest.mark.parametrize(
    ("head", "name"),
    [
        (PE, "exe"),
        (b"MZ\x90\0" + b"\0" * 20, "exe"),
        (b"MZ is how this text begins, and it goes on and on for more than sixty bytes.", None),
        (b"\x7fELF\x02\x01\x01", "elf"),
        (b"%PDF-1.7\n", "pdf"),
        (gzip.compress(b"", mtime=0), "gz"),
        (b"BZh91AY&SY", "bz2"),
        (b"BZh is a text", None),
        (_tar(tarfile.USTAR_FORMAT), "tar"),
        (_tar(tarfile.GNU_FORMAT), "tar"),
        (_tar(tarfile.USTAR_FORMAT).replace(b"ustar", b"xstar"), None),  # its checksum is wrong
        (b"<html><HTA:Application id=x>", "hta"),
        (b"#!/bin/sh\n", "script"),
        (b"Dear Bob,\r\n", None),
        (b"\0" * 1024, None),
        (b"", None),
    ],
)
def test_types(head, name):
    kind = real_type(head[:HEAD])
    assert (kind.name if kind else None) == name


@pytest.mark.parametrize(
    ("file", "name"),
    [
        *(("clam.exe", "exe"), ("clam.7z", "7z"), ("clam.arj", "arj"), ("clam.cab", "cab"), ("clam.chm", "chm")),
        *(("clam.zip", "zip"), ("clam.exe.bz2", "bz2"), ("clam.tar.gz", "gz"), ("clam.ole.doc", "ole")),
        *(("clam.newc.cpio", "cpio"), ("clam.odc.cpio", "cpio"), ("clam.bin-be.cpio", "cpio")),
        *(("clam.bin-le.cpio", "cpio"), ("clam.pdf", "pdf"), ("clam-upx.exe", "exe"), ("clam.mail", None)),
    ],
)
def test_real_files(file, name):
    kind = real_type(clamav_files()[file][:HEAD])
    assert (kind.name if kind else None) == name


@given(st.binary(max_size=600))
def test_bytes_never_raise(data):
    real_type(data)
    real_type(b"MZ" + data)
