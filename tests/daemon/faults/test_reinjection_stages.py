# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every stage of the reinjecting smtpd fails in every way: by LMTP and SMTP, on fresh and on kept connections.

Whatever happens, the client hears of it: 2xx only when the reinjecting smtpd has taken the message, exactly once.
Only a 5xx that speaks about the message is passed on as 5xx; everything else is 4xx and stays in the client's queue.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from harness.behaviour import Action, close, flood, raw, reply, reset, stall
from harness.client import CLEAN, Client, Reply
from harness.daemon import Daemon
from harness.downstream import Downstream

RECIPIENTS = ("bob@example.com", "carol@example.com")
#: Stages that speak about the message: a 5xx there is the message's end.
ABOUT_THE_MESSAGE = ("mail", "rcpt", "data", "dot")
STAGES = ("xforward", "mail", "rcpt", "data", "content", "dot")
FAILURES: dict[str, Action] = {
    "450": reply(450, "4.3.0 try again"),
    "451-without-enhanced-code": reply(451, "try again"),
    "550": reply(550, "5.7.1 refused"),
    "421": Action(b"421 4.3.2 going away\r\n", "close"),
    "close": close(),
    "reset": reset(),
    "half-line-and-close": close(b"250 2.0"),
    "stall": stall(),
    "half-line-and-stall": stall(b"250-2.0.0 Ok\r\n250 2.0"),
    "garbage": raw(b"HTTP/1.1 400 Bad Request\r\n"),
    "binary": raw(b"\x00\xff\x16\x03\x01\r\n"),
    "codes-that-differ": raw(b"250-2.0.0 Ok\r\n251 2.0.0 Ok\r\n"),
    "unknown-class": raw(b"650 9.9.9 what\r\n"),
    "flood-of-continuation": flood(),
    "flood-without-line-end": stall(b"2" * 300_000),
}
#: Every failure by both protocols, but for silence, which costs its time-out: that by LMTP alone.
CASES = [
    (failure, protocol)
    for failure in FAILURES
    for protocol in ("lmtp", "smtp")
    if protocol == "lmtp" or not failure.endswith("stall")
]
#: More than the kernels of both sides would take at once, so that the dot is not sent before the end is seen: 4 MiB to
#: be sent (tcp_wmem), and what the other side takes in unread.
LARGE = CLEAN + (b"y" * 70 + b"\r\n") * 80000
#: What the server says while it takes the content; there it owes no reply.
CONTENT_FAILURES = {
    name: FAILURES[name] for name in ("421", "close", "reset", "stall", "garbage", "flood-of-continuation")
}


class Pair:
    """A daemon and its reinjecting smtpd, shared by the cases of this file."""

    def __init__(self, daemon: Daemon, downstream: Downstream, keeps: bool) -> None:
        self.daemon = daemon
        self.downstream = downstream
        self.keeps = keeps

    def prepare(self) -> None:
        """A kept connection is in the pool, or none ever is; nothing is scripted."""
        self.downstream.clear()
        self.downstream.drop_connections()
        if self.keeps:
            with Client(self.daemon.address) as client:
                assert codes(send(client, "lmtp")) == [250, 250]
            self.downstream.clear()


@pytest.fixture(scope="module", params=["fresh", "kept"])
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    downstream = Downstream()
    keeps = request.param == "kept"
    daemon = Daemon(
        tmp_path_factory.mktemp(request.param),
        downstream.address,
        reinject_idle_timeout=60 if keeps else 0,
        reinject_reply_timeout=0.4,
        reinject_connect_timeout=0.4,
        message_deadline=10,
        message_size_limit=2 * len(LARGE),
    ).start()
    yield Pair(daemon, downstream, keeps)
    try:
        daemon.finish()
    finally:
        daemon.kill()
        downstream.stop()


def send(client: Client, protocol: str, content: bytes = CLEAN) -> list[Reply]:
    """One message to both recipients; the replies to its end."""
    client.hello("LHLO" if protocol == "lmtp" else "EHLO")
    client.good("XFORWARD NAME=mail.example.net ADDR=192.0.2.7 IDENT=4FRONT")
    client.envelope(recipients=RECIPIENTS)
    return client.data(content, len(RECIPIENTS) if protocol == "lmtp" else 1)


def codes(replies: list[Reply]) -> list[int]:
    return [item.code for item in replies]


