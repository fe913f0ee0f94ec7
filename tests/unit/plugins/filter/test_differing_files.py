# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter differing_files says before a visit what the module host_files would change on it."""

from __future__ import annotations

import base64
import grp
import os
import pwd
import shutil
from pathlib import Path
from typing import Any

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.mailops.filter_stack.plugins.filter.differing_files import FilterModule
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ...conftest import RunModule

differing_files = FilterModule().filters()["differing_files"]
ME = {"owner": pwd.getpwuid(os.getuid()).pw_name, "group": grp.getgrgid(os.getgid()).gr_name}

MODES = st.sampled_from(["0600", "640", "0755"])
TEXTS = st.sampled_from(["", "one\n", "zwö\n"])
HOLDS = st.one_of(
    st.fixed_dictionaries({"content": TEXTS}),
    st.fixed_dictionaries({"data": st.fixed_dictionaries({"b": st.sampled_from([1, 2.5, "ü"])})}),
)
#: what a name may hold before: nothing, a directory, a link, a file with some content and mode
BEFORE = st.one_of(st.sampled_from(["nothing", "directory", "link"]), st.tuples(TEXTS | st.just("else"), MODES))


def put(path: Path, before: Any) -> None:
    if before == "directory":
        path.mkdir()
    elif before == "link":
        (path.parent / "target").touch()
        path.symlink_to("target")
    elif before != "nothing":
        path.write_text(before[0])
        path.chmod(int(before[1], 8))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    before=BEFORE,
    # what the run before has left makes the cases in which nothing differs
    twice=st.booleans(),
    holds=HOLDS,
    wanted=st.fixed_dictionaries({"mode": MODES}, optional={"replace": st.booleans()}),
    directory=st.sampled_from([None, {}, {"mode": "0755"}, {"mode": "0750", **ME}]),
)
def test_it_agrees_with_the_module(
    run_module: RunModule, tmp_path: Path, before: Any, twice: bool, holds: Any, wanted: Any, directory: Any
) -> None:
    """It never misses what the module would do; and it sees more only where there is a link."""
    top = tmp_path / "etc"
    shutil.rmtree(top, ignore_errors=True)
    top.mkdir(mode=0o755)
    put(top / "file", before)
    files = [{"path": str(top / "file"), **ME, **holds, **wanted}]
    directories = [] if directory is None else [{"path": str(top), **directory}]
    if before == "directory":
        run_module("host_files", files=files, directories=directories, fails=True)
    elif twice:
        run_module("host_files", files=files, directories=directories)
    read = [] if before == "directory" else [str(top / "file")]
    seen = run_module("host_info", paths=[str(top), str(top / "file")], read=read)
    told = differing_files(files, seen, directories)
    if before == "directory":
        assert str(top / "file") in told
        return
    done = run_module("host_files", files=files, directories=directories, check=True)["paths"]
    assert told == done if before != "link" else set(done) <= set(told)


FILE = {"path": "/etc/x", "content": "one\n", "owner": "root", "group": "vscan", "mode": "640"}
DIRECTORY = {"path": "/etc", "owner": "root", "group": "vscan", "mode": "0640"}
THERE = {"kind": "file", "owner": "root", "group": "vscan", "mode": "0640"}


@pytest.mark.parametrize(
    ("other", "same"),
    [
        ({}, True),
        ({"owner": "bin"}, False),
        ({"group": "996"}, False),
        ({"mode": "0600"}, False),
        ({"kind": "link"}, False),
    ],
)
def test_each_thing_counts(other: dict[str, str], same: bool) -> None:
    held = base64.b64encode(b"one\n").decode()
    seen = {"paths": {"/etc/x": {**THERE, **other}}, "contents": {"/etc/x": held}}
    assert differing_files([FILE], seen) == ([] if same else ["/etc/x"])
    seen = {"paths": {"/etc": {**THERE, "kind": "directory", **other}}, "contents": {}}
    assert differing_files([], seen, [DIRECTORY]) == ([] if same else ["/etc"])


def test_what_was_not_looked_at_is_an_error() -> None:
    with pytest.raises(AnsibleFilterError, match="host_info did not look at all of them"):
        differing_files([{"path": "/etc/x", "content": ""}], {"paths": {}, "contents": {}})
