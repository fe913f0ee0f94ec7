# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""rspamd itself."""

from __future__ import annotations

import asyncio
import json

import pytest
from harness.behaviour import wait_until
from harness.client import lmtp
from harness.daemon import Daemon
from harness.scanners import GTUBE, Rspamd
from harness.subject import Message

from filterd.findings import ScannerFailure, Verdict

SPAM = b"Subject: x\r\n\r\n" + GTUBE + b"\r\n"
HAM = b"Subject: x\r\n\r\nshall we meet tomorrow?\r\n"
CHEAP = b"Subject: cheap\r\n\r\nx\r\n"


@pytest.mark.parametrize(
    ("content", "score", "tests"),
    [
        (SPAM, 15, ("GTUBE",)),
        (HAM, 1, ("TOLD",)),
        (CHEAP, 8, ("CHEAP", "TOLD")),
        (b"Subject: cheap\r\n\r\n" + b"0123456789abcdef\r\n" * 200_000, 8, ("CHEAP", "TOLD")),
        (b"Subject: cheap\r\n\r\n" + bytes(range(256)) * 100, 8, ("CHEAP", "TOLD")),
    ],
    ids=["gtube", "ham", "cheap", "large", "bytes"],
)
def test_the_score(ask, rspamd, content, score, tests):
    verdict = ask(rspamd.settings, lambda scanner: scanner.scan(Message(content)))
    assert verdict.findings == ()
    assert (verdict.score.score, verdict.score.threshold) == (score, 15)
    assert sorted(verdict.score.tests) == sorted(tests)
    assert verdict.score.source.startswith("rspamd at ")


def test_a_threshold_of_our_own(ask, rspamd):
    verdict = ask({**rspamd.settings, "threshold": 6}, lambda scanner: scanner.scan(Message(CHEAP)))
    assert (verdict.score.score, verdict.score.threshold) == (8, 6)


def test_envelope_and_client_are_told(ask, rspamd):
    # Given a message with all that XFORWARD tells, then rspamd knows it
    xforward = {"NAME": "mx.example.net", "ADDR": "192.0.2.1", "HELO": "helo.example.net", "IDENT": "4Xk2mZ1q"}
    message = Message(HAM, recipients=("bob@example.com", "carol@example.com"), xforward=xforward)
    ask(rspamd.settings, lambda scanner: scanner.scan(message))
    told = "alice@example.com bob@example.com carol@example.com 192.0.2.1 mx.example.net helo.example.net 4Xk2mZ1q"
    wait_until(lambda: f"TOLD <{told}>" in rspamd.log, "the envelope in rspamd's log")


def test_larger_mail_is_not_scored(ask, rspamd):
    limited = {**rspamd.settings, "size_limit": 1024}
    assert ask(limited, lambda scanner: scanner.scan(Message(HAM.ljust(1025, b"x")))) == Verdict()


def test_many_at_a_time_and_one_after_the_other(ask, rspamd):
    contents = [SPAM, HAM, CHEAP] * 10

    async def many(scanner):
        verdicts = await asyncio.gather(*(scanner.scan(Message(content)) for content in contents))
        return [*verdicts, *[await scanner.scan(Message(content)) for content in contents]]

    assert [verdict.score.score for verdict in ask(rspamd.settings, many)] == [15, 1, 8] * 20


def test_a_password(ask, tmp_path):
    # Given rspamd's controller, which wants a password from everybody
    server = Rspamd(password="q1w2e3")
    try:
        with pytest.raises(ScannerFailure, match=r"answered 40[13]"):
            ask(server.settings, lambda scanner: scanner.scan(Message(HAM)))
        # when it stands in a file, then it is told
        secret = tmp_path / "secret"
        secret.write_text("q1w2e3\n")
        verdict = ask({**server.settings, "password_file": str(secret)}, lambda scanner: scanner.scan(Message(CHEAP)))
        assert verdict.score.score == 8
        # and a file that is not there is a failure that names it
        with pytest.raises(ScannerFailure, match="password_file /nowhere: No such file"):
            ask({**server.settings, "password_file": "/nowhere"}, lambda scanner: scanner.scan(Message(HAM)))
    finally:
        server.stop()


def test_the_self_report(ask, real_clamd, rspamd, tmp_path, downstream):
    probe = ask(rspamd.settings, lambda scanner: scanner.probe())
    assert probe.good
    assert probe.words.startswith("rspamd/")
    assert probe.words.endswith("; gives 15 of 15 for the GTUBE test message")
    daemon = Daemon(
        tmp_path / "host", downstream.address, scanners=[real_clamd.settings, {**rspamd.settings, "threshold": 20}]
    )
    result = daemon.run("check", "--json", "--skip", "directories", "--skip", "listen")
    assert result.returncode == 0, result
    _, line = [line for line in json.loads(result.stdout)["checks"] if line["section"] == "scanners"]
    assert line["state"] == "warning"
    assert "does not call it spam: 15 of 20" in line["text"]


def test_through_the_daemon(start_daemon, downstream, rspamd):
    # Given a daemon whose policy refuses spam, then spam is refused, and ham passes
    daemon = start_daemon(scanners=[rspamd.settings], on_spam="reject")
    assert lmtp(daemon.address, SPAM)[0].code == 554
    assert lmtp(daemon.address, HAM)[0].code == 250
    assert len(downstream.accepted) == 1
