# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The program that removes amavisd-new's stale scratch directories, with real processes that use some."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

PROGRAM = Path(__file__).parents[3] / "roles/filter_amavis/files/amavis_clean.py"


@pytest.fixture
def clean() -> ModuleType:
    specification = importlib.util.spec_from_file_location("amavis_clean", PROGRAM)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


#: Like amavisd-new's: no root, who in a container may not look at all of his own processes. Nor somebody who has other
#: processes (nobody has, on a busy machine): one that has just changed its user cannot be looked at.
USER = 61999 if os.geteuid() == 0 else os.geteuid()


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """A directory that this user can reach, which pytest's own is not."""
    directory = Path(tempfile.mkdtemp(prefix="amavis-clean-"))
    os.chown(directory, USER, -1)
    yield directory
    shutil.rmtree(directory)


def scratch(tmp_path: Path, name: str, age: float) -> Path:
    """A directory like amavisd-new's, nothing in which has changed for `age` seconds."""
    directory = tmp_path / name
    (directory / "parts").mkdir(parents=True)
    (directory / "email.txt").write_text("mail")
    then = time.time() - age
    for path in (directory / "email.txt", directory / "parts", directory):
        os.chown(path, USER, -1)
        os.utime(path, (then, then))
    return directory


def run(tmp_path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    # the user can read neither the checkout nor the virtual environment, perhaps
    with PROGRAM.open("rb") as program:
        command = ["/usr/bin/python3", "-I", "-", "--directory", str(tmp_path), *arguments]
        return subprocess.run(command, stdin=program, capture_output=True, text=True, check=False, user=USER, cwd="/")


def test_old_ones_go_and_young_ones_and_others_stay(tmp_path: Path) -> None:
    old = scratch(tmp_path, "amavis-20261101T000000-00001-aaaaaaaa", 7200)
    young = scratch(tmp_path, "amavis-20261122T000000-00002-bbbbbbbb", 10)
    stranger = scratch(tmp_path, "something-else", 7200)
    done = run(tmp_path, "--older-than", "3600")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"removed {old}\n", "")
    assert not old.exists()
    assert young.exists()
    assert stranger.exists()


def test_a_directory_is_as_young_as_the_youngest_thing_in_it(tmp_path: Path) -> None:
    directory = scratch(tmp_path, "amavis-1", 7200)
    (directory / "parts/p001").write_text("new")
    os.utime(directory / "parts", (0, 0))
    assert run(tmp_path, "--older-than", "3600").stdout == ""
    assert directory.exists()


@pytest.mark.parametrize("way", ["open file", "working directory", "working directory of its parts"])
def test_one_in_use_stays_however_old_it_is(tmp_path: Path, way: str) -> None:
    # Given an old directory that a process uses, as amavisd-new's idle children do
    directory = scratch(tmp_path, "amavis-1", 7200)
    cwd = {"working directory": directory, "working directory of its parts": directory / "parts"}.get(way, "/")
    with open(directory / "email.txt" if way == "open file" else os.devnull) as held:
        process = subprocess.Popen(["sleep", "60"], stdin=held, cwd=cwd, user=USER)
    try:
        assert run(tmp_path, "--older-than", "3600").stdout == ""
        assert directory.exists()
    finally:
        process.kill()
        process.wait()
    # when the process is gone, so is the directory
    assert "removed" in run(tmp_path, "--older-than", "3600").stdout
    assert not directory.exists()


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    elsewhere = scratch(tmp_path, "elsewhere", 7200)
    (tmp_path / "amavis-1").symlink_to(elsewhere)
    assert run(tmp_path, "--older-than", "3600").stdout == ""
    assert (elsewhere / "email.txt").exists()


def test_nothing_goes_when_a_process_cannot_be_looked_at(
    clean: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch(tmp_path, "amavis-1", 7200)

    def forbidden(path: str) -> str:
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(clean.os, "readlink", forbidden)
    with pytest.raises(clean.CannotTell, match="could not be looked at"):
        clean.stale(str(tmp_path), 3600, time.time())


def test_no_directory_is_said_and_is_no_success(tmp_path: Path) -> None:
    done = run(tmp_path / "none")
    assert done.returncode == 1
    assert done.stderr.startswith("nothing removed: ")
