# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Mail made to use up time, memory or scratch: answered in time, in little memory, and the next message is served."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from harness.archives import gzip_of_zeros, nested_zip, overlapping_zip, zip_of_many
from harness.client import CLEAN, lmtp
from harness.mail import attachment

pytestmark = pytest.mark.slow

_MIXED = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n"
_PART = b"--b\r\nContent-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n\r\nQUJD\r\n"
_ZEROS = b"AAAA" * 19 + b"\r\n"


def _multiparts(levels: int) -> bytes:
    head = (b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (n, n) for n in range(levels))
    return b"".join(head) + b"\r\nend\r\n"


BOMBS: dict[str, Callable[[], bytes]] = {
    "nested zip": lambda: attachment(nested_zip(1000), "a.zip"),
    "overlapping zip entries": lambda: attachment(overlapping_zip(60_000, 20_000_000), "a.zip"),
    "zip with 100000 entries": lambda: attachment(zip_of_many(80_000), "a.zip"),
    "gz with a ratio of 1000": lambda: attachment(gzip_of_zeros(1_000_000_000), "a.gz"),
    "1000 levels of multipart": lambda: _multiparts(1000),
    "1000 levels of message/rfc822": lambda: b"Content-Type: message/rfc822\r\n\r\n" * 1000 + b"\r\nend\r\n",
    "1000 levels of encoded messages": lambda: (
        b"Content-Type: message/rfc822\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n" * 1000 + b"\r\nend\r\n"
    ),
    "a million header lines": lambda: b"X: y\r\n" * 1_000_000 + b"\r\nend\r\n",
    "a header of 10 MB": lambda: b"X: " + b"y" * 10_000_000 + b"\r\n\r\nend\r\n",
    "a folded header of 10 MB": lambda: b"X: y\r\n" + b" folded\r\n" * 1_100_000 + b"\r\nend\r\n",
    "quoted-printable soft line breaks": lambda: (
        b"Content-Transfer-Encoding: quoted-printable\r\n\r\n" + b"=\r\n" * 3_000_000 + b"end\r\n"
    ),
    "5000 attachments": lambda: _MIXED + _PART * 5000 + b"--b--\r\n",
    "names in 60000 sections": lambda: (
        b"Content-Disposition: attachment"
        + b"".join(b";\r\n filename*%d*=%%41" % number for number in range(60_000))
        + b"\r\n\r\nend\r\n"
    ),
    "10 MB of attached zeros": lambda: (
        b"Content-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n\r\n" + _ZEROS * 130_000
    ),
}


def _peak(pid: int) -> float:
    match = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert match
    return int(match[1]) / 1024


def _processor_time(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.mark.parametrize("scanner", [False, True])
def test_bombs(start_daemon, clamd, scanner):
    # Given one worker, when one bomb after the other comes, then each is answered with 2xx (it is delivered, or in
    # quarantine) long before the deadline, no worker dies, its memory stays bounded, and ordinary mail goes on.
    daemon = start_daemon(
        scanners=[clamd.settings] if scanner else [], message_size_limit=16_000_000, message_deadline=60
    )
    assert lmtp(daemon.address)[0].code == 250
    (worker,) = daemon.worker_pids()
    before = _peak(worker)
    for name, make in BOMBS.items():
        content = make()
        used, start = _processor_time(worker), time.monotonic()
        assert lmtp(daemon.address, content)[0].code == 250, name
        assert time.monotonic() - start < 30, name
        assert _processor_time(worker) - used < 10, name
        assert lmtp(daemon.address, CLEAN)[0].code == 250, name
        assert _peak(worker) - before < 96, name
        clamd.clear()
    assert daemon.worker_pids() == [worker]
    assert "Traceback" not in daemon.log


def test_thousands_of_attachments_are_one_question_to_the_scanner(start_daemon, clamd):
    # Given the limit of parts, when a message has more, then it is unchecked, and the scanner has been asked at most
    # a few times instead of once for each.
    daemon = start_daemon(scanners=[clamd.settings], on_unchecked="pass")
    assert lmtp(daemon.address, _MIXED + _PART * 5000 + b"--b--\r\n")[0].code == 250
    assert "too many parts" in daemon.messages()[-1]
    assert len(clamd.scanned) <= 2
