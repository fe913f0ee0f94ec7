# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the unit tests share: hypothesis settings, a real postconf, and a way to run a module as Ansible does."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from . import module_runner

HERE = Path(__file__).parent
DATA = HERE / "data"

# The same examples in every run, so that a red test is red again; no time limit for one, because machines are busy.
settings.register_profile("unit", max_examples=60, deadline=None, derandomize=True, database=None)
# For an hour when the machine has nothing else to do: HYPOTHESIS_PROFILE=thorough pytest tests/unit
settings.register_profile("thorough", max_examples=3000, deadline=None, database=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "unit"))


@pytest.fixture(scope="session")
def postfix() -> Path:
    """The directory with the files of a real Postfix, which is installed if it is missing, but never started."""
    shared = Path("/usr/share/postfix")
    with open("/tmp/filter-stack-unit-tests.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if shutil.which("postconf", path=f"{os.environ['PATH']}:/usr/sbin") is None:
            as_root = [] if os.geteuid() == 0 else ["sudo", "-n"]
            # Without a main.cf of its own ("No configuration") the package's service does not start.
            subprocess.run(
                [*as_root, "debconf-set-selections"],
                input="postfix postfix/main_mailer_type select No configuration\n",
                text=True,
                check=True,
            )
            install = ["apt-get", "install", "--yes", "--quiet", "--no-install-recommends", "postfix"]
            environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
            for command in (["apt-get", "update", "--quiet"], install):
                subprocess.run([*as_root, *command], check=True, env=environment, stdout=subprocess.DEVNULL)
    os.environ["PATH"] += ":/usr/sbin"
    assert shutil.which("postconf"), "postfix was installed, but there is no postconf"
    return shared


@pytest.fixture
def etc_postfix(postfix: Path, tmp_path: Path) -> Path:
    """A configuration directory like that of a freshly installed Debian host."""
    directory = tmp_path / "postfix"
    directory.mkdir()
    shutil.copyfile(postfix / "master.cf.dist", directory / "master.cf")
    shutil.copyfile(postfix / "main.cf.debian", directory / "main.cf")
    # Postfix waits until a new main.cf is two seconds old.
    os.utime(directory / "main.cf", (0, 0))
    return directory


@pytest.fixture
def postconf(etc_postfix: Path) -> Callable[..., str]:
    """Asks the real postconf about that directory; what it warns about fails the test."""

    def ask(*arguments: str) -> str:
        # Postfix waits until a new main.cf is two seconds old.
        os.utime(etc_postfix / "main.cf", (0, 0))
        done = subprocess.run(
            ["postconf", "-c", str(etc_postfix), *arguments], capture_output=True, text=True, check=True
        )
        assert done.stderr == ""
        return done.stdout.strip()

    return ask


RunModule = Callable[..., dict[str, Any]]


@pytest.fixture
def run_module(tmp_path: Path) -> RunModule:
    """Runs a module in a process of its own: run_module(name, check=..., fails=..., **options)."""
    temporary = tmp_path / "ansible"
    temporary.mkdir()

    def run(name: str, check: bool = False, fails: bool | None = False, **options: Any) -> dict[str, Any]:
        arguments = {
            **options,
            "_ansible_check_mode": check,
            "_ansible_diff": True,
            "_ansible_tmpdir": str(temporary),
            "_ansible_remote_tmp": str(temporary),
        }
        words = module_runner.run_in_child(name, arguments)
        assert words.strip().startswith("{"), words
        result: dict[str, Any] = json.loads(words)
        assert fails is None or bool(result.get("failed")) is fails, result.get("msg", result)
        assert os.listdir(temporary) == [], "temporary files are left over"
        return result

    return run
