# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Scratch full, quarantine gone, log stuck: mail is deferred, never lost, and the session stays in step."""

from __future__ import annotations

import os
import select
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest
from harness.clamd import EICAR
from harness.client import CLEAN, Client, lmtp, smtp
from harness.daemon import Daemon
from harness.load import descriptors

INFECTED = b"Subject: x\r\n\r\n" + EICAR + b"\r\n"
#: Larger than what is kept in memory and than the scratch below; its lines would do harm if taken for commands.
TOO_MUCH = CLEAN + b"RSET\r\nMAIL FROM:<evil@example.net>\r\nRCPT TO:<root@example.com>\r\nDATA\r\nQUIT\r\n" * 40_000


def limit_files(daemon: Daemon) -> list[str]:
    """No file may grow beyond half a megabyte: what a full disk looks like without being root."""
    return ["prlimit", f"--fsize={512 * 1024}"]


def mount_tmpfs(daemon: Daemon) -> list[str]:
    """A scratch mount of half a megabyte."""
    daemon.scratch.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=512k", "none", str(daemon.scratch)], check=True)
    return []


@pytest.fixture(params=[limit_files, mount_tmpfs] if os.geteuid() == 0 else [limit_files])
def cramped(request, tmp_path, downstream):
    """A daemon whose scratch takes half a megabyte, whatever its configuration says."""
    daemon = Daemon(tmp_path / "cramped", downstream.address, instances=4)
    try:
        daemon.start(wrapper=request.param(daemon))
        yield daemon
        daemon.finish()
    finally:
        daemon.kill()
        if os.path.ismount(daemon.scratch):
            subprocess.run(["umount", str(daemon.scratch)], check=True)


@pytest.mark.parametrize(("verb", "count"), [("LHLO", 2), ("EHLO", 1)])
def test_scratch_full_inside_a_message(cramped, downstream, verb, count):
    # Given a scratch that is smaller than the message
    with Client(cramped.address) as client:
        client.hello(verb)
        client.envelope(recipients=["bob@example.com", "carol@example.com"])
        # when the message comes, then all of it is taken as content, and its end is answered: not now
        replies = client.data(TOO_MUCH, count)
        assert [(item.code, item.enhanced) for item in replies] == [(452, ["4.3.1"])] * count
        assert client.silent()
        # and the session goes on with the next one
        client.envelope()
        assert client.data(CLEAN)[0].code == 250
    assert [item.content for item in downstream.transactions] == [CLEAN]
    assert "refused with 452" in cramped.log


def test_scratch_full_for_many_at_once(cramped, downstream):
    # Given many clients whose messages do not fit, between small ones that need no scratch
    def one(number: int) -> int:
        return lmtp(cramped.address, TOO_MUCH if number % 2 else CLEAN)[0].code

    before = descriptors(cramped)
    with ThreadPoolExecutor(8) as threads:
        codes = list(threads.map(one, range(16)))
    # then the small ones pass, the large ones are told to come again, and nothing is left open
    assert codes == [250, 452] * 8
    assert descriptors(cramped) <= before + 8


def test_scratch_that_is_gone(daemon, downstream):
    # Given a scratch directory that somebody has removed
    daemon.scratch.rmdir()
    try:
        # then large messages are deferred and small ones pass
        assert smtp(daemon.address, TOO_MUCH).code == 452
        assert smtp(daemon.address).code == 250
    finally:
        daemon.scratch.mkdir()
    # and when it is back, large ones pass too
    assert smtp(daemon.address, TOO_MUCH).code == 250


@pytest.mark.parametrize("policy", ["discard", "reject"])
def test_a_quarantine_that_cannot_be_written_to(start_daemon, downstream, policy):
    # Given a quarantine that is gone
    daemon = start_daemon(on_virus=policy)
    daemon.quarantine.rmdir()
    # when an infected message comes, then it is neither delivered nor removed: it stays in the client's queue
    assert smtp(daemon.address, INFECTED).code == 451
    assert [item.code for item in lmtp(daemon.address, INFECTED, recipients=["a@example.com", "b@example.com"])] == [
        451,
        451,
    ]
    assert downstream.transactions == []
    # clean mail needs no quarantine
    assert smtp(daemon.address).code == 250
    # and when it is back, the infected one is kept
    daemon.quarantine.mkdir()
    assert smtp(daemon.address, INFECTED).code == (250 if policy == "discard" else 554)
    assert len(daemon.quarantined()) == 1


