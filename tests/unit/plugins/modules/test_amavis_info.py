# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module amavis_info as Ansible runs it, with programs that say what amavisd-new said."""

from __future__ import annotations

import getpass
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ...conftest import DATA, RunModule

LOG = DATA / "amavis/debian12.txt"
Program = Callable[[str], str]


@pytest.fixture
def program(tmp_path: Path) -> Program:
    """Makes an executable shell script of these lines; it writes its arguments to the file `arguments`."""

    def make(lines: str) -> str:
        path = tmp_path / "amavisd"
        path.write_text(f"#!/bin/sh\nprintf '%s\\n' \"$@\" >{tmp_path}/arguments\n{lines}\n")
        path.chmod(0o755)
        return str(path)

    return make


def state_of(process: str) -> str:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return "gone"


@pytest.mark.parametrize("check", [True, False])
def test_it_ends_it_when_it_is_ready(run_module: RunModule, program: Program, tmp_path: Path, check: bool) -> None:
    # Given an amavisd-new that is ready and then goes on for ever, and a child of its own
    script = program(f"sleep 1000 &\necho $! >{tmp_path}/child\ngrep -v '^#' {LOG} >&2\nwait")
    started = time.monotonic()
    result = run_module("amavis_info", check=check, program=script, user=getpass.getuser(), config_files=["/a", "/b"])
    # then the report comes at once
    assert time.monotonic() - started < 30
    assert not result["changed"]
    assert result["version"] == "2.13.0"
    assert [scanner["name"] for scanner in result["scanners"]["found"]] == ["ClamAV-clamd"]
    # nothing of it is left, unless init has not come to its child yet
    assert state_of((tmp_path / "child").read_text().strip()) in ("gone", "Z")
    # and it was told to be by itself: no port, and files of its own, which are gone
    arguments = (tmp_path / "arguments").read_text().splitlines()
    assert arguments[:4] == ["-c", "/a", "-c", "/b"]
    options = dict(zip(arguments[4:-1:2], arguments[5:-1:2], strict=True))
    assert arguments[-1] == "debug"
    assert options["-D"] == ""
    assert options["-p"].startswith(options["-T"] + "/")
    assert options["-P"].startswith(options["-T"] + "/")
    assert options["-L"].startswith(options["-T"] + "/")
    assert not os.path.exists(options["-T"])


@pytest.mark.parametrize(
    ("script", "words"),
    [
        (
            "echo 'No listen sockets or ports specified' >&2; exit 1",
            "ended before it was ready; it said last: No listen",
        ),
        ("exit 1", "ended before it was ready; it said last: nothing"),
        ("echo on my way; sleep 1000", "was not ready within 1 seconds; it said last: on my way"),
    ],
)
def test_one_that_does_not_start_is_quoted(run_module: RunModule, program: Program, script: str, words: str) -> None:
    result = run_module("amavis_info", fails=True, program=program(script), user=getpass.getuser(), timeout=1)
    assert words in result["msg"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"program": "/nowhere/amavisd"}, "program: /nowhere/amavisd is not there"),
        ({"program": "/bin/true", "user": "nobody-of-that-name"}, "user: there is no user nobody-of-that-name"),
        ({"program": "/bin/true", "timeout": 0}, "timeout: 0 is wrong, it takes a number of seconds, 1 or more"),
    ],
)
def test_wrong_input_is_one_line(run_module: RunModule, options: dict[str, object], words: str) -> None:
    assert words in run_module("amavis_info", fails=True, **options)["msg"]
