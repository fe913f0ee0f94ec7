# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The quarantine never fills its disk, keeps no half messages, and cleans up after killed writers."""

from __future__ import annotations

import errno
import fcntl
import os
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from harness.clamd import EICAR
from harness.client import lmtp, smtp

from filterd import quarantine, quarantine_expire
from filterd.findings import Finding
from filterd.smtp.esmtp import Envelope, Recipient

INFECTED = b"Subject: x\r\n\r\n" + EICAR + b"\r\n"
MIB = 1 << 20
ENVELOPE = Envelope("a@example.com", {}, [Recipient("b@example.com", {})], {}, True, "")
FINDINGS = [Finding("virus", "Test.Virus", "clamd")]


def free(path: str) -> int:
    status = os.statvfs(path)
    return status.f_bavail * status.f_frsize


def test_a_message_that_would_touch_the_reserve_is_deferred(start_daemon, downstream):
    # Given a reserve that is larger than what is free
    daemon = start_daemon()
    daemon.reload(quarantine_reserve=2**60)
    # when infected mail comes, then nothing is written, and it stays in the client's queue
    assert (smtp(daemon.address, INFECTED).code, lmtp(daemon.address, INFECTED)[0].code) == (451, 451)
    assert list(daemon.quarantine.iterdir()) == []
    assert "are quarantine_reserve" in daemon.log
    # and clean mail passes
    assert smtp(daemon.address).code == 250
    # and when there is room again, it is kept
    daemon.reload(quarantine_reserve=0)
    assert smtp(daemon.address, INFECTED).code == 250
    assert len(daemon.quarantined()) == 1


def test_the_size_of_the_message_counts(start_daemon):
    # Given room for small messages only
    daemon = start_daemon()
    daemon.reload(quarantine_reserve=free(str(daemon.quarantine)) - 4096 * MIB)
    assert smtp(daemon.address, INFECTED).code == 250
    # then one that does not fit is refused before it is written
    with pytest.raises(OSError, match="quarantine_reserve") as caught:
        quarantine.store(
            *(str(daemon.quarantine), "0123456789", ENVELOPE, FINDINGS, [b"x"]),
            reserve=daemon.settings["quarantine_reserve"],
            size=6000 * MIB,
        )
    assert caught.value.errno == errno.ENOSPC
    assert len(daemon.quarantined()) == 1


