# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lookup file_tree tells of the controller what host_info tells of a host."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from ansible.errors import AnsibleLookupError
from ansible_collections.mailops.filter_stack.plugins.lookup.file_tree import told

from ...conftest import RunModule


def test_the_same_as_on_a_host(run_module: RunModule, tmp_path: Path) -> None:
    (tmp_path / "top/below").mkdir(parents=True)
    (tmp_path / "top/one.py").write_text("one\n")
    (tmp_path / "top/below/two.py").write_text("two\n")
    (tmp_path / "top/below/three").write_text("three\n")
    for place in ("top", "top/one.py"):
        path = str(tmp_path / place)
        there = run_module("host_info", trees=[{"path": path, "patterns": ["*.py"]}])["trees"][path]
        assert told([path], ["*.py"]) == there
        assert len(there) == (2 if place == "top" else 1)


def test_several_and_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "one").touch()
    assert [one["path"] for one in told(["~/one", str(tmp_path), str(tmp_path / "nothing")], [])] == [".", "one"]


def test_what_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_arguments: object, **_options: object) -> None:
        raise PermissionError(13, "Permission denied", str(tmp_path / "one"))

    (tmp_path / "one").touch()
    # root may read everything
    monkeypatch.setattr(os, "lstat", refuse)
    with pytest.raises(AnsibleLookupError, match=f"cannot read {tmp_path}/one: Permission denied"):
        told([str(tmp_path / "one")], [])
