# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter differing_tree compares a directory on the controller with its copy on a host."""

from __future__ import annotations

import grp
import os
import pwd
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.mailops.filter_stack.plugins.filter.differing_tree import FilterModule
from ansible_collections.mailops.filter_stack.plugins.module_utils import _file_tree

differing_tree = FilterModule().filters()["differing_tree"]
ME = {"owner": pwd.getpwuid(os.getuid()).pw_name, "group": grp.getgrgid(os.getgid()).gr_name}


@pytest.fixture
def places(tmp_path: Path) -> tuple[Path, Path]:
    """A directory, and a copy of it with the modes that are asked for."""
    here, there = tmp_path / "here", tmp_path / "there"
    (here / "package" / "deep").mkdir(parents=True)
    for name in ("program.py", "package/__init__.py", "package/deep/x.py"):
        (here / name).write_text(f"# {name}\n")
    shutil.copytree(here, there)
    for path in there.rglob("*"):
        path.chmod(0o755 if path.is_dir() or path.name == "program.py" else 0o644)
    return here, there


def compare(here: Path, there: Path) -> dict[str, list[str]]:
    told: dict[str, list[str]] = differing_tree(
        list(_file_tree.tree(str(there))),
        list(_file_tree.tree(str(here))),
        modes={"program.py": "0755"},
        ignore=["__pycache__"],
        **ME,
    )
    return told


def test_a_copy_differs_in_nothing(places: tuple[Path, Path]) -> None:
    here, there = places
    # what the controller has besides files, and what Python made on the host, does not count
    (here / "empty").mkdir()
    (there / "package" / "__pycache__").mkdir()
    (there / "package" / "__pycache__" / "x.pyc").touch()
    assert compare(here, there) == {"missing": [], "left_over": []}


def test_nothing_there_is_all_missing(places: tuple[Path, Path], tmp_path: Path) -> None:
    paths = ["package", "package/__init__.py", "package/deep", "package/deep/x.py", "program.py"]
    assert compare(places[0], tmp_path / "nowhere") == {"missing": paths, "left_over": []}


@pytest.mark.parametrize(
    ("change", "missing", "left_over"),
    [
        (lambda top: (top / "program.py").write_text("else\n"), ["program.py"], []),
        (lambda top: (top / "program.py").chmod(0o644), ["program.py"], []),
        (lambda top: (top / "package" / "deep").chmod(0o700), ["package/deep"], []),
        (lambda top: (top / "package" / "__init__.py").unlink(), ["package/__init__.py"], []),
        (lambda top: (top / "package" / "old.py").touch(), [], ["package/old.py"]),
        (
            lambda top: shutil.copytree(top / "package", top / "old"),
            [],
            ["old/deep/x.py", "old/deep", "old/__init__.py", "old"],
        ),
        (
            lambda top: ((top / "program.py").rename(top / "was.py"), (top / "program.py").symlink_to("was.py")),
            ["program.py"],
            ["was.py"],
        ),
    ],
)
def test_what_differs_is_named(
    places: tuple[Path, Path], change: Callable[[Path], object], missing: list[str], left_over: list[str]
) -> None:
    here, there = places
    change(there)
    assert compare(here, there) == {"missing": missing, "left_over": left_over}


@pytest.mark.parametrize("whose", ["owner", "group"])
def test_it_belongs_to_whom_it_shall(places: tuple[Path, Path], whose: str) -> None:
    here, there = places
    told = differing_tree(
        list(_file_tree.tree(str(there))),
        list(_file_tree.tree(str(here))),
        modes={"program.py": "0755"},
        **{**ME, whose: "somebody-else"},
    )
    assert len(told["missing"]) == 5


def test_a_tree_without_checksums_is_an_error(places: tuple[Path, Path]) -> None:
    told = list(_file_tree.tree(str(places[0]), checksum=False))
    with pytest.raises(AnsibleFilterError, match="told without its checksums"):
        differing_tree(told, told)
