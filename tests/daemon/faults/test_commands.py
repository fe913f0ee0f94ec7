# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The commands that people and cron use: check, clean. (Those of the quarantine: test_quarantine_commands.py.)"""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import threading

import pytest
from harness.behaviour import stall, wait_until
from harness.client import CLEAN, lmtp
from harness.daemon import Daemon, run

from filterd.cli import main


def lines(data: bytes) -> list[str]:
    return data.decode().splitlines()


# check


def test_check_of_a_host_where_all_is_well(start_daemon, clamd):
    # Given a running daemon with a scanner and a scratch that is large enough
    daemon = start_daemon(scanners=[clamd.settings])
    daemon.configure(listen=[f"127.0.0.1:{daemon.port}"])
    result = daemon.run("check")
    # then check says so, with what it found
    assert (result.returncode, result.stderr) == (0, b"")
    text = result.stdout.decode()
    for words in ("greets with", "answers EHLO", "ClamAV 1.4.3", "finds Eicar-Test-Signature", "all is well"):
        assert words in text
    # and the same for machines
    found = json.loads(daemon.run("check", "--json").stdout)
    assert found["ok"] is True
    assert found["configuration"]["instances"] == 4
    assert {line["state"] for line in found["checks"]} == {"ok"}


@pytest.mark.parametrize(
    ("problem", "words"),
    [
        ("no smtpd", "no smtpd answers there"),
        ("a silent smtpd", "no smtpd answers there"),
        ("no clamd", "No such file or directory"),
        ("a small scratch", "n*(1+f)*message_size_limit*7/8 needs"),
        ("no quarantine", "No such file or directory"),
        ("a full quarantine", "quarantine_reserve is 1152921504606846976"),
        ("no ledger directory", "ledger_file:            PROBLEM: {ledger.parent}"),
        ("a ledger directory that is a file", "Not a directory: mail would go on, and its lines in {ledger} would be"),
        ("a wrong template", "sender.txt: line 1 held 'Hello'; it takes Subject: and a text"),
        ("another service on the port", "greets with '220 back.example.com ESMTP Postfix'"),
    ],
)
def test_check_names_what_does_not_work(tmp_path, downstream, clamd, problem, words):
    # Given a right configuration and a host on which one thing is wrong
    daemon = Daemon(tmp_path / "host", downstream.address, scanners=[clamd.settings])
    for directory in (daemon.scratch, daemon.quarantine, daemon.ledger.parent):
        directory.mkdir()
    daemon.configure(listen=["127.0.0.1:9"])
    if problem == "no smtpd":
        downstream.stop()
    elif problem == "a silent smtpd":
        downstream.on("banner", stall())
        daemon.configure(reinject_connect_timeout=0.5)
    elif problem == "no clamd":
        clamd.stop()
    elif problem == "a small scratch":
        daemon.configure(message_size_limit=2**40)
    elif problem == "no quarantine":
        daemon.quarantine.rmdir()
    elif problem == "no ledger directory":
        daemon.ledger.parent.rmdir()
    elif problem == "a ledger directory that is a file":
        daemon.ledger.parent.rmdir()
        daemon.ledger.parent.write_text("")
    elif problem == "a full quarantine":
        daemon.configure(quarantine_reserve=2**60)
    elif problem == "a wrong template":
        (tmp_path / "sender.txt").write_text("Hello\n")
        daemon.configure(notification_templates=str(tmp_path))
    else:
        daemon.configure(listen=[downstream.address], reinject="127.0.0.1:9")
    # when it is checked
    result = daemon.run("check")
    # then it says what, and the exit status is 1
    assert result.returncode == 1
    text = result.stdout.decode()
    assert words.format(ledger=daemon.ledger) in text
    assert "PROBLEM" in text
    assert ("ledger_file:            PROBLEM" in text) is ("ledger" in problem)
    # and check has made nothing
    assert daemon.quarantine.exists() is (problem != "no quarantine")
    assert daemon.ledger.parent.is_dir() is ("ledger" not in problem)


def test_check_of_a_file_alone_touches_nothing(tmp_path, downstream):
    # Given a candidate whose directories, scanner and neighbours do not exist
    daemon = Daemon(
        tmp_path / "candidate", downstream.address, scanners=[{"type": "clamd", "socket": "/nowhere/at/all"}]
    )
    result = daemon.run("check", "--configuration-only")
    # then it is right, nobody was connected to, and nothing was made
    assert result.returncode == 0, result
    assert downstream.connections == 0
    assert not daemon.scratch.exists()
    # and sections can be left out one by one
    result = daemon.run("check", "--skip", "scanners", "--skip", "directories", "--skip", "listen")
    assert result.returncode == 0, result
    assert "answers EHLO" in result.stdout.decode()


def test_check_warns_of_what_the_next_server_lacks(tmp_path, downstream):
    # Given a reinjecting server without two extensions and with a smaller limit
    downstream.keywords = ("PIPELINING", "SIZE 1000", "8BITMIME", "DSN", "ENHANCEDSTATUSCODES")
    daemon = Daemon(tmp_path / "host", downstream.address)
    result = daemon.run("check", "--skip", "directories", "--skip", "listen")
    # then it works, and the warnings name them
    assert result.returncode == 0
    assert "lacks SMTPUTF8, XFORWARD" in result.stdout.decode()
    assert "takes at most 1000 bytes" in result.stdout.decode()


