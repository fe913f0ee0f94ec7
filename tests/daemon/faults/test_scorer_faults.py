# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Spam scorers gone, slow, broken and lying: no score, in time; and kept connections that end."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from harness.behaviour import free_port
from harness.client import CLEAN, lmtp
from harness.scripted import Connection, Script, Scripted
from harness.subject import Message

from filterd.findings import ScannerFailure
from filterd.scan import factory, settings
from filterd.scan import rspamd as rspamd_module

LARGE = CLEAN + b"0123456789abcdef\r\n" * 300_000
SPAMD_OK = b"SPAMD/1.1 0 EX_OK\r\nContent-length: 3\r\nSpam: False ; 1.0 / 5.0\r\n\r\nONE"
_BODY = json.dumps({"score": 1.0, "required_score": 15.0, "symbols": {"ONE": {}}}).encode()
HTTP_OK = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(_BODY), _BODY)
OK = {"spamd": SPAMD_OK, "rspamd": HTTP_OK}


@pytest.fixture
def server() -> Iterator[Scripted]:
    found = Scripted()
    yield found
    found.stop()


def ask(given: dict[str, Any], question: Callable[[Any], Any]) -> Any:
    """The result of `await question(scanner)`, after which no connection is open."""

    async def go() -> Any:
        scanner = factory.scanner(settings.scanners([given])[0], "/nowhere", asyncio.get_running_loop())
        before = len(os.listdir("/proc/self/fd"))
        try:
            return await question(scanner)
        finally:
            scanner.close()
            await asyncio.sleep(0.01)
            mine = len(os.listdir("/proc/self/fd")) - before
            assert mine <= 1  # one may be the scripted server's, in this same process

    return asyncio.run(go(), debug=True)


def answer(data: bytes) -> Script:
    """Take the question, say this, and close."""

    def script(connection: Connection) -> None:
        connection.question()
        connection.say(data)

    return script


def reset(connection: Connection) -> None:
    connection.question()
    connection.reset()


def endless(connection: Connection) -> None:
    connection.question()
    while True:
        connection.say(b"x" * 65536)


def endless_answer(connection: Connection) -> None:
    connection.question()
    connection.say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        connection.say(b"10000\r\n" + b" " * 65536 + b"\r\n")


def drip(connection: Connection) -> None:
    connection.question()
    for byte in HTTP_OK:
        connection.say(bytes([byte]))
        connection.wait(0.05)


def silent(connection: Connection) -> None:
    connection.question()
    connection.stall()


def half(connection: Connection) -> None:
    connection.question()
    connection.say(SPAMD_OK[:20])
    connection.stall()


TROUBLE: dict[str, tuple[Script, str]] = {
    "reads nothing": (Connection.stall, "no answer within 0.5 s"),
    "says nothing": (silent, "no answer within 0.5 s"),
    "says half of it": (half, "(no answer within 0.5 s|said b'SPAMD)"),
    "drips": (drip, "(no answer within 0.5 s|said b'HTTP)"),
    "closes at once": (lambda connection: None, "closed the connection"),
    "closes without an answer": (answer(b""), "closed the connection"),
    "resets": (reset, "closed the connection"),
    "resets at once": (Connection.reset, "(closed the connection|Connect call failed)"),
    "says too much": (endless, "(said more than|said b'xxx)"),
    "never ends": (endless_answer, "(said more than|said b'HTTP)"),
    "garbage": (answer(bytes(range(256)) * 10), "said b'"),
    "the other protocol": (answer(b"220 mx.example.com ESMTP\r\n"), "said b'220"),
    "an empty line": (answer(b"\r\n\r\n"), "said b'"),
}


@pytest.mark.parametrize("kind", ["spamd", "rspamd"])
@pytest.mark.parametrize("trouble", TROUBLE)
def test_trouble_is_a_failure_in_time(server, kind, trouble):
    # Given a server in trouble, then there is no score, soon, whatever the size of the message
    server.script, words = TROUBLE[trouble]
    # a busy machine must not make a time-out of what is something else
    timeout = 0.5 if "no answer" in words else 2
    given = {"type": kind, "address": server.address, "timeout": timeout, "size_limit": 1 << 30}
    for content in (CLEAN, LARGE):
        begin = time.monotonic()
        with pytest.raises(ScannerFailure, match=words) as caught:
            ask(given, lambda scanner, content=content: scanner.scan(Message(content)))
        assert time.monotonic() - begin < 20
        assert str(caught.value).startswith(f"{kind} at {server.address}: ")
        assert len(str(caught.value)) < 1000


