# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real command-line scanner: ClamAV's clamscan."""

from __future__ import annotations

import base64
import json
from concurrent.futures import ThreadPoolExecutor

import pytest
from harness.client import CLEAN, lmtp
from harness.daemon import Daemon
from harness.scanners import clamscan
from harness.subject import Message

from filterd.content import eicar
from filterd.findings import VIRUS, Finding, Verdict

#: ClamAV's own test file, which the daemon's built-in pattern does not know, is no part of this package: EICAR in
#: a form that only a scanner's mail parser or a decoded part shows.
ATTACHED = (
    b"Subject: x\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"
    b"--b\r\nContent-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    + base64.encodebytes(eicar.PATTERN).replace(b"\n", b"\r\n")
    + b"--b--\r\n"
)


@pytest.mark.parametrize("content", ["auto", "whole", "parts", "both"])
def test_an_attachment_is_found(ask, content):
    # Given clamscan with any choice of what it is given, then it finds what is attached, and names it once
    verdict = ask(clamscan(content=content), lambda scanner: scanner.scan(Message(ATTACHED)))
    program = clamscan()["argv"][0]
    assert verdict == Verdict((Finding(VIRUS, "Eicar-Test-Signature.UNOFFICIAL", f"command {program}"),))


@pytest.mark.parametrize("content", [CLEAN, b"", b"\r\n", CLEAN * 20000], ids=["clean", "empty", "line", "large"])
def test_clean_mail_is_clean(ask, content):
    assert ask(clamscan(), lambda scanner: scanner.scan(Message(content))) == Verdict()


def test_the_message_as_one_file(ask):
    settings = clamscan()
    settings["argv"][-1] = "{message}"
    verdict = ask(settings, lambda scanner: scanner.scan(Message(ATTACHED)))
    assert [finding.category for finding in verdict.findings] == [VIRUS]


def test_the_self_report(ask, tmp_path, downstream):
    probe = ask(clamscan(), lambda scanner: scanner.probe())
    assert probe.good
    assert probe.words == "can be run; finds Eicar-Test-Signature.UNOFFICIAL in the EICAR test pattern"
    # and a program that is not there is a problem, so that a playbook stops before it is used
    missing = {"type": "command", "argv": ["/nowhere/scanner", "{}"]}
    daemon = Daemon(tmp_path / "host", downstream.address, scanners=[{**clamscan(), "backup": True}, missing])
    daemon.scratch.mkdir()
    daemon.quarantine.mkdir()
    result = daemon.run("check", "--json", "--skip", "listen")
    assert result.returncode == 1
    lines = [line for line in json.loads(result.stdout)["checks"] if line["section"] == "scanners"]
    assert [line["state"] for line in lines] == ["ok", "PROBLEM"]
    assert "(backup): can be run; finds" in lines[0]["text"]
    assert lines[1]["text"] == "command /nowhere/scanner: is not there"
    assert list(daemon.scratch.iterdir()) == []


def test_through_the_daemon(start_daemon, downstream):
    # Given a daemon with clamscan, and a signature that the built-in pattern does not know
    daemon = start_daemon(scanners=[clamscan(concurrency=2)])
    assert "quarantined" in lmtp(daemon.address, ATTACHED)[0].text
    # then several messages at a time pass, one after the other
    with ThreadPoolExecutor(4) as threads:
        assert {replies[0].code for replies in threads.map(lmtp, [daemon.address] * 4)} == {250}
    assert len(downstream.accepted) == 4
    assert list(daemon.scratch.iterdir()) == []