def test_a_full_quarantine_keeps_no_half_messages(tmp_path, downstream):
    # Given a disk that is full in the middle of a quarantined message
    daemon = Daemon(tmp_path / "full", downstream.address, memory_per_message=4 << 20).start(
        wrapper=["prlimit", f"--fsize={256 * 1024}"]
    )
    try:
        large = INFECTED + b"0123456789\r\n" * 50_000
        assert smtp(daemon.address, large).code == 451
        # then nothing half is kept, and nothing was delivered
        assert list(daemon.quarantine.iterdir()) == []
        assert smtp(daemon.address, INFECTED).code == 250
        assert len(daemon.quarantined()) == 1
        assert downstream.transactions == []
        daemon.finish()
    finally:
        daemon.kill()


def test_what_is_acknowledged_as_quarantined_is_there(daemon, downstream):
    # Given an infected message
    reply = smtp(daemon.address, INFECTED)
    # when the answer says that it is in quarantine, then it is, whole, and only its group may read it
    [path] = daemon.quarantined()
    assert path.name.removesuffix(".msg") in reply.text
    assert path.read_bytes().endswith(INFECTED)
    assert path.stat().st_mode & 0o777 == 0o640
    # and also after the daemon has been killed at once
    daemon.kill()
    assert daemon.quarantined() == [path]


@pytest.fixture
def piped(tmp_path, downstream):
    """A daemon that logs into a pipe, and the pipe's reading end."""
    reading, writing = os.pipe()
    daemon = Daemon(tmp_path / "piped", downstream.address)
    try:
        daemon.start(wrapper=["bash", "-c", f'exec 2>&{writing} "$@"', "bash"], pass_fds=[writing], wait=False)
        os.close(writing)
        text = b""
        while b"ready\n" not in text:
            assert select.select([reading], [], [], 10)[0], f"not ready: {text!r} {daemon.log}"
            text += os.read(reading, 4096)
        daemon.port = int(text.split(b"listens on 127.0.0.1:")[1].split(b",")[0])
        yield daemon, reading
        assert daemon.stop() == 0
    finally:
        daemon.kill()


def test_a_log_that_nobody_reads_does_not_stop_mail(piped):
    # Given a standard error whose reader hangs
    daemon, reading = piped
    # when more mail comes than log lines fit into the pipe, then it passes all the same
    with Client(daemon.address) as client:
        client.hello()
        for number in range(250):
            client.envelope(sender=f"{number}@" + "a-long-label." * 18 + "example.com")
            assert client.data(CLEAN)[0].code == 250
    # and when the reader is back, the log says that lines are missing
    os.set_blocking(reading, False)
    assert len(os.read(reading, 1 << 20)) > 32768
    assert lmtp(daemon.address)[0].code == 250
    assert b"log lines were lost" in os.read(reading, 1 << 20)


def test_a_log_that_is_closed_does_not_stop_mail(piped):
    # Given a standard error whose reader has closed, then mail passes
    daemon, reading = piped
    os.close(reading)
    for _ in range(3):
        assert lmtp(daemon.address)[0].code == 250


def test_directories_that_are_missing_are_made(tmp_path, downstream):
    # Given neither scratch nor quarantine directory
    daemon = Daemon(tmp_path / "new", downstream.address)
    shutil.rmtree(daemon.scratch, ignore_errors=True)
    daemon.start()
    # then they are made, for the daemon's user and group alone
    assert daemon.scratch.stat().st_mode & 0o777 == 0o750
    assert daemon.quarantine.stat().st_mode & 0o777 == 0o750
    daemon.finish()


@pytest.mark.parametrize("key", ["scratch_directory", "quarantine_directory"])
def test_a_directory_that_cannot_be_made(tmp_path, downstream, key):
    # Given a directory that is a file
    (tmp_path / "file").write_text("")
    daemon = Daemon(tmp_path / "wrong", downstream.address, **{key: str(tmp_path / "file")})
    daemon.start(wait=False)
    # then the service does not start, and says why in one line
    assert daemon.running.wait(10) == 1
    [line] = daemon.log.splitlines()
    assert f"{key}: held {tmp_path / 'file'}; it takes a directory that can be written to" in line