def shrinking(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Another program that fills the disk: free space is what this list says, bytes."""
    room = [float(100 * MIB)]
    real = os.fstatvfs

    class Status:
        f_frsize = 1

        def __init__(self) -> None:
            self.f_bavail = room[0]

    monkeypatch.setattr(os, "fstatvfs", lambda descriptor: Status() if room else real(descriptor))
    return room


def test_space_that_goes_while_a_message_is_written(tmp_path, monkeypatch):
    # Given a disk that somebody else fills meanwhile
    room = shrinking(monkeypatch)

    def pieces():
        for _ in range(10):
            yield b"x" * MIB
            room[0] -= 20 * MIB

    # when less than the reserve is left, then the message is given up, and nothing stays
    with pytest.raises(OSError, match="bytes are free, 52428800 of them are quarantine_reserve"):
        quarantine.store(str(tmp_path), "0123456789", ENVELOPE, FINDINGS, pieces(), reserve=50 * MIB)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO])
@pytest.mark.parametrize("call", ["fsync", "link"])
def test_a_disk_in_trouble(tmp_path, monkeypatch, code, call):
    # Given a disk that fails when the message is made durable
    def failing(*_arguments: object, **_options: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, call, failing)
    with pytest.raises(OSError, match=os.strerror(code)) as caught:
        quarantine.store(str(tmp_path), "0123456789", ENVELOPE, FINDINGS, [b"x"])
    # then it is told, and nothing stays
    assert caught.value.errno == code
    assert os.listdir(tmp_path) == []


def test_a_directory_that_cannot_be_synchronised(tmp_path, monkeypatch):
    # Given a disk that fails when the name is made durable: the client will send the message again
    real = os.fsync
    calls = []

    def second_fails(descriptor: int) -> None:
        calls.append(descriptor)
        if len(calls) == 2:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", second_fails)
    with pytest.raises(OSError, match="Input/output error"):
        quarantine.store(str(tmp_path), "0123456789", ENVELOPE, FINDINGS, [b"x"])
    # then there is no first copy of it
    assert os.listdir(tmp_path) == []


@pytest.fixture
def disk(tmp_path):
    """A file system of 64 MiB; where it takes root to have one, the directory of any other test."""
    if os.geteuid() != 0:
        yield tmp_path
        return
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "none", str(tmp_path)], check=True)
    try:
        yield tmp_path
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


def test_many_at_once_leave_the_reserve_free(disk):
    # Given many that store at the same time, into room for some of them
    reserve = free(str(disk)) - 40 * MIB

    def one(number: int) -> bool:
        try:
            quarantine.store(str(disk), f"{number:010d}", ENVELOPE, FINDINGS, [b"x" * MIB] * 8, reserve, 8 * MIB)
        except OSError:
            return False
        return True

    with ThreadPoolExecutor(8) as threads:
        kept = sum(threads.map(one, range(16)))
    # then what is kept is whole, and the reserve is still there
    assert [os.stat(disk / name).st_size > 8 * MIB for name in os.listdir(disk)] == [True] * kept
    if os.path.ismount(disk):  # on another one, other programs take and give space
        assert free(str(disk)) >= reserve
        # and when they have had their turn, those that fit are kept
        assert [one(number) for number in range(16, 20 - kept)] == [True] * (4 - kept)
        assert one(99) is False


class TestExpire:
    def choose(self, ages_and_sizes, max_age, max_size):
        stored = [
            quarantine_expire.Stored(str(number), 1000 - age, size) for number, (age, size) in enumerate(ages_and_sizes)
        ]
        chosen = quarantine_expire.choose(stored, 1000, max_age, max_size)
        return [(item.quarantine_id, reason) for item, reason in chosen]

    @pytest.mark.parametrize(
        ("max_age", "max_size", "gone"),
        [
            (None, 0, []),
            (30, 0, [("0", "age"), ("2", "age")]),
            (31, 0, [("0", "age")]),
            (0, 0, [("0", "age"), ("2", "age"), ("1", "age")]),
            (None, 30, []),
            (None, 29, [("0", "size")]),
            (None, 5, [("0", "size"), ("2", "size"), ("1", "size")]),
            (40, 10, [("0", "age"), ("2", "size")]),
        ],
    )
    def test_the_oldest_go_first(self, max_age, max_size, gone):
        assert self.choose([(50, 10), (10, 10), (30, 10)], max_age, max_size) == gone

    def test_what_killed_writers_left(self, tmp_path):
        # Given leftovers, old and new, in use and not, beside things that are not ours
        old = time.time() - 2 * quarantine_expire.LEFTOVER_AGE
        names = {
            ".20261122T180000Z-0123456789.1": old,
            ".20261122T180000Z-0123456789.2": time.time(),
            ".20261122T180000Z-0123456789.3": old,
            "20261122T180000Z-0123456789.journal": old,
            "20261122T180000Z-aaaa.journal": old,
            "notes.txt": old,
            ".hidden": old,
        }
        for name, when in names.items():
            (tmp_path / name).write_bytes(b"x")
            os.utime(tmp_path / name, (when, when))
        # a journal with its message, which is broken and therefore stays too
        (tmp_path / "20261122T180000Z-aaaa.msg").write_bytes(b"x")
        with open(tmp_path / ".20261122T180000Z-0123456789.3") as used:
            fcntl.flock(used, fcntl.LOCK_EX)
            done = quarantine_expire.expire(str(tmp_path), None, 0, dry_run=False)
        # then only what nobody needs is gone
        assert done.leftovers == [".20261122T180000Z-0123456789.1", "20261122T180000Z-0123456789.journal"]
        assert set(names) - set(os.listdir(tmp_path)) == set(done.leftovers)
