# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""SpamAssassin's own spamd."""

from __future__ import annotations

import asyncio
import json

import pytest
from harness.client import lmtp
from harness.daemon import Daemon
from harness.scanners import GTUBE
from harness.subject import Message

from filterd.findings import Score, Verdict

SPAM = b"Subject: x\r\n\r\n" + GTUBE + b"\r\n"
HAM = b"Subject: x\r\n\r\nshall we meet tomorrow?\r\n"


@pytest.mark.parametrize("place", ["by_tcp", "by_socket"])
@pytest.mark.parametrize(
    ("content", "score", "tests"),
    [
        (SPAM, 1000, ("GTUBE",)),
        (HAM, 0, ()),
        (b"Subject: cheap\r\n\r\nx\r\n", 2.5, ("CHEAP",)),
        (b"Subject: cheap\r\n\r\nmy friend\r\n", -0.5, ("CHEAP", "FRIENDLY")),
        (b"", 0, ()),
        (b"Subject: cheap\r\n\r\n" + b"0123456789abcdef\r\n" * 20000, 2.5, ("CHEAP",)),
        (b"Subject: cheap\r\n\r\n" + bytes(range(256)) * 100, 2.5, ("CHEAP",)),
    ],
    ids=["gtube", "ham", "cheap", "less than nothing", "empty", "large", "bytes"],
)
def test_the_score(ask, spamd, place, content, score, tests):
    verdict = ask(getattr(spamd, place), lambda scanner: scanner.scan(Message(content)))
    assert verdict.findings == ()
    assert (verdict.score.score, verdict.score.threshold) == (score, 5)
    assert sorted(verdict.score.tests) == sorted(tests)
    assert verdict.score.source.startswith("spamd at ")


def test_the_envelope_sender_is_told(ask, spamd):
    # Given a rule about the envelope sender, which is nowhere in the header
    verdict = ask(spamd.by_tcp, lambda scanner: scanner.scan(Message(HAM, sender="offer@bulk.example.com")))
    assert verdict.score.tests == ("KNOWN_SENDER",)
    # and a null sender breaks nothing
    assert ask(spamd.by_tcp, lambda scanner: scanner.scan(Message(HAM, sender=""))).score.score == 0


def test_a_threshold_of_our_own(ask, spamd):
    verdict = ask({**spamd.by_tcp, "threshold": 2}, lambda scanner: scanner.scan(Message(HAM)))
    assert verdict.score == Score(0.0, 2, (), verdict.score.source)


def test_the_user_is_told(ask, spamd):
    ask({**spamd.by_tcp, "user": "postmaster-of-tests"}, lambda scanner: scanner.scan(Message(HAM)))
    assert "for postmaster-of-tests:" in spamd.log


def test_larger_mail_is_not_scored(ask, spamd):
    # Given a message of one byte more than the limit, then it has no score, and that is no failure
    limited = {**spamd.by_tcp, "size_limit": 1024}
    for size, scored in ((1024, True), (1025, False)):
        verdict = ask(limited, lambda scanner, size=size: scanner.scan(Message(SPAM.ljust(size, b"x"))))
        assert (verdict != Verdict()) is scored


def test_many_at_a_time(ask, spamd):
    # Given more messages than spamd has children, then each gets its own score
    contents = [SPAM, HAM, b"Subject: cheap\r\n\r\nx\r\n"] * 6

    async def many(scanner):
        return await asyncio.gather(*(scanner.scan(Message(content)) for content in contents))

    assert [verdict.score.score for verdict in ask(spamd.by_tcp, many)] == [1000, 0, 2.5] * 6


def test_the_self_report(ask, spamd, tmp_path, downstream):
    probe = ask(spamd.by_socket, lambda scanner: scanner.probe())
    assert probe.good
    assert probe.words == "SPAMD/1.5; gives 1000 of 5 for the GTUBE test message"
    # and check says so too, in words and for machines, and that nothing looks for viruses
    daemon = Daemon(tmp_path / "host", downstream.address, scanners=[spamd.by_socket])
    result = daemon.run("check", "--json", "--skip", "directories", "--skip", "listen")
    assert result.returncode == 0, result
    lines = [line for line in json.loads(result.stdout)["checks"] if line["section"] == "scanners"]
    assert [line["state"] for line in lines] == ["warning", "ok"]
    assert "no virus scanner is configured" in lines[0]["text"]
    assert probe.words in lines[1]["text"]


def test_through_the_daemon(start_daemon, downstream, spamd):
    # Given a daemon whose policy tags spam, then spam is tagged, and ham is not
    daemon = start_daemon(scanners=[spamd.by_tcp], on_spam="tag")
    assert lmtp(daemon.address, SPAM)[0].code == 250
    assert lmtp(daemon.address, HAM)[0].code == 250
    spam, ham = downstream.accepted
    assert b"X-Spam-Flag: YES\r\n" in spam.content
    assert b"GTUBE" in spam.content.partition(b"\r\n\r\n")[0]
    assert b"X-Spam-Flag: YES\r\n" not in ham.content
