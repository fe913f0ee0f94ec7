# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The commands that people and cron use: check, clean, quarantine."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import threading

import pytest
from harness.behaviour import close, late, reply, stall, wait_until
from harness.clamd import EICAR
from harness.client import CLEAN, lmtp, smtp
from harness.daemon import Daemon, run

from filterd.cli import main

INFECTED = b"Subject: =?utf-8?q?=C3=A4?=\r\n\r\n..\r\n" + bytes(range(128, 256)) + EICAR + b"\r\n"
TWO = ("bob@example.com", "carol@example.com")


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
        ("another service on the port", "greets with '220 back.example.com ESMTP Postfix'"),
    ],
)
def test_check_names_what_does_not_work(tmp_path, downstream, clamd, problem, words):
    # Given a right configuration and a host on which one thing is wrong
    daemon = Daemon(tmp_path / "host", downstream.address, scanners=[clamd.settings])
    daemon.scratch.mkdir()
    daemon.quarantine.mkdir()
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
    else:
        daemon.configure(listen=[downstream.address], reinject="127.0.0.1:9")
    # when it is checked
    result = daemon.run("check")
    # then it says what, and the exit status is 1
    assert result.returncode == 1
    assert words in result.stdout.decode()
    assert "PROBLEM" in result.stdout.decode()
    # and check has made nothing
    assert daemon.quarantine.exists() is (problem != "no quarantine")


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


# quarantine


@pytest.fixture
def kept(daemon):
    """The daemon, and the id of a message that it has put into quarantine."""
    assert smtp(daemon.address, INFECTED, recipients=TWO).code == 250
    [path] = daemon.quarantined()
    return daemon, path.name.removesuffix(".msg")


def test_list_and_show(kept):
    # Given a message in quarantine
    daemon, quarantine_id = kept
    # then the list tells what it is
    [line] = lines(daemon.run("quarantine", "list").stdout)
    assert line.startswith(quarantine_id)
    assert "<alice@example.com> -> bob@example.com, carol@example.com  Eicar-Test-Signature" in line
    [entry] = json.loads(daemon.run("quarantine", "list", "--json").stdout)
    assert (entry["id"], entry["sender"]) == (quarantine_id, "alice@example.com")
    # and show gives the message byte for byte
    shown = daemon.run("quarantine", "show", quarantine_id).stdout
    assert shown.endswith(b"}\n" + INFECTED)


def test_release_delivers_once_and_unchanged(kept, downstream):
    # Given a message in quarantine, when it is released, and named twice by mistake
    daemon, quarantine_id = kept
    result = daemon.run("quarantine", "release", quarantine_id, quarantine_id)
    # then it arrives once, as it was, without being caught again, and is gone from quarantine
    assert result.returncode == 0, result
    assert f"released {quarantine_id}: 250" in result.stdout.decode()
    [message] = downstream.accepted
    assert (message.sender, message.recipients, message.content) == ("alice@example.com", list(TWO), INFECTED)
    assert daemon.quarantined() == []
    # and it cannot be released again
    result = daemon.run("quarantine", "release", quarantine_id)
    assert result.returncode == 1
    assert lines(result.stderr) == [f"filter-daemon: {quarantine_id}: not in {daemon.quarantine}"]


def test_release_when_the_daemon_does_not_run(kept, downstream):
    # Given a stopped daemon, then release works all the same
    daemon, quarantine_id = kept
    assert daemon.stop() == 0
    assert daemon.run("quarantine", "release", quarantine_id).returncode == 0
    assert len(downstream.accepted) == 1


@pytest.mark.parametrize(
    ("stage", "action"),
    [("banner", close()), ("mail", reply(450)), ("rcpt", reply(550)), ("data", close()), ("dot", reply(554))],
)
def test_release_that_fails_keeps_the_message(kept, downstream, stage, action):
    # Given a server in trouble
    daemon, quarantine_id = kept
    downstream.on(stage, action)
    result = daemon.run("quarantine", "release", quarantine_id)
    # then the message stays, and one line says why
    assert result.returncode == 1
    [line] = lines(result.stderr)
    assert line.startswith(f"{quarantine_id}: kept, ")
    assert len(daemon.quarantined()) == 1
    # and later it can be released
    downstream.clear()
    assert daemon.run("quarantine", "release", quarantine_id).returncode == 0
    assert len(downstream.accepted) == 1


@pytest.mark.parametrize("code", [450, 550])
def test_release_goes_to_all_recipients_or_to_none(kept, downstream, code):
    # Given a server that refuses one of two recipients
    daemon, quarantine_id = kept
    downstream.on("rcpt", reply(code), match="carol")
    # then nobody gets it, so that nobody gets it twice when it is released again
    for _ in range(2):
        assert daemon.run("quarantine", "release", quarantine_id).returncode == 1
    assert downstream.dots == 0
    assert len(daemon.quarantined()) == 1


def test_two_releases_at_the_same_time(kept, downstream):
    # Given two people who release the same message at the same time
    daemon, quarantine_id = kept
    downstream.on("dot", late(0.5))
    results = []
    threads = [
        threading.Thread(target=lambda: results.append(daemon.run("quarantine", "release", quarantine_id)))
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # then it is delivered once, and the other one is told
    assert sorted(result.returncode for result in results) == [0, 1]
    assert len(downstream.accepted) == 1


def test_delete(kept, downstream):
    # Given a message in quarantine, when it is deleted, then it is gone and nothing was delivered
    daemon, quarantine_id = kept
    result = daemon.run("quarantine", "delete", quarantine_id)
    assert (result.returncode, lines(result.stdout)) == (0, [f"deleted {quarantine_id}"])
    assert daemon.quarantined() == []
    assert downstream.accepted == []


@pytest.mark.parametrize("action", ["show", "release", "delete"])
def test_what_is_not_in_quarantine(kept, downstream, capfd, action):
    # Given something that is no message in quarantine
    daemon, quarantine_id = kept
    for name in ("../daemon.json", "nonsense", "", "20261122T180000Z-0000000000", "/etc/passwd"):
        # when it is named beside one that is, then one line says so
        status = main(["quarantine", action, quarantine_id, name, "--config", str(daemon.path)])
        said = capfd.readouterr()
        assert (status, said.out, len(said.err.splitlines())) == (1, "", 1)
    # and nothing has happened to the other
    assert len(daemon.quarantined()) == 1
    assert downstream.accepted == []
