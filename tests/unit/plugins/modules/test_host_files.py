# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module host_files as Ansible runs it, on real directories and files."""

from __future__ import annotations

import grp
import json
import os
import pwd
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ...conftest import RunModule

Files = Callable[..., dict[str, Any]]
ME = {"owner": pwd.getpwuid(os.getuid()).pw_name, "group": grp.getgrgid(os.getgid()).gr_name}


@pytest.fixture
def files(run_module: RunModule) -> Files:
    def run(**options: Any) -> dict[str, Any]:
        return run_module("host_files", **options)

    return run


def mode(path: Path) -> str:
    return f"{path.stat().st_mode & 0o7777:04o}"


def wanted(tmp_path: Path) -> dict[str, Any]:
    return {
        "directories": [
            {"path": str(tmp_path / "etc"), **ME, "mode": "0750"},
            {"path": str(tmp_path / "etc/below"), **ME, "mode": "2770"},
            {"path": str(tmp_path / "somebody's")},
        ],
        "files": [
            {"path": str(tmp_path / "etc/text"), "content": "one\ntwö\n", **ME, "mode": "0640"},
            {
                "path": str(tmp_path / "etc/below/data"),
                "data": {"b": [1, 2.5, True], "a": "ü"},
                **ME,
                "mode": "0600",
            },
        ],
    }


def everything(tmp_path: Path) -> list[str]:
    return [one["path"] for kind in ("directories", "files") for one in wanted(tmp_path)[kind]]


def test_a_check_run_foretells_the_run_and_the_second_run_changes_nothing(files: Files, tmp_path: Path) -> None:
    foreseen = files(**wanted(tmp_path), check=True)
    assert not (tmp_path / "etc").exists()
    done = files(**wanted(tmp_path))
    assert (foreseen["changed"], foreseen["paths"], foreseen["diff"]) == (True, done["paths"], done["diff"])
    assert done["paths"] == everything(tmp_path)
    assert (tmp_path / "etc/text").read_bytes() == "one\ntwö\n".encode()
    assert json.loads((tmp_path / "etc/below/data").read_text()) == {"a": "ü", "b": [1, 2.5, True]}
    assert [mode(Path(path)) for path in everything(tmp_path)] == ["0750", "2770", "0755", "0640", "0600"]

    again = files(**wanted(tmp_path))
    assert (again["changed"], again["paths"], again["diff"]) == (False, [], [])


def test_only_what_differs_is_written(files: Files, tmp_path: Path) -> None:
    files(**wanted(tmp_path))
    text, data = tmp_path / "etc/text", tmp_path / "etc/below/data"
    inode = data.stat().st_ino
    text.write_text("another\n")
    text.chmod(0o640)
    done = files(**wanted(tmp_path))
    assert done["paths"] == [str(text)]
    assert done["diff"] == [
        {"before_header": str(text), "after_header": str(text), "before": "another\n", "after": "one\ntwö\n"}
    ]
    assert data.stat().st_ino == inode


@pytest.mark.parametrize("check", [True, False])
def test_owner_and_mode_are_put_right(files: Files, tmp_path: Path, check: bool) -> None:
    files(**wanted(tmp_path))
    (tmp_path / "etc").chmod(0o777)
    (tmp_path / "etc/text").chmod(0o666)
    done = files(**wanted(tmp_path), check=check)
    assert done["paths"] == [str(tmp_path / "etc"), str(tmp_path / "etc/text")]
    assert (mode(tmp_path / "etc"), mode(tmp_path / "etc/text")) == (("0777", "0666") if check else ("0750", "0640"))


def test_what_is_somebody_elses_is_left_as_it_is(files: Files, tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    theirs.mkdir(mode=0o711)
    assert not files(directories=[{"path": str(theirs)}])["changed"]
    assert mode(theirs) == "0711"


def test_a_record_is_written_once(files: Files, tmp_path: Path) -> None:
    record = {"path": str(tmp_path / "record"), **ME, "mode": "0600", "replace": False}
    assert files(files=[{**record, "content": "first\n"}])["changed"]
    assert not files(files=[{**record, "content": "second\n"}])["changed"]
    assert (tmp_path / "record").read_text() == "first\n"


def test_a_secret_is_not_shown(files: Files, tmp_path: Path) -> None:
    secret = {"path": str(tmp_path / "secret"), "content": "hunter2\n", **ME, "mode": "0600", "show": False}
    done = files(files=[secret])
    assert "hunter2" not in str(done["diff"])


def test_what_is_refused_stays_as_it_was_and_so_does_all_that_follows(files: Files, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    first.write_text("right\n")
    asked = [
        {
            "path": str(first),
            "content": "wrong\n",
            **ME,
            "mode": "0644",
            "validate": "grep right %s /nowhere",
        },
        {"path": str(second), "content": "more\n", **ME, "mode": "0644"},
    ]
    # It is not asked in a check run: its program may not be there yet.
    assert not files(files=asked, check=True).get("failed")
    done = files(files=asked, fails=True)
    assert done["msg"] == (
        f"{first} is left as it was, because its new content failed to validate: "
        "grep: /nowhere: No such file or directory"
    )
    assert first.read_text() == "right\n"
    assert not second.exists()
    asked[0]["content"] = "right again\n"
    asked[0]["validate"] = "grep right %s"
    assert files(files=asked)["paths"] == [str(first), str(second)]


def test_a_link_is_replaced_and_what_it_points_to_stays(files: Files, tmp_path: Path) -> None:
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_text("same\n")
    link.symlink_to(target)
    assert files(files=[{"path": str(link), "content": "same\n", **ME, "mode": "0600"}])["changed"]
    assert not link.is_symlink()
    assert mode(link) == "0600"
    assert mode(target) == "0644"


def test_a_link_to_a_directory_is_followed(files: Files, tmp_path: Path) -> None:
    (tmp_path / "target").mkdir(mode=0o700)
    (tmp_path / "link").symlink_to(tmp_path / "target")
    assert files(directories=[{"path": str(tmp_path / "link"), "mode": "0750"}])["changed"]
    assert mode(tmp_path / "target") == "0750"


def test_who_is_made_later_is_a_change_in_a_check_run_and_an_error_in_a_run(files: Files, tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    asked = [{"path": str(tmp_path / "home"), "owner": "nobody-has-this-name", "group": "nor-this"}]
    assert files(directories=asked, check=True)["changed"]
    done = files(directories=asked, fails=True)
    assert "nobody-has-this-name" in done["msg"]


@pytest.mark.parametrize(
    ("kind", "one", "words"),
    [
        ("directories", {"path": "file/below"}, "could not be made: Not a directory"),
        ("directories", {"path": "file"}, "is there and is no directory: it takes one, or nothing"),
        ("directories", {"path": "new", "mode": "u=rwx"}, "has mode 'u=rwx': it takes an octal number in quotes"),
        ("files", {"path": "directory", "content": "", **ME, "mode": "0644"}, "is a directory: it takes a file"),
    ],
)
def test_what_cannot_be_done_is_named(files: Files, tmp_path: Path, kind: str, one: dict[str, Any], words: str) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "directory").mkdir()
    done = files(**{kind: [{**one, "path": str(tmp_path / one["path"])}]}, fails=True)
    assert done["msg"].startswith(f"{tmp_path / one['path']} {words}")


def test_content_and_data_exclude_each_other(files: Files, tmp_path: Path) -> None:
    one = {"path": str(tmp_path / "file"), **ME, "mode": "0644"}
    assert "content|data" in files(files=[{**one, "content": "", "data": {}}], fails=True)["msg"]
    assert "content, data" in files(files=[one], fails=True)["msg"]
