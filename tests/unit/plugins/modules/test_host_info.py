# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module host_info as Ansible runs it, on real files and programs. systemctl says what a real one said."""

from __future__ import annotations

import base64
import grp
import hashlib
import os
import pwd
from pathlib import Path

import pytest
from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mailops.filter_stack.plugins.modules import host_info

from ...conftest import RunModule

OWNER = pwd.getpwuid(os.getuid()).pw_name
GROUP = grp.getgrgid(os.getgid()).gr_name


def grown(tmp_path: Path) -> Path:
    """A directory with a file, a link to it, a directory, and in it a file that has another name."""
    top = tmp_path / "top"
    (top / "below").mkdir(parents=True)
    (top / "one.py").write_bytes(b"\xff\x00one\n")
    (top / "one.py").chmod(0o640)
    (top / "below/two.txt").write_text("two\n")
    (top / "link").symlink_to("one.py")
    return top


def test_paths(run_module: RunModule, tmp_path: Path) -> None:
    top = grown(tmp_path)
    names = ["one.py", "below", "link", "nothing", "one.py/below a file"]
    result = run_module("host_info", paths=[str(top / name) for name in names])
    told = {name: result["paths"][str(top / name)] for name in names}
    one = told["one.py"]
    assert (one["kind"], one["owner"], one["group"], one["mode"], one["size"]) == ("file", OWNER, GROUP, "0640", 6)
    assert one["mtime"] == (top / "one.py").stat().st_mtime
    assert (told["below"]["kind"], told["link"]["kind"]) == ("directory", "link")
    assert told["nothing"] == told["one.py/below a file"] == {}
    assert result["changed"] is False


def test_contents_of_any_bytes(run_module: RunModule, tmp_path: Path) -> None:
    top = grown(tmp_path)
    read = [str(top / "one.py"), str(top / "link"), str(top / "nothing"), str(top / "one.py" / "below a file")]
    contents = run_module("host_info", check=True, read=read)["contents"]
    assert contents == dict.fromkeys(read[:2], base64.b64encode(b"\xff\x00one\n").decode())


def test_trees(run_module: RunModule, tmp_path: Path) -> None:
    top = grown(tmp_path)
    trees = [
        {"path": str(top)},
        {"path": str(top / "below"), "checksum": False},
        {"path": str(top / "link")},
        {"path": str(top / "nothing")},
    ]
    told = run_module("host_info", trees=trees)["trees"]
    everything = told[str(top)]
    assert [(one["path"], one["kind"]) for one in everything] == [
        ("below", "directory"),
        ("link", "link"),
        ("one.py", "file"),
        ("below/two.txt", "file"),
    ]
    sums = {one["path"]: one["checksum"] for one in everything if "checksum" in one}
    assert sums == {
        "one.py": hashlib.sha256(b"\xff\x00one\n").hexdigest(),
        "below/two.txt": hashlib.sha256(b"two\n").hexdigest(),
    }
    assert [(one["path"], "checksum" in one) for one in told[str(top / "below")]] == [("two.txt", False)]
    assert [(one["path"], one["checksum"]) for one in told[str(top / "link")]] == [(".", sums["one.py"])]
    assert told[str(top / "nothing")] == []
    python = run_module("host_info", trees=[{"path": str(top), "patterns": ["*.py", "nothing*"]}])["trees"][str(top)]
    assert [one["path"] for one in python] == ["one.py"]


def test_commands(run_module: RunModule) -> None:
    commands = {"said": ["sh", "-c", "echo $0; echo why >&2; exit 3", "$HOME"], "none": ["/usr/sbin/nothing", 1]}
    answers = run_module("host_info", check=True, commands=commands)["commands"]
    assert answers["said"] == {"rc": 3, "stdout": "$HOME", "stderr": "why"}
    assert (answers["none"]["rc"], answers["none"]["stdout"]) == (127, "")


@pytest.mark.parametrize("argv", ["ls -l", [], [["ls"]], None])
def test_a_command_that_is_none(run_module: RunModule, argv: object) -> None:
    message = run_module("host_info", fails=True, commands={"listing": argv})["msg"]
    assert "as listing: it takes a list of a program and its arguments" in message


SHOWN = """\
Listen=127.0.0.1:10024 (Stream)
Listen=127.0.0.1:10026 (Stream)
LoadState=loaded
ActiveState=active
UnitFileState=enabled

MainPID=42
StatusText=ready; a=b
LoadState=loaded
ActiveState=failed
UnitFileState=disabled
DropInPaths=
"""


def test_units(run_module: RunModule, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the order in which they were asked for, as systemctl gives no names; all of what it says twice."""
    program = tmp_path / "systemctl"
    program.write_text(f"#!/bin/sh\ncat <<'END'\n{SHOWN}END\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(host_info, "BOOTED", str(tmp_path))
    units = run_module("host_info", units=["a.socket", "b.service"])["units"]
    assert units["a.socket"]["Listen"] == "127.0.0.1:10024 (Stream); 127.0.0.1:10026 (Stream)"
    assert (units["a.socket"]["MainPID"], units["a.socket"]["StatusText"]) == ("", "")
    assert (units["b.service"]["StatusText"], units["b.service"]["ActiveState"]) == ("ready; a=b", "failed")
    program.write_text("#!/bin/sh\necho 'System has not been booted with systemd' >&2\nexit 1\n")
    message = run_module("host_info", units=["a.socket", "b.service"], fails=True)["msg"]
    assert "a.socket b.service: System has not been booted with systemd" in message
    monkeypatch.setattr(host_info, "BOOTED", str(tmp_path / "nothing"))
    assert run_module("host_info", units=["a.socket"])["units"]["a.socket"]["ActiveState"] == ""


def test_what_cannot_be_read_is_named(run_module: RunModule, tmp_path: Path) -> None:
    message = run_module("host_info", read=[str(tmp_path)], fails=True)["msg"]
    assert message == f"{tmp_path} cannot be read: Is a directory"


class Unasked(AnsibleModule):  # type: ignore[misc]
    """A module that must not run anything."""

    def __init__(self) -> None:
        pass

    def run_command(self, *words: object, **options: object) -> None:
        raise AssertionError(f"asked {words}")


def test_a_host_without_systemd_has_no_units(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(host_info, "BOOTED", str(tmp_path / "nothing"))
    told = host_info.look_at_units(Unasked(), ["postfix.service"])
    assert told == {"postfix.service": dict.fromkeys(host_info.PROPERTIES, "")}