def test_check_says_what_the_policy_will_do_and_who_is_told(tmp_path, downstream):
    # Given a policy with a row, and notices
    daemon = Daemon(
        *(tmp_path / "host", downstream.address),
        policy=[{"recipients": ["abuse@"], "clients": ["192.0.2.0/24"], "virus": "tag"}],
        on_virus="pass",
        notify_admin="postmaster@example.com",
        notify_senders=["banned"],
    )
    result = daemon.run("check", "--skip", "directories", "--skip", "listen")
    # then it says so in words, with what is dangerous
    assert result.returncode == 0, result
    text = result.stdout.decode()
    for words in (
        "ok: where recipients abuse@ and clients 192.0.2.0/24: virus tag",
        "ok: else: virus pass, banned quarantine, unchecked quarantine",
        "warning: on_virus is pass: infected mail is delivered",
        "postmaster@example.com is told of virus, banned; senders whose address is believed are told of banned",
    ):
        assert words in text


@pytest.mark.parametrize(
    "command", [["serve"], ["check"], ["check", "--configuration-only"], ["clean"], ["quarantine", "list"]]
)
@pytest.mark.parametrize(
    ("content", "words"),
    [
        ('{"instances": -1}', "instances: held -1; it takes a whole number from 1 to 10000 (messages)"),
        ('{"instances": 2, "instances": 3}', "instances: given more than once"),
        ('{"instance": 2}', "instance: unknown key, it held 2; did you mean instances?"),
        ("[]", "held []; it takes an object with keys and values"),
        ("{", "is not valid JSON"),
        (None, "cannot be read: No such file or directory"),
    ],
)
def test_a_wrong_configuration_is_one_line_and_78(tmp_path, capfd, command, content, words):
    # Given a wrong configuration, when any command is run with it
    path = tmp_path / "daemon.json"
    if content is not None:
        path.write_text(content)
    status = main([*command, "--config", str(path)])
    # then one line says what is wrong, nothing else, and the exit status is EX_CONFIG
    said = capfd.readouterr()
    assert (status, said.out) == (78, "")
    [line] = said.err.splitlines()
    assert line.startswith(f"{path}: ")
    assert words in line


@pytest.mark.parametrize(
    "arguments", [[], ["what"], ["serve", "--no-such-option"], ["quarantine"], ["clean", "--older-than", "-1"]]
)
def test_a_wrong_command_line(arguments):
    # Given a wrong command line, then the exit status is 2, and no traceback comes
    result = run(*arguments)
    assert result.returncode == 2
    assert b"usage:" in result.stderr
    assert b"Traceback" not in result.stderr


# clean


def test_clean_removes_what_is_stale_and_nothing_in_use(daemon, tmp_path):
    # Given leftovers, and things that somebody uses
    scratch = daemon.scratch
    (scratch / "amavis-1" / "parts").mkdir(parents=True)
    (scratch / "amavis-1" / "parts" / "p001").write_text("x")
    (scratch / "leftover").write_text("x")
    (scratch / "link").symlink_to(tmp_path)
    os.mkfifo(scratch / "fifo")
    (scratch / os.fsdecode(b"odd\n\xff name")).write_text("x")
    for name in ("locked", "worked-in", "deep"):
        (scratch / name).mkdir()
    (scratch / "deep" / "open").write_text("x")
    lock = os.open(scratch / "locked", os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)
    with open(scratch / "deep" / "open") as _, subprocess.Popen(["sleep", "60"], cwd=scratch / "worked-in") as worker:
        # when nothing is old enough, then nothing goes
        assert daemon.run("clean").stdout == b""
        # when anything is old enough, then only the leftovers go
        result = daemon.run("clean", "--older-than", "0")
        assert result.returncode == 0
        assert sorted(path.name for path in scratch.iterdir()) == ["deep", "locked", "worked-in"]
        assert len(lines(result.stdout)) == 5
        assert tmp_path.exists()
        worker.kill()
    # and when the users are gone, so are these
    os.close(lock)
    assert len(lines(daemon.run("clean", "--older-than", "0").stdout)) == 3
    assert list(scratch.iterdir()) == []


def test_clean_does_not_harm_messages_under_way(start_daemon, downstream, clamd):
    # Given a large message in the scanner
    daemon = start_daemon(scanners=[{**clamd.settings, "content": "whole"}])
    clamd.on("verdict", stall(), times=1)
    content = CLEAN + b"0123456789\r\n" * 100_000
    answers = []
    sending = threading.Thread(target=lambda: answers.extend(lmtp(daemon.address, content)))
    sending.start()
    wait_until(lambda: clamd.scanned, "the scan")
    # when everything stale is removed at once, then the message is whole
    assert daemon.run("clean", "--older-than", "0").returncode == 0
    clamd.release()
    sending.join()
    assert answers[0].code == 250
    assert downstream.last.content == content


def test_clean_without_a_scratch(daemon):
    # Given a scratch directory that is gone, then one line says so
    daemon.scratch.rmdir()
    result = daemon.run("clean")
    daemon.scratch.mkdir()
    assert result.returncode == 1
    assert lines(result.stderr) == [f"filter-daemon: {daemon.scratch}: No such file or directory"]
