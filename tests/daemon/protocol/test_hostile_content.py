# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Mail made to be expensive: answered in time, in bounded memory, and the next message is served meanwhile."""

from __future__ import annotations

import re
import threading
from pathlib import Path

import pytest
from harness.client import CLEAN, lmtp, stuff

MIXED = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n"
BASE64 = b"--b\r\nContent-Type: application/x\r\nContent-Transfer-Encoding: base64\r\n\r\n"


def nested(count: int, head: bytes) -> bytes:
    return b"".join(head % (level, level) for level in range(count)) + b"\r\nend\r\n"


CONTENTS = {
    "20000 nested multiparts": nested(20000, b"Content-Type: multipart/mixed; boundary=%d\r\n\r\n--%d\r\n"),
    "20000 nested messages": b"Content-Type: message/rfc822\r\n\r\n" * 20000 + b"end\r\n",
    "a million header lines": b"X: y\r\n" * 500_000 + b"\r\nend\r\n",
    "one header of 3 MB": b"Content-Type: multipart/mixed; boundary=" + b"x" * 3_000_000 + b"\r\n\r\nend\r\n",
    "one header folded 700000 times": b"Content-Type: multipart/mixed;" + b"\r\n x" * 700_000 + b"\r\n\r\nend\r\n",
    "300000 delimiters": MIXED + b"--b\r\n" * 300_000,
    "100000 empty parts": MIXED + b"--b\r\n\r\n" * 100_000,
    "5000 small attachments": MIXED + (BASE64 + b"QUJD\r\n") * 5000 + b"--b--\r\n",
    "a megabyte of white space": b"Content-Type: multipart/mixed;" + b" " * 1_000_000 + b"x\r\n\r\nend\r\n",
    "3 MB without a line end": b"Content-Transfer-Encoding: quoted-printable\r\n\r\n" + b"=41" * 1_000_000 + b"\r\n",
    "base64 of nothing but padding": b"Content-Transfer-Encoding: base64\r\n\r\n" + b"=" * 3_000_000 + b"\r\n",
}


def peak(pid: int) -> float:
    """The most memory that a process has had, in MB."""
    match = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert match
    return int(match[1]) / 1024


@pytest.mark.slow
def test_is_answered_and_delivered(start_daemon, downstream, clamd):
    # Given one worker and one hostile message after the other, when small mail comes at the same time, then all of it
    # is delivered unchanged, small mail first, and the worker needs some tens of megabytes.
    daemon = start_daemon(scanners=[clamd.settings], message_size_limit=4_000_000, on_unchecked="pass")
    (worker,) = daemon.worker_pids()
    assert lmtp(daemon.address)[0].code == 250
    before = peak(worker)
    for name, content in CONTENTS.items():
        replies: list[int] = []

        def send_hostile(content: bytes = content, replies: list[int] = replies) -> None:
            replies.append(lmtp(daemon.address, content, sender="hostile@example.com")[0].code)

        thread = threading.Thread(target=send_hostile)
        thread.start()
        for _ in range(5):
            assert lmtp(daemon.address, CLEAN)[0].code == 250
        thread.join(60)
        assert replies == [250], name
        arrived = [item for item in downstream.accepted if item.sender == "hostile@example.com"]
        assert [item.wire + b".\r\n" == stuff(content) for item in arrived] == [True], name
        downstream.clear()
        clamd.clear()
    assert daemon.worker_pids() == [worker]
    assert peak(worker) - before < 64