@pytest.mark.parametrize(
    ("kind", "data", "words"),
    [
        ("spamd", SPAMD_OK[:-1], "not the length that it says"),
        ("spamd", SPAMD_OK + b"x", "not the length that it says"),
        ("spamd", b"SPAMD/1.0 75 Time-out\r\n", "said b'SPAMD/1.0 75 Time-out'"),
        ("rspamd", HTTP_OK[:-1], "closed the connection before the end of its answer"),
        ("rspamd", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", "has no number as score"),
        ("rspamd", b"HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nbu\ny", "answered 503 bu[?]y"),
        ("rspamd", b"HTTP/1.1 302 Found\r\nLocation: http://x/\r\nContent-Length: 0\r\n\r\n", "answered 302"),
    ],
)
def test_an_answer_that_is_none(server, kind, data, words):
    server.script = answer(data)
    with pytest.raises(ScannerFailure, match=words):
        ask({"type": kind, "address": server.address}, lambda scanner: scanner.scan(Message(CLEAN)))


@pytest.mark.parametrize("kind", ["spamd", "rspamd"])
def test_an_answer_before_the_whole_message(server, kind):
    # Given a server that gives a score to half a message, then that is none
    def early(connection: Connection) -> None:
        connection.say(OK[kind])
        connection.finish()
        connection.stall()

    server.script = early
    with pytest.raises(ScannerFailure, match="before it had the whole message"):
        ask(
            {"type": kind, "address": server.address, "timeout": 1, "size_limit": 1 << 30},
            lambda scanner: scanner.scan(Message(LARGE)),
        )


@pytest.mark.parametrize("kind", ["spamd", "rspamd"])
def test_nobody_is_there(kind, tmp_path):
    for place in ({"address": f"127.0.0.1:{free_port()}"}, {"socket": str(tmp_path / "nothing")}):
        with pytest.raises(ScannerFailure, match=r"(Connect|No such file)"):
            ask({"type": kind, **place}, lambda scanner: scanner.scan(Message(CLEAN)))


@pytest.mark.parametrize("kind", ["spamd", "rspamd"])
def test_a_cancelled_question_closes_its_connection(server, kind):
    # Given a question under way when its message is answered by the deadline
    async def cancel(scanner: Any) -> None:
        task = asyncio.ensure_future(scanner.scan(Message(CLEAN)))
        await asyncio.sleep(0.1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    server.script = silent
    ask({"type": kind, "address": server.address}, cancel)


# Kept connections (rspamd itself closes each; its proxy and others keep them)


def keeps(count: int) -> Script:
    """Answer so many questions on each connection, then close when the next one comes."""

    def script(connection: Connection) -> None:
        for _ in range(count):
            if connection.question():
                connection.say(HTTP_OK)
        connection.question()

    return script


async def five(scanner: Any) -> list[float]:
    return [(await scanner.scan(Message(CLEAN))).score.score for _ in range(5)]


def test_a_connection_is_kept(server):
    server.script = keeps(100)
    assert ask({"type": "rspamd", "address": server.address}, five) == [1.0] * 5
    assert server.connections == 1


def test_a_kept_connection_that_ends_costs_no_message(server):
    # Given a server that closes a kept connection instead of answering, then the question is asked again on a new one
    server.script = keeps(2)
    assert ask({"type": "rspamd", "address": server.address}, five) == [1.0] * 5
    assert server.connections == 3


@pytest.mark.parametrize("more", [b"HTTP/1.1 200 OK\r\n", b"x"])
def test_a_connection_on_which_more_came_than_was_asked_is_not_used_again(server, more):
    # Given a server that says more than one answer, then none of it is taken for another message's
    def script(connection: Connection) -> None:
        while connection.question():
            connection.say(HTTP_OK + more)

    server.script = script
    assert ask({"type": "rspamd", "address": server.address}, five) == [1.0] * 5
    assert server.connections == 5


def test_an_idle_connection_is_closed(server, monkeypatch):
    monkeypatch.setattr(rspamd_module, "IDLE_LIMIT", 0.05)
    server.script = keeps(100)

    async def twice(scanner: Any) -> None:
        await scanner.scan(Message(CLEAN))
        await asyncio.sleep(0.1)
        await scanner.scan(Message(CLEAN))  # too old to be used
        await asyncio.sleep(0.1)
        scanner.sweep()
        assert not scanner._idle

    ask({"type": "rspamd", "address": server.address}, twice)
    assert server.connections == 2


def test_questions_at_the_same_time_have_connections_of_their_own(server):
    server.script = keeps(100)

    async def many(scanner: Any) -> None:
        for _ in range(3):
            await asyncio.gather(*(scanner.scan(Message(CLEAN)) for _ in range(4)))

    ask({"type": "rspamd", "address": server.address}, many)
    assert server.connections == 4


def test_chunks(server):
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (len(_BODY), _BODY)
    server.script = answer(chunked)
    assert ask({"type": "rspamd", "address": server.address}, five) == [1.0] * 5


# With the daemon around it


def test_mail_in_the_daemon_whose_scorer_is_in_trouble(start_daemon, downstream, clamd, server):
    # Given a virus scanner that works and a scorer that hangs
    server.script = silent
    scorer = {"type": "spamd", "address": server.address, "timeout": 0.4}
    daemon = start_daemon(scanners=[clamd.settings, scorer])
    # then mail is deferred after the time-out, and the log says who was the trouble
    begin = time.monotonic()
    [reply] = lmtp(daemon.address)
    assert reply.code == 451
    assert "scanner not available" in reply.text
    assert time.monotonic() - begin < 20
    daemon.wait_for_log("spamd at .*no answer within 0.4 s")
    assert downstream.transactions == []
    # and a virus is not held up by it
    daemon.reload(scanners=[clamd.settings, {**scorer, "timeout": 30}])
    clamd.verdict = lambda content: "Some.Virus FOUND"
    begin = time.monotonic()
    assert "quarantined" in lmtp(daemon.address)[0].text
    assert time.monotonic() - begin < 20


def test_a_virus_counts_whether_the_scorer_answers_or_not(start_daemon, downstream, clamd, server):
    # Given a scorer that has failed before the virus scanner says what it found
    server.script = answer(b"")
    daemon = start_daemon(scanners=[clamd.settings, {"type": "spamd", "address": server.address}])

    def slow(content: bytes) -> str:
        time.sleep(0.3)
        return "Some.Virus FOUND"

    clamd.verdict = slow
    # then the policy for viruses holds
    assert "quarantined" in lmtp(daemon.address)[0].text


def test_mail_without_a_score_says_so_when_the_policy_passes_it(start_daemon, downstream, clamd, server):
    # Given the policy to pass mail that no scorer answered for
    server.script = answer(b"")
    scorer = {"type": "spamd", "address": server.address}
    daemon = start_daemon(scanners=[clamd.settings, scorer], on_scorer_failure="pass", add_headers=True)
    # when a message comes in that claims to have been scored
    forged = b"X-Spam-Status: No, score=-5.0 required=5.0\r\nX-Spam-Flag: NO\r\nSubject: x\r\n\r\nx\r\n"
    assert lmtp(daemon.address, forged)[0].code == 250
    # then it is delivered without that claim, and says what is true
    [delivered] = downstream.accepted
    header = delivered.content.partition(b"\r\n\r\n")[0] + b"\r\n"
    assert b"X-Spam-Status: Unknown, no spam scorer answered\r\n" in header
    assert header.lower().count(b"x-spam-") == 1
    # and without the policy to say anything the claim is gone all the same
    daemon.reload(scanners=[clamd.settings, scorer], on_scorer_failure="pass", add_headers=False)
    assert lmtp(daemon.address, forged)[0].code == 250
    assert b"x-spam-" not in downstream.accepted[1].content.lower()


def test_a_message_over_the_size_limit_keeps_no_score_of_somebody_else(start_daemon, downstream, clamd, server):
    scorer = {"type": "spamd", "address": server.address, "size_limit": 1024}
    daemon = start_daemon(scanners=[clamd.settings, scorer])
    large = b"X-Spam-Status: No, score=-5.0 required=5.0\r\nSubject: x\r\n\r\n" + b"x" * 70 * 30 + b"\r\n"
    assert lmtp(daemon.address, large)[0].code == 250
    assert b"x-spam-" not in downstream.accepted[0].content.lower()
    assert server.connections == 0
