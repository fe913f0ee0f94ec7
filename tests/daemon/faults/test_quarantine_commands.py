# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The quarantine's commands, called as people, cron and Ansible call them."""

from __future__ import annotations

import json
import os
import pty
import shutil
import subprocess
import time

import pytest
from harness.clamd import EICAR
from harness.client import smtp
from harness.daemon import PROGRAM
from harness.interpreter import interpreter

from filterd.cli import main

HEADER = b"Subject: =?utf-8?q?=C3=A4?=\r\nMessage-ID: <one@example.com>\r\n"
INFECTED = HEADER + b"\r\n..\r\n" + bytes(range(128, 256)) + EICAR + b"\r\n"
TWO = ("bob@example.com", "carol@example.com")


def lines(data: bytes) -> list[str]:
    return data.decode().splitlines()


@pytest.fixture
def kept(daemon):
    """The daemon, and the id of a message that it has put into quarantine."""
    assert smtp(daemon.address, INFECTED, recipients=TWO).code == 250
    [path] = daemon.quarantined()
    return daemon, path.name.removesuffix(".msg")


# list and show


def test_list_and_show(kept):
    # Given a message in quarantine
    daemon, quarantine_id = kept
    # then the list tells what it is
    [line] = lines(daemon.run("quarantine", "list").stdout)
    assert line.startswith(quarantine_id)
    assert "<alice@example.com> -> bob@example.com, carol@example.com  Eicar-Test-Signature" in line
    [entry] = json.loads(daemon.run("quarantine", "list", "--json").stdout)
    assert (entry["id"], entry["sender"], entry["size"]) == (quarantine_id, "alice@example.com", len(INFECTED))
    assert [item["state"] for item in entry["recipients"]] == ["waiting", "waiting"]
    # and show gives the message byte for byte, all of it or its header, with what is known or without
    assert daemon.run("quarantine", "show", quarantine_id).stdout.endswith(b"}\n" + INFECTED)
    assert daemon.run("quarantine", "show", "--raw", quarantine_id).stdout == INFECTED
    assert daemon.run("quarantine", "show", "--headers", quarantine_id).stdout.endswith(b"}\n" + HEADER)
    [entry] = json.loads(daemon.run("quarantine", "show", "--json", quarantine_id).stdout)
    assert entry["header"] == HEADER.decode().rstrip()
    assert entry["findings"][0]["name"] == "Eicar-Test-Signature"


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        (["--recipient", "CAROL@example.com"], 1),
        (["--recipient", "*@example.com", "--sender", "alice@*"], 1),
        (["--recipient", "dave@example.com"], 0),
        (["--sender", ""], 0),
        (["--category", "virus", "--since", "1h"], 1),
        (["--category", "spam"], 0),
        (["--since", "2099-01-01"], 0),
        (["--since", "2020-01-01T00:00"], 1),
        (["--message-id", "<one@example.com>"], 1),
        (["--message-id", "one@example.com", "--category", "virus"], 1),
        (["--message-id", "<ONE@example.com>"], 0),
    ],
)
def test_list_shows_what_is_asked_for(kept, capfd, arguments, found):
    # Given a message in quarantine, when a list is narrowed down, then it is there only when it fits
    daemon, _ = kept
    assert main(["quarantine", "list", *arguments, "--config", str(daemon.path)]) == 0
    assert len(capfd.readouterr().out.splitlines()) == found


@pytest.mark.parametrize(
    "arguments",
    [
        ["list", "--since", "yesterday"],
        ["list", "--category", "vires"],
        ["show"],
        ["show", "--raw", "--headers", "x"],
        ["expire", "--older-than", "-1"],
        ["expire", "--older-than", "1d"],
    ],
)
def test_a_wrong_option_is_named(capfd, arguments):
    # Given a wrong option, then the exit status is 2, and the last line names it
    with pytest.raises(SystemExit) as caught:
        main(["quarantine", *arguments])
    assert caught.value.code == 2
    assert "error: " in capfd.readouterr().err.splitlines()[-1]


