# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Mail as tests of the content analysis need it, and test mail from Debian packages, installed where it is missing."""

from __future__ import annotations

import base64
import fcntl
import os
import re
import subprocess
from pathlib import Path

_AS_ROOT = [] if os.geteuid() == 0 else ["sudo", "-n"]
_PYTHON_MAIL = Path("/usr/lib/python3.11/test/test_email/data")
_CLAMAV_FILES = Path("/usr/share/clamav-testfiles")


def lines(*texts: str) -> bytes:
    """Lines with CR LF."""
    return "".join(text + "\r\n" for text in texts).encode()


def attachment(data: bytes, name: str = "", kind: str = "application/octet-stream") -> bytes:
    """A message of a text and one attachment."""
    disposition = f'Content-Disposition: attachment; filename="{name}"\r\n' if name else ""
    return (
        b"From: alice@example.com\r\nTo: bob@example.com\r\nSubject: a file\r\nMIME-Version: 1.0\r\n"
        b'Content-Type: multipart/mixed; boundary="b"\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\nSee the file.\r\n'
        + f"--b\r\nContent-Type: {kind}\r\n{disposition}Content-Transfer-Encoding: base64\r\n\r\n".encode()
        + base64.encodebytes(data).replace(b"\n", b"\r\n")
        + b"--b--\r\n"
    )


def installed(package: str, path: Path) -> Path:
    """`path` of a Debian package, which is installed if it is missing."""
    with open("/tmp/filter-stack-unit-tests.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
            install = [*_AS_ROOT, "apt-get", "install", "-y", "-q", "--no-install-recommends", package]
            if subprocess.run(install, env=environment, capture_output=True, check=False).returncode:
                subprocess.run([*_AS_ROOT, "apt-get", "update", "-q"], env=environment, capture_output=True, check=True)
                subprocess.run(install, env=environment, capture_output=True, check=True)
    return path


def python_mail() -> dict[str, bytes]:
    """The messages of CPython's own tests of its email package, with CR LF."""
    directory = installed("libpython3.11-testsuite", _PYTHON_MAIL)
    return {
        path.name: re.sub(rb"\r\n|\r|\n", b"\r\n", path.read_bytes()) for path in sorted(directory.glob("msg_*.txt"))
    }


def clamav_files() -> dict[str, bytes]:
    """The files of clamav-testfiles: one harmless program in many wrappings."""
    directory = installed("clamav-testfiles", _CLAMAV_FILES)
    return {path.name: path.read_bytes() for path in sorted(directory.iterdir())}
