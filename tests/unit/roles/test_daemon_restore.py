# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What role filter_daemon keeps of a deployed daemon, and puts back when a change does not work: its shell programs."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

TASKS = Path(__file__).parents[3] / "roles/filter_daemon/tasks"


def shell_of(name: str) -> str:
    """The one shell program of this file of tasks."""

    def programs(tasks: list[dict[str, Any]]) -> list[str]:
        found = [task["ansible.builtin.shell"]["cmd"] for task in tasks if "ansible.builtin.shell" in task]
        return found + [one for task in tasks if "block" in task for one in programs(task["block"])]

    (program,) = programs(yaml.safe_load((TASKS / f"{name}.yml").read_text(encoding="utf-8")))
    return program


class Deployment:
    """Code, a command, a configuration and two units below a directory; paths as the role has them, absolute."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.paths = [
            root / one for one in ("lib/filter", "sbin/filter", "etc/filter/daemon.json", "units/a", "units/b")
        ]
        for path in self.paths:
            (path.parent.parent if path.name == "daemon.json" else path.parent).mkdir(exist_ok=True)

    def write(self, *names: str, text: str) -> None:
        for name in names:
            (self.root / name).parent.mkdir(exist_ok=True, parents=True)
            (self.root / name).write_text(text)

    def run(self, name: str) -> int:
        environment = {
            **os.environ,
            "SNAPSHOT": str(self.root / "lib/filter.before"),
            "DEPLOYED": " ".join(map(str, self.paths)),
            "CONFIG": str(self.paths[2]),
        }
        return subprocess.run(["/bin/sh", "-c", shell_of(name)], env=environment, check=False).returncode

    def state(self) -> dict[str, tuple[int, int, str]]:
        return {
            str(path.relative_to(self.root)): (
                path.lstat().st_mode,
                int(path.lstat().st_mtime_ns) if path.is_file() else 0,
                path.read_text() if path.is_file() else "",
            )
            for path in self.root.rglob("*")
        }


@pytest.fixture
def deployment(tmp_path: Path) -> Deployment:
    return Deployment(tmp_path)


def change(deployment: Deployment) -> None:
    deployment.write("lib/filter/new.py", "sbin/filter", "etc/filter/daemon.json", "units/a", "units/b", text="new")


def test_what_was_deployed_comes_back_as_it_was(deployment: Deployment) -> None:
    # Given a daemon of which one unit is missing
    deployment.write(
        "lib/filter/a.py", "lib/filter/sub/b.py", "sbin/filter", "etc/filter/daemon.json", "units/a", text="old"
    )
    (deployment.root / "etc/filter/daemon.json").chmod(0o640)
    before = deployment.state()
    assert deployment.run("keep") == 0
    # when a change is made, and a run that was cut off is followed by another one
    change(deployment)
    (deployment.root / "lib/filter/sub/b.py").unlink()
    assert deployment.run("keep") == 0
    # then all is as it was before the first, with times, by which the role sees that nothing has to be started anew
    assert deployment.run("restore") == 0
    assert deployment.state() == before


def test_a_first_installation_is_taken_away_again(deployment: Deployment) -> None:
    before = deployment.state()
    assert deployment.run("keep") == 0
    change(deployment)
    assert deployment.run("restore") == 0
    assert deployment.state() == before


def test_without_a_copy_nothing_is_taken_away(deployment: Deployment) -> None:
    change(deployment)
    before = deployment.state()
    assert deployment.run("restore") != 0
    assert deployment.state() == before