def test_a_terminal_gets_no_commands_from_a_message(daemon):
    # Given a quarantined message full of control sequences
    evil = b"Subject: \x1b]0;owned\x07\r\n\r\n\x1b[2J\x9b31m\x00\r\n" + EICAR + b"\r\n"
    assert smtp(daemon.address, evil).code == 250
    [path] = daemon.quarantined()
    # when it is shown on a terminal
    ours, theirs = pty.openpty()
    command = [
        interpreter(),
        str(PROGRAM),
        "quarantine",
        "show",
        path.name.removesuffix(".msg"),
        "--config",
        str(daemon.path),
    ]
    with subprocess.Popen(command, stdout=theirs, stdin=subprocess.DEVNULL) as process:
        os.close(theirs)
        seen = b""
        while True:
            try:
                piece = os.read(ours, 65536)
            except OSError:
                break
            if not piece:
                break
            seen += piece
        assert process.wait(20) == 0
    os.close(ours)
    # then it sees text only
    assert b"Subject: ?]0;owned?" in seen
    assert set(seen) <= set(b"\r\n\t" + bytes(range(0x20, 0x7F)))


# delete


def test_delete(kept, downstream):
    # Given a message in quarantine, when it is deleted, then it is gone and nothing was delivered
    daemon, quarantine_id = kept
    result = daemon.run("quarantine", "delete", "--dry-run", quarantine_id)
    assert (result.returncode, lines(result.stdout)) == (0, [f"would delete {quarantine_id}"])
    assert len(daemon.quarantined()) == 1
    result = daemon.run("quarantine", "delete", quarantine_id)
    assert (result.returncode, lines(result.stdout)) == (0, [f"deleted {quarantine_id}"])
    assert list(daemon.quarantine.iterdir()) == []
    assert downstream.accepted == []


def test_delete_for_machines(kept):
    # Given a message in quarantine, then what was done to it can be read by a program
    daemon, quarantine_id = kept
    done = json.loads(daemon.run("quarantine", "delete", "--json", quarantine_id).stdout)
    assert done == [{"id": quarantine_id, "deleted": True}]


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


# expire


def aged(daemon, quarantine_id: str, days: int) -> str:
    """A copy of a quarantined message that is so old."""
    then = time.time() - days * 86400
    name = time.strftime("%Y%m%dT%H%M%SZ-", time.gmtime(then)) + "0123456789"
    shutil.copy(daemon.quarantine / f"{quarantine_id}.msg", daemon.quarantine / f"{name}.msg")
    return name


def test_expire_removes_what_is_too_old(kept):
    # Given messages of 31 and 29 days and one of now
    daemon, quarantine_id = kept
    old, young = aged(daemon, quarantine_id, 31), aged(daemon, quarantine_id, 29)
    # when it is only asked what would go
    result = daemon.run("quarantine", "expire", "--dry-run")
    assert lines(result.stdout)[0].startswith(f"would remove {old}  ")
    assert len(daemon.quarantined()) == 3
    # and then done, then the oldest is gone, and the others are not
    result = daemon.run("quarantine", "expire")
    assert (result.returncode, result.stderr) == (0, b"")
    [line] = lines(result.stdout)
    assert line.startswith(f"removed {old}  ")
    assert line.endswith("(age)")
    assert [path.name for path in daemon.quarantined()] == [f"{young}.msg", f"{quarantine_id}.msg"]
    # and another age can be given
    done = json.loads(daemon.run("quarantine", "expire", "--older-than", "3600", "--json").stdout)
    assert [item["id"] for item in done["removed"]] == [young]
    assert (done["kept"], done["kept_bytes"]) == (1, daemon.quarantined()[0].stat().st_size)
    # and quietly nothing is said of it
    assert daemon.run("quarantine", "expire", "--older-than", "0", "--quiet").stdout == b""
    assert daemon.quarantined() == []


def test_expire_says_what_it_cannot_read(kept):
    # Given an old file with a name like ours that nobody can read
    daemon, _ = kept
    broken = daemon.quarantine / "20200101T000000Z-0123456789.msg"
    broken.write_bytes(b"broken")
    result = daemon.run("quarantine", "expire", "--quiet")
    # then it stays, and one line says so
    assert result.returncode == 1
    [line] = lines(result.stderr)
    assert "is not a quarantined message of format 1" in line
    assert broken.exists()