@pytest.mark.parametrize(("failure", "protocol"), CASES)
@pytest.mark.parametrize("stage", [stage for stage in STAGES if stage != "content"])
def test_a_failing_stage_is_told_to_the_client(pair: Pair, stage: str, failure: str, protocol: str) -> None:
    # Given a reinjecting smtpd that fails at this stage, always
    pair.prepare()
    pair.downstream.on(stage, FAILURES[failure])
    with Client(pair.daemon.address) as client:
        # when a message comes
        replies = send(client, protocol)
        # then the client is told, with a code of the right class on every line, and nothing has been reinjected
        expected = 5 if failure == "550" and stage in ABOUT_THE_MESSAGE else 4
        assert {item.code // 100 for item in replies} == {expected}, replies
        assert all(code.startswith(f"{expected}.") for item in replies for code in item.enhanced), replies
        assert pair.downstream.accepted == []
        assert pair.downstream.dots == (1 if stage == "dot" else 0)
        # and when the server is well again, the same session delivers
        pair.downstream.clear()
        assert set(codes(send(client, protocol))) == {250}
    assert [item.content for item in pair.downstream.accepted] == [CLEAN]


@pytest.mark.parametrize("protocol", ["lmtp", "smtp"])
@pytest.mark.parametrize("failure", CONTENT_FAILURES)
def test_failing_while_the_content_is_sent(pair: Pair, failure: str, protocol: str) -> None:
    # Given a server that accepts DATA and fails before it has read all of it
    pair.prepare()
    pair.downstream.on("content", CONTENT_FAILURES[failure])
    with Client(pair.daemon.address) as client:
        # when a large message comes
        replies = send(client, protocol, LARGE)
        # then it is 4xx, and the dot never came
        assert {item.code // 100 for item in replies} == {4}, replies
        assert pair.downstream.dots == 0
        pair.downstream.clear()
        assert set(codes(send(client, protocol))) == {250}


@pytest.mark.parametrize(("failure", "protocol"), CASES)
@pytest.mark.parametrize("stage", ["banner", "ehlo"])
def test_a_server_that_cannot_be_greeted(pair: Pair, stage: str, failure: str, protocol: str) -> None:
    # Given a server that fails before any mail could be spoken of, and no kept connection
    pair.downstream.clear()
    pair.downstream.drop_connections()
    pair.downstream.on(stage, FAILURES[failure])
    with Client(pair.daemon.address) as client:
        # when a message comes, then a 5xx there says nothing about the message: 451
        replies = send(client, protocol)
        assert set(codes(replies)) == {451}, replies
        pair.downstream.clear()
        assert set(codes(send(client, protocol))) == {250}


@pytest.mark.parametrize("protocol", ["lmtp", "smtp"])
@pytest.mark.parametrize("failure", ["421", "close", "reset"])
@pytest.mark.parametrize("stage", ["xforward", "mail", "rcpt", "data", "content"])
def test_a_goodbye_on_a_kept_connection_is_tried_again_once(
    pair: Pair, stage: str, failure: str, protocol: str
) -> None:
    # Given a server that says goodbye once
    pair.prepare()
    pair.downstream.on(stage, FAILURES[failure], times=1)
    before = pair.downstream.connections
    content = LARGE if stage == "content" else CLEAN
    with Client(pair.daemon.address) as client:
        replies = send(client, protocol, content)
    if pair.keeps:
        # then, on a connection that was kept, that says nothing about the message: it goes out on a new one
        assert set(codes(replies)) == {250}, replies
        assert pair.downstream.connections == before + 1
        assert [item.content for item in pair.downstream.accepted] == [content]
    else:
        # but on a fresh one the server is in trouble
        assert set(codes(replies)) == {451}, replies
        assert pair.downstream.accepted == []


@pytest.mark.parametrize("protocol", ["lmtp", "smtp"])
@pytest.mark.parametrize("failure", ["421", "close", "reset", "half-line-and-close", "stall"])
def test_after_the_dot_nothing_is_sent_again(pair: Pair, failure: str, protocol: str) -> None:
    # Given a server that fails once when it has seen the dot: it may have the message
    pair.prepare()
    pair.downstream.on("dot", FAILURES[failure], times=1)
    with Client(pair.daemon.address) as client:
        # then the client decides: 451, and the daemon itself sends no second copy
        assert set(codes(send(client, protocol))) == {451}
    assert pair.downstream.dots == 1


@pytest.mark.parametrize("protocol", ["lmtp", "smtp"])
@pytest.mark.parametrize("answer", [250, 220, 252, 334, 300])
def test_data_answered_with_anything_but_354(pair: Pair, answer: int, protocol: str) -> None:
    # Given a server that answers DATA with a code that is no error and no 354 (amavisd-new reports 250 then)
    pair.prepare()
    pair.downstream.on("data", reply(answer, "2.0.0 Ok: queued as 4LIE"))
    with Client(pair.daemon.address) as client:
        # then no content is sent, and it is no acknowledgement
        assert set(codes(send(client, protocol))) == {451}
    assert pair.downstream.dots == 0


@pytest.mark.parametrize("protocol", ["lmtp", "smtp"])
@pytest.mark.parametrize("answer", [354, 334, 399])
def test_the_dot_answered_with_3xx(pair: Pair, answer: int, protocol: str) -> None:
    # Given a server that wants to hear more after the dot, then it is no acknowledgement
    pair.prepare()
    pair.downstream.on("dot", reply(answer, "go on"))
    with Client(pair.daemon.address) as client:
        assert set(codes(send(client, protocol))) == {451}


@pytest.mark.parametrize("protocol", ["lmtp", "smtp"])
@pytest.mark.parametrize("stage", ["banner", "ehlo", "xforward", "mail", "rcpt", "data", "dot"])
def test_replies_in_pieces_and_of_many_lines_are_understood(pair: Pair, stage: str, protocol: str) -> None:
    # Given long but correct replies, also without text and with LF alone
    pair.downstream.clear()
    pair.downstream.drop_connections()
    code = {"banner": 220, "data": 354}.get(stage, 250)
    lines = b"".join(b"%d-line %d of a long story\r\n" % (code, number) for number in range(300))
    pair.downstream.on(stage, raw(lines + b"%d\r\n" % code))
    with Client(pair.daemon.address) as client:
        # then the message is delivered
        assert set(codes(send(client, protocol))) == {250}
    assert len(pair.downstream.accepted) == 1
