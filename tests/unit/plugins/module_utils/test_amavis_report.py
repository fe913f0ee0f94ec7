# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""amavisd-new's words in a debug start, as data; the logs are those of Debian's packages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.mailops.filter_stack.plugins.module_utils import _amavis_report
from hypothesis import given
from hypothesis import strategies as st

DATA = Path(__file__).parents[2] / "data/amavis"
LOGS = sorted(DATA.glob("*.txt"))


def report(name: str) -> dict[str, Any]:
    lines = (DATA / f"{name}.txt").read_text(encoding="utf-8").splitlines()
    return _amavis_report.parse(line for line in lines if not line.startswith("#"))


def test_a_host_of_this_collection() -> None:
    # Given the log of amavisd-new on Debian 12 as filter_amavis sets it up
    found = report("debian12")
    # then it was ready, and says who it is
    assert found["ready"]
    assert (found["version"], found["perl"], found["hostname"]) == ("2.13.0", "5.36.0", "mail.demo.example")
    assert found["uid"] > 0
    assert found["config_files"][-1] == "/etc/amavis/conf.d/60-filter-stack"
    # and what it found and missed
    assert found["scanners"] == {
        "found": [{"name": "ClamAV-clamd", "tier": "primary", "program": None}],
        "missing": [],
    }
    assert found["unpackers"]["found"]["rar"] == "/usr/bin/unrar-free"
    assert found["unpackers"]["missing"] == ["F", "doc", "zoo"]
    assert found["unpackers"]["internal"] == ["mail", "tnef"]
    assert found["unpackers"]["programs_missing"]["doc"] == ["ripole"]
    assert found["modules"]["loaded"]["MIME::Parser"] == "5.510"
    assert found["modules"]["missing"] == ["Unix::Getrusage"]
    assert found["complaints"] == []


def test_a_bare_installation() -> None:
    # Given the log of Debian 13's package without any unpacker, without a scanner, on a host without /etc/mailname
    found = report("debian13")
    assert found["ready"]
    assert found["perl"] == "5.40.1"
    assert found["scanners"] == {"found": [], "missing": []}
    assert {"7z", "bz2", "rar", "zst"} <= set(found["unpackers"]["missing"])
    assert {"kmz", "mail", "tnef", "zip"} == set(found["unpackers"]["internal"])
    # then what its configuration's own programs say is there, once each
    assert found["complaints"][0] == "head: cannot open '/etc/mailname' for reading: No such file or directory"


def test_scanners_that_are_programs() -> None:
    stamp = "Nov 22 21:14:51.115 y.demo.example /usr/sbin/amavisd[1103]: "
    lines = [
        stamp + "Found secondary av scanner ClamAV-clamscan at /usr/bin/clamscan",
        stamp + "No primary av scanner: KasperskyLab AVP - aveclient",
        stamp + "Using internal spam scanner code for SpamAssassin",
    ]
    found = _amavis_report.parse(lines)
    assert found["scanners"] == {
        "found": [{"name": "ClamAV-clamscan", "tier": "secondary", "program": "/usr/bin/clamscan"}],
        "missing": ["KasperskyLab AVP - aveclient"],
    }
    assert found["spam_scanners"] == {"found": ["SpamAssassin"], "missing": []}
    assert not found["ready"]


def test_what_it_dies_of_is_a_complaint() -> None:
    line = 'Error in config file "/etc/amavis/conf.d/60-filter-stack": syntax error at line 3'
    assert _amavis_report.parse([line])["complaints"] == [line]


@pytest.mark.parametrize("log", LOGS, ids=lambda path: path.stem)
def test_a_log_that_breaks_off_anywhere_is_read_as_far_as_it_goes(log: Path) -> None:
    lines = log.read_text(encoding="utf-8").splitlines()
    for end in range(len(lines)):
        _amavis_report.parse(lines[:end])


@given(st.lists(st.text(max_size=200), max_size=20))
def test_no_text_is_an_error(lines: list[str]) -> None:
    stamp = "Nov 22 21:14:51 host /usr/sbin/amavisd[1]: "
    _amavis_report.parse([*lines, *(stamp + line for line in lines)])
