# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""clamd itself: what the self-report finds out about it."""

from __future__ import annotations

import json

from harness.daemon import Daemon
from harness.scanners import RealClamd
from harness.subject import Message

from filterd.content import eicar
from filterd.findings import UNCHECKED, VIRUS
from filterd.scan import nested


def test_virus_and_limit(ask, real_clamd):
    # Given a clamd that tells of its limits, then a virus is one, and what is beyond its limits is unchecked
    for content, category in ((eicar.PATTERN, VIRUS), (nested.archive(), UNCHECKED)):
        verdict = ask({**real_clamd.settings, "content": "whole"}, lambda scanner, c=content: scanner.scan(Message(c)))
        assert [finding.category for finding in verdict.findings] == [category]


def test_the_self_report(ask, real_clamd):
    probe = ask(real_clamd.settings, lambda scanner: scanner.probe())
    assert probe.good
    assert probe.words.startswith("ClamAV ")
    assert "; finds Eicar-Test-Signature" in probe.words


def test_a_clamd_that_hides_its_limits_is_warned_of(tmp_path, downstream):
    # Given a clamd as it comes, which calls clean what is beyond its limits
    server = RealClamd("AlertExceedsMax no")
    try:
        daemon = Daemon(tmp_path / "host", downstream.address, scanners=[{**server.settings, "backup": False}])
        result = daemon.run("check", "--json", "--skip", "directories", "--skip", "listen")
    finally:
        server.stop()
    # then check says so, and goes on
    assert result.returncode == 0, result
    (line,) = [line for line in json.loads(result.stdout)["checks"] if line["section"] == "scanners"]
    assert line["state"] == "warning"
    assert "calls clean what is beyond its limits (AlertExceedsMax is not set)" in line["text"]
