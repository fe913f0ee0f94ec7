# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Command-line scanners in trouble: each is a failure in time, and nothing of them is left, process or file."""

from __future__ import annotations

import asyncio
import os
import stat
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from harness.behaviour import wait_until
from harness.client import CLEAN, lmtp
from harness.subject import Message

from filterd.findings import UNCHECKED, VIRUS, Finding, ScannerFailure, Verdict
from filterd.scan import factory, settings, workspace

PARTS = (
    b"Content-Type: multipart/mixed; boundary=b\r\n\r\n"
    b"--b\r\n\r\ntext\r\n"
    b'--b\r\nContent-Type: application/octet-stream; name="../../evil; touch x"\r\n'
    b"Content-Transfer-Encoding: base64\r\n\r\nZGVjb2RlZA==\r\n--b--\r\n"
)
TOO_LARGE = "too large to be unpacked for the scanner"


class Bench:
    """A place for scanners that are shell scripts."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.scratch = directory / "scratch"
        self.scratch.mkdir()
        self.program = directory / "scanner"
        self.note = directory / "note"

    def scanner(self, script: str, **keys: Any) -> dict[str, Any]:
        """The settings of a scanner that is this script, with the directory as $1 and a file to write to as $NOTE."""
        self.program.write_text(f"#!/bin/sh\nNOTE={self.note}\n{script}\n")
        self.program.chmod(0o755)
        return {"type": "command", "argv": [str(self.program), "{}"], "timeout": 5, **keys}

    def run(self, given: dict[str, Any], question: Callable[[Any], Any]) -> Any:
        """The result of `await question(scanner)`."""

        async def go() -> Any:
            scanner = factory.scanner(settings.scanners([given])[0], str(self.scratch), asyncio.get_running_loop())
            return await question(scanner)

        return asyncio.run(go(), debug=True)

    def ask(self, given: dict[str, Any], message: Message | None = None) -> Verdict:
        """What it says of a message, by default a clean one. The message's scratch is given back in any case."""
        message = message or Message(CLEAN)
        used = message.budget.used
        try:
            verdict: Verdict = self.run(given, lambda scanner: scanner.scan(message))
        finally:
            assert list(self.scratch.iterdir()) == [], "files were left behind"
            assert message.budget.used == used
        return verdict

    def fails(self, given: dict[str, Any], words: str) -> None:
        """It fails, with these words."""
        with pytest.raises(ScannerFailure, match=words):
            self.ask(given)

    def noted(self) -> list[str]:
        """Lines that the script has written."""
        return self.note.read_text().splitlines() if self.note.exists() else []


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def gone(pid: str) -> bool:
    """Whether a process has ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


# Exit codes


@pytest.mark.parametrize(
    ("script", "findings"),
    [
        ("exit 0", ()),
        ("echo found Some.Virus; exit 0", ()),
        ("echo found Some.Virus; exit 3", ((VIRUS, "Some.Virus"),)),
        ("echo found B; echo found A; echo found B; exit 3", ((VIRUS, "B"), (VIRUS, "A"))),
        ("echo found E >&2; exit 4", ((VIRUS, "E"),)),
        ("exit 3", ((VIRUS, "unnamed"),)),
        ("echo nothing known; exit 3", ((VIRUS, "unnamed"),)),
        ("printf 'found A\\tB\\033[2J\\377\\r\\n'; exit 3", ((VIRUS, "A?B?[2J?"),)),
        ("exit 5", ((UNCHECKED, "exit code 5"),)),
        ("echo found Encrypted.Zip; exit 5", ((UNCHECKED, "Encrypted.Zip"),)),
    ],
)
def test_exit_codes_are_mapped(bench, script, findings):
    # Given an exit code that means something, then it decides, and the pattern gives the names
    given = bench.scanner(script, infected=[3, 4], unchecked=[5], pattern="^found (.+)$")
    source = f"command {bench.program}"
    assert bench.ask(given).findings == tuple(Finding(*pair, source) for pair in findings)


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("exit 2", "exit code 2"),
        ("echo database is broken >&2; exit 99", "exit code 99, said b'database is broken"),
        ("exit 255", "exit code 255"),
        ("kill -SEGV $$", "was killed by SIGSEGV"),
        ("kill -KILL $$", "was killed by SIGKILL"),
        ("exit 127", "is not there"),
        ("exec /nowhere/at/all", "is not there"),
        ("yes", "wrote more than"),
        ("head -c 100000000 /dev/zero", "wrote more than"),
        ("sleep 60", "no answer within 0.5 s"),
        ("trap '' TERM HUP INT; while :; do sleep 60; done", "no answer within 0.5 s"),
        ("exec >&- 2>&-; sleep 60", "no answer within 0.5 s"),
        ("kill -STOP $$", "no answer within 0.5 s"),
        ("head -c 3000000 /dev/zero > $TMPDIR/x; exit 0$?", "exit code"),
        ("while :; do :; done", "(was killed by SIG(XCPU|KILL)|no answer within)"),
    ],
)
def test_trouble_is_a_failure(bench, script, words):
    timeout = 0.5 if "no answer" in words and "XCPU" not in words else 10
    bench.fails(bench.scanner(script, timeout=timeout, cpu_limit=1, file_limit=1 << 20), words)


def test_memory_is_limited(bench):
    # Given a program that wants more memory than it may have, then it is its own failure and not the machine's
    script = "python3 -c 'x = bytearray(300_000_000)' && exit 0; exit 9"
    bench.fails(bench.scanner(script, memory_limit=200_000_000), "exit code 9")
    assert bench.ask(bench.scanner(script, memory_limit=1_000_000_000)) == Verdict()


def test_a_program_that_is_not_there(bench):
    bench.fails({"type": "command", "argv": ["/nowhere/scanner", "{}"]}, "^command /nowhere/scanner: is not there$")


def test_a_program_that_is_none(bench):
    given = bench.scanner("exit 0")
    bench.program.chmod(0o644)
    bench.fails(given, "cannot be executed")
    bench.fails({"type": "command", "argv": [str(bench.scratch), "{}"]}, "cannot be executed")


def test_more_output_than_is_kept_does_not_hold_it_up(bench):
    # Given a name before a megabyte of chatter, then it is found, and the program comes to its end
    script = "echo found First.Virus; head -c 1000000 /dev/zero; echo found Last.Virus; exit 1"
    assert bench.ask(bench.scanner(script, pattern="^found (.+)$")).findings[0].name == "First.Virus"


# Processes


def test_children_end_with_their_time(bench):
    # Given a scanner whose children and grandchildren would go on
    script = "sleep 60 & echo $! >> $NOTE; (sleep 60 & echo $! >> $NOTE; wait) & echo $$ >> $NOTE; wait"
    bench.fails(bench.scanner(script, timeout=0.5), "no answer within 0.5 s")
    # then none of them does
    assert len(bench.noted()) == 3
    wait_until(lambda: all(gone(pid) for pid in bench.noted()), "all processes to end", 3)


def test_children_end_with_the_scanner(bench):
    # Given a scanner that leaves a child behind which holds its output open
    begin = time.monotonic()
    assert bench.ask(bench.scanner("sleep 60 & echo $! >> $NOTE; exit 0")) == Verdict()
    # then nobody waits the minute that it takes, and it is gone
    assert time.monotonic() - begin < 30
    wait_until(lambda: all(gone(pid) for pid in bench.noted()), "the child to end", 3)


def test_a_cancelled_scan_leaves_nothing(bench):
    # Given a scan under way when its message is answered by the deadline
    given = bench.scanner("echo $$ >> $NOTE; sleep 60", timeout=60)
    message = Message(CLEAN)

    async def cancel(scanner: Any) -> None:
        task = asyncio.ensure_future(scanner.scan(message))
        while not bench.noted():  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        # then, when it returns, process and files are gone and the budget is free
        assert gone(bench.noted()[0])
        assert list(bench.scratch.iterdir()) == []
        assert message.budget.used == 0
        # and the turn is free for the next
        bench.scanner("exit 0")
        assert await scanner.scan(message) == Verdict()

    bench.run(given, cancel)


def test_cancelling_at_any_moment_leaves_nothing(bench):
    # Given scans of a message with many parts that are given up earlier or later, also while the program is started
    given = bench.scanner("echo $$ >> $NOTE; sleep 60", timeout=60)
    content = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + b"--b\r\n\r\nx\r\n" * 20 + b"--b--\r\n"
    message = Message(content)

    async def cancel(scanner: Any) -> None:
        before = None
        for number in range(60):
            task = asyncio.ensure_future(scanner.scan(message))
            await asyncio.sleep(number / 3000)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert list(bench.scratch.iterdir()) == []
            assert message.budget.used == 0
            before = before or len(os.listdir("/proc/self/fd"))
        assert len(os.listdir("/proc/self/fd")) == before
        assert all(gone(pid) for pid in bench.noted())

    bench.run(given, cancel)


def test_no_descriptors_are_lost(bench):
    # Given many runs, good and bad
    good = bench.scanner("exit 0")

    async def many(scanner: Any) -> None:
        await scanner.scan(Message(CLEAN))
        before = len(os.listdir("/proc/self/fd"))
        for _ in range(20):
            await scanner.scan(Message(CLEAN))
        bench.program.unlink()
        for _ in range(20):
            with pytest.raises(ScannerFailure, match="is not there"):
                await scanner.scan(Message(CLEAN))
        assert len(os.listdir("/proc/self/fd")) == before

    bench.run(good, many)


def test_turns(bench):
    # Given a scanner that may run twice at a time, and five messages
    script = "echo + >> $NOTE; sleep 0.2; echo - >> $NOTE"

    async def five(scanner: Any) -> list[Verdict]:
        return await asyncio.gather(*(scanner.scan(Message(CLEAN)) for _ in range(5)))

    assert bench.run(bench.scanner(script, concurrency=2), five) == [Verdict()] * 5
    # then never more than two run
    running = most = 0
    for line in bench.noted():
        running += 1 if line == "+" else -1
        most = max(most, running)
    assert most == 2


def test_waiting_for_a_turn_counts(bench):
    # Given one turn, which a hanging run has, then who waits for it fails in the same time, and the turn comes back
    script = "[ -e $NOTE ] && exit 0; echo x > $NOTE; sleep 60"

    async def three(scanner: Any) -> list[Any]:
        work = [asyncio.ensure_future(scanner.scan(Message(CLEAN))) for _ in range(3)]
        work[1].cancel()
        first = await asyncio.gather(*work, return_exceptions=True)
        return [*first, await scanner.scan(Message(CLEAN))]

    first, cancelled, second, third = bench.run(bench.scanner(script, timeout=0.5), three)
    assert "no answer within 0.5 s" in str(first)
    assert isinstance(cancelled, asyncio.CancelledError)
    assert "no answer within 0.5 s" in str(second)
    assert third == Verdict()


# What it is given


def test_files_have_our_names_and_are_private(bench):
    # Given a message with an attachment whose name is a path and a command
    script = (
        'cd "$1" && for f in *; do echo "$f $(stat -c %a "$f") $(head -c 7 "$f")" >> $NOTE; done; stat -c %a . >> $NOTE'
    )
    assert bench.ask(bench.scanner(script), Message(PARTS)) == Verdict()
    # then the whole message and each decoded part are files that nobody else can read, with names of our own
    assert bench.noted() == ["message.eml 600 Content", "part-00001 600 text", "part-00002 600 decoded", "700"]


def test_the_environment_is_ours(bench):
    # Given anything in the daemon's environment, then the scanner sees none of it, no input and no open files
    os.environ["FILTER_TEST_SECRET"] = "x"
    script = "env | cut -d= -f1 | sort >> $NOTE; cat >> $NOTE; exec ls /proc/self/fd >> $NOTE"
    try:
        assert bench.ask(bench.scanner(script)) == Verdict()
    finally:
        del os.environ["FILTER_TEST_SECRET"]
    numbers = {line for line in bench.noted() if line.isdigit()}
    assert set(bench.noted()) - numbers - {"PWD", "OLDPWD", "SHLVL", "_"} == {"HOME", "LC_ALL", "PATH", "TMPDIR"}
    assert numbers == {"0", "1", "2", "3"}  # the last is the directory that ls looks into


def test_arguments_are_no_shell_commands(bench):
    # Given arguments that a shell would take for more than words
    given = bench.scanner('printf "%s\\n" "$@" >> $NOTE')
    words = ["$(touch x)", "; exit 9", "a  b", "*", "--dir={}/", ""]
    assert bench.ask({**given, "argv": [given["argv"][0], *words]}) == Verdict()
    directory = bench.noted()[4][len("--dir=") : -1]
    assert bench.noted() == [*words[:4], f"--dir={directory}/", ""]
    assert directory.startswith(f"{bench.scratch}/command-")


# Scratch


def test_a_message_that_does_not_fit_twice_is_given_in_parts(bench):
    # Given a budget that is too small for the whole message and its parts, but not for the parts
    body = b"0123456789abcdef\r\n" * 20000
    message = Message(b"Subject: x\r\n\r\n" + body, budget=500_000)
    assert bench.ask(bench.scanner('ls "$1" >> $NOTE; cat "$1"/part* | wc -c >> $NOTE'), message) == Verdict()
    assert bench.noted() == ["message.eml", "part-00001", str(len(body))]


@pytest.mark.parametrize("content", ["auto", "both", "whole", "parts"])
def test_a_message_that_does_not_fit_at_all_is_unchecked(bench, content):
    message = Message(b"\r\n" + b"0123456789abcdef\r\n" * 20000, budget=100_000)
    given = bench.scanner("echo run >> $NOTE", content=content)
    assert bench.ask(given, message).findings == (Finding(UNCHECKED, TOO_LARGE, f"command {bench.program}"),)
    assert bench.noted() == []


def test_many_small_parts_count_as_what_they_take(bench):
    # Given 900 attachments of one byte, each of which takes a page
    part = b"--b\r\nContent-Type: application/octet-stream\r\n\r\nx\r\n"
    content = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + part * 900 + b"--b--\r\n"
    message = Message(content, budget=3_000_000)
    scanner = bench.scanner("exit 0", timeout=60)  # 900 files take a busy machine a while
    assert [finding.name for finding in bench.ask(scanner, message).findings] == [TOO_LARGE]


def test_a_scanner_that_unpacks_too_much_is_stopped(bench):
    # Given a scanner that writes more temporary files than the message may use
    script = "mkdir $TMPDIR/a; for n in 1 2 3 4 5 6; do head -c 500000 /dev/zero > $TMPDIR/a/$n; done; sleep 60"
    begin = time.monotonic()
    verdict = bench.ask(bench.scanner(script, timeout=30), Message(CLEAN, budget=2_000_000))
    # then the message is unchecked, and nobody waits for the time-out
    assert [(finding.category, finding.name) for finding in verdict.findings] == [(UNCHECKED, TOO_LARGE)]
    assert time.monotonic() - begin < 25


def test_what_a_scanner_leaves_is_removed(bench):
    # Given a scanner that leaves directories that nobody may enter, links and many files
    script = (
        "cd $TMPDIR && mkdir -p a/b/c && touch a/b/c/d && ln -s / a/b/root && chmod 0 a/b/c a/b a && "
        'touch "$1/own" && for n in $(seq 300); do : > $n; done'
    )
    assert bench.ask(bench.scanner(script)) == Verdict()


def test_a_scratch_that_is_full_or_gone_is_a_failure(bench):
    given = bench.scanner("exit 0")
    bench.scratch.rmdir()

    def ask(scanner: Any) -> Any:
        return scanner.scan(Message(CLEAN))

    with pytest.raises(ScannerFailure, match="No such file or directory"):
        bench.run(given, ask)


def test_what_a_killed_worker_left_is_removed_and_nothing_else(bench, monkeypatch):
    # Given an old directory that nobody has locked, one in use, a new one, and other people's
    old, new, other = (bench.scratch / name for name in ("command-old", "command-new", "other"))
    for path in (old, new, other):
        (path / "files").mkdir(parents=True)
        (path / "files" / "message.eml").write_text("x")
    message = Message(CLEAN)

    async def work() -> None:
        space = workspace.Workspace(str(bench.scratch), message.budget)
        for path in (old, other, Path(space.path)):
            os.utime(path, (1, 1))
        # when a worker looks
        workspace.sweep(str(bench.scratch))
        # then only the first is gone
        assert sorted(bench.scratch.iterdir()) == sorted([new, other, Path(space.path)])
        assert stat.S_IMODE(os.stat(space.path).st_mode) == 0o700
        await space.remove()

    asyncio.run(work())
    # and a directory that is not there is no trouble
    workspace.sweep("/nowhere/at/all")


# With the daemon around it


def test_a_hanging_scanner_in_the_daemon(start_daemon, downstream, bench):
    # Given a primary that hangs and a backup that works
    hanging = bench.scanner("echo $$ >> $NOTE; sleep 60", timeout=0.5)
    backup = {"type": "command", "argv": ["/bin/sh", "-c", "exit 0", "{}"], "backup": True}
    daemon = start_daemon(scanners=[hanging, backup])
    # then mail passes after the time-out, and the failure is in the log
    assert lmtp(daemon.address)[0].code == 250
    daemon.wait_for_log("warning: message id=.*scanner: no answer within 0.5 s")
    # and without the backup it is deferred
    daemon.reload(scanners=[hanging])
    assert lmtp(daemon.address)[0].code == 451
    wait_until(lambda: all(gone(pid) for pid in bench.noted()), "all scanners to end", 3)
    assert list(daemon.scratch.iterdir()) == []


def test_the_deadline_ends_a_scanner(start_daemon, downstream, bench):
    # Given a scanner that has more time than the message
    daemon = start_daemon(scanners=[bench.scanner("echo $$ >> $NOTE; sleep 60", timeout=60)], message_deadline=0.7)
    begin = time.monotonic()
    assert lmtp(daemon.address)[0].code == 451
    assert time.monotonic() - begin < 30
    # then it ends with the message, and nothing of it is left
    wait_until(lambda: bench.noted() and gone(bench.noted()[0]), "the scanner to end", 3)
    wait_until(lambda: not list(daemon.scratch.iterdir()), "scratch to be empty", 3)
    assert downstream.transactions == []


def test_ordinary_mail_goes_on_while_a_scanner_works_on_a_large_one(start_daemon, downstream, bench):
    # Given a scanner that does not come to an end with large messages until it is told to
    script = 'test $(stat -c %s "$1/message.eml") -gt 1000000 && until test -e "$NOTE"; do sleep 0.1; done; exit 0'
    daemon = start_daemon(scanners=[bench.scanner(script, concurrency=4, timeout=20)], instances=4)
    large = CLEAN + b"0123456789abcdef\r\n" * 150_000
    with daemon.client() as slow:
        slow.hello("LHLO")
        slow.envelope("alice@example.com", ["bob@example.com"])
        slow.good("DATA")
        slow.send(large + b".\r\n")
        # then small ones pass meanwhile
        for _ in range(3):
            assert lmtp(daemon.address)[0].code == 250
        bench.note.touch()
        assert slow.reply().code == 250
