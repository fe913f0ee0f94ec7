# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Connections to the reinjecting smtpd: kept, stale, talkative, gone, and what becomes of a bounce of our own."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from harness.behaviour import Action, close, flood, late, raw, reply, reset, stall, wait_until
from harness.client import CLEAN, Client, lmtp, smtp
from harness.downstream import POSTFIX_KEYWORDS, Downstream

TWO = ("bob@example.com", "carol@example.com")
UNPIPELINED = tuple(keyword for keyword in POSTFIX_KEYWORDS if keyword != "PIPELINING")


def test_a_kept_connection_is_used_again(daemon, downstream):
    # When messages come one after the other, then one connection carries them
    for _ in range(5):
        assert lmtp(daemon.address)[0].code == 250
    assert downstream.connections == 1


def test_a_kept_connection_is_closed_with_quit_when_it_was_idle_for_long(start_daemon, downstream):
    # Given connections that are kept for a second
    daemon = start_daemon(reinject_idle_timeout=1)
    lmtp(daemon.address)
    # then the server is told goodbye, and is not left with a dead connection
    wait_until(lambda: "QUIT" in downstream.commands, "QUIT")
    wait_until(lambda: not downstream.open, "the connection to be closed")


@pytest.mark.parametrize("goodbye", [b"", b"421 4.4.2 back.example.com Error: timeout exceeded\r\n"])
def test_all_kept_connections_stale_at_once(start_daemon, downstream, goodbye):
    # Given four kept connections, all of which a restarted Postfix has closed
    daemon = start_daemon(instances=4)
    downstream.on("dot", late(0.2))
    with ThreadPoolExecutor(4) as threads:
        assert [replies[0].code for replies in threads.map(lmtp, [daemon.address] * 4)] == [250] * 4
    assert downstream.connections == 4
    downstream.drop_connections(goodbye)
    downstream.clear()
    # when four more messages come, then each is delivered, without a 451 for any of the stale connections
    with ThreadPoolExecutor(4) as threads:
        assert [replies[0].code for replies in threads.map(lmtp, [daemon.address] * 4)] == [250] * 4
    assert len(downstream.accepted) == 4


def test_a_restarted_server(daemon, downstream):
    # Given a server that was there and is gone
    assert lmtp(daemon.address)[0].code == 250
    downstream.stop()
    reply_while_down = lmtp(daemon.address)[0]
    assert reply_while_down.code == 451
    assert "connect" in reply_while_down.text
    # when it is back, then mail flows at once
    downstream.start()
    assert lmtp(daemon.address)[0].code == 250
    assert len(downstream.accepted) == 2


def test_a_server_that_is_not_there_yet(start_daemon, downstream):
    # Given a server that starts after the daemon, when a client greets, then it is offered all that Postfix has
    downstream.stop()
    daemon = start_daemon()
    with Client(daemon.address) as client:
        assert {"PIPELINING", "8BITMIME", "DSN", "SMTPUTF8"} <= set(client.hello("LHLO"))
        client.envelope()
        downstream.start()
        assert client.data(CLEAN)[0].code == 250


def test_a_fresh_connection_is_not_tried_again(daemon, downstream):
    # Given a server that always says 421 to MAIL
    downstream.on("mail", Action(b"421 4.3.2 all server ports are busy\r\n", "close"))
    assert lmtp(daemon.address)[0].code == 451
    # then a message costs it at most two connections: the kept one and one more
    assert downstream.connections <= 2


@pytest.mark.parametrize("keywords", [POSTFIX_KEYWORDS, UNPIPELINED], ids=["pipelining", "one-by-one"])
@pytest.mark.parametrize(
    ("stage", "said"),
    [
        ("banner", b"220 back.example.com\r\n250 back.example.com\r\n250 2.1.0 Ok\r\n250 Ok\r\n354 go\r\n250 Ok\r\n"),
        ("ehlo", b"250 back.example.com\r\n250 2.1.0 Ok\r\n250 2.1.5 Ok\r\n354 go on\r\n250 2.0.0 Ok\r\n"),
        ("mail", b"250 2.1.0 Ok\r\n250 2.1.5 Ok\r\n354 go on\r\n250 2.0.0 Ok: queued as 4LIE\r\n"),
        ("rcpt", b"250 2.1.5 Ok\r\n354 go on\r\n250 2.0.0 Ok: queued as 4LIE\r\n"),
        ("data", b"354 go on\r\n250 2.0.0 Ok: queued as 4LIE\r\n"),
        ("data", b"354 go on\r\n250 2.0.0"),
        ("data", b"354 go on\r\n" + b"250 2.0.0 Ok\r\n" * 20000),
    ],
)
def test_an_answer_before_the_question_is_no_acknowledgement(start_daemon, downstream, stage, said, keywords):
    # Given a server that answers what it has not been asked yet
    downstream.keywords = keywords
    downstream.on(stage, raw(said))
    daemon = start_daemon()
    # when a message comes, then nobody is told that it was delivered, because the dot was never answered
    assert lmtp(daemon.address)[0].code == 451
    assert smtp(daemon.address).code == 451
    assert downstream.dots == 0


def test_an_early_answer_while_content_is_sent_is_no_acknowledgement(start_daemon, downstream):
    # Given a server that says 250 while the content still comes, and reads no further
    downstream.on("content", Action(b"250 2.0.0 Ok: queued as 4LIE\r\n", "stall"))
    daemon = start_daemon(message_size_limit=32 << 20, reinject_reply_timeout=1)
    # then a message that it has not read is not delivered
    assert smtp(daemon.address, CLEAN + b"0123456789\r\n" * (1 << 20)).code == 451


@pytest.mark.parametrize("behind", [b"what else?\r\n", b"\x00\xff\r\n", b"250 2.0.0 Ok\r\n" * 3, b"42"])
def test_an_acknowledgement_counts_whatever_follows_it(daemon, downstream, behind):
    # Given a server that takes the message and then talks nonsense in the same breath
    downstream.on("dot", raw(b"250 2.0.0 Ok: queued as 4BACK\r\n" + behind), times=1)
    # then the message is delivered: a 451 would deliver it twice
    assert lmtp(daemon.address)[0].code == 250
    # and that connection is not used again
    assert lmtp(daemon.address)[0].code == 250
    assert downstream.connections == 2
    assert len(downstream.accepted) == 2


@pytest.mark.parametrize("verdict", ["450 4.2.0 later", "550 5.7.1 no", "250 2.0.0 Ok: queued as 4BACK"])
def test_an_answer_and_the_end_in_one_breath(daemon, downstream, verdict):
    # Given a server that answers the dot and closes at once, then the answer counts
    downstream.on("dot", close(verdict.encode() + b"\r\n"))
    assert str(lmtp(daemon.address)[0].code) == verdict[:3]


def test_talk_on_an_idle_connection(daemon, downstream):
    # Given a kept connection on which the server has said something since
    assert lmtp(daemon.address)[0].code == 250
    downstream.drop_connections(b"250 2.0.0 Ok\r\n354 go on\r\n250 2.0.0 Ok\r\n")
    # then the next message goes over another one
    assert lmtp(daemon.address)[0].code == 250
    assert downstream.connections == 2
    assert len(downstream.accepted) == 2


def test_a_server_without_pipelining_is_not_pipelined_to(start_daemon, downstream):
    # Given a server that takes one command at a time, and is slow
    downstream.keywords = UNPIPELINED
    for stage in ("mail", "rcpt", "data"):
        downstream.on(stage, late(0.02))
    daemon = start_daemon()
    with Client(daemon.address) as client:
        # then PIPELINING is not offered, and the message arrives
        assert "PIPELINING" not in client.hello("LHLO")
        client.envelope(recipients=TWO)
        assert [item.code for item in client.data(CLEAN, 2)] == [250, 250]
    assert downstream.last.content == CLEAN


# A bounce of our own (SMTP client, some recipients refused for good)


def refuse_carol(downstream: Downstream) -> None:
    downstream.on("rcpt", reply(550, "5.1.1 no such user"), match="carol")


def test_the_bounce_for_a_refused_recipient(daemon, downstream):
    # Given a server that knows bob and not carol, when a message to both comes by SMTP
    refuse_carol(downstream)
    assert smtp(daemon.address, recipients=TWO).code == 250
    # then bob has it, and the sender has a report from the null sender
    message, bounce = downstream.accepted
    assert (message.recipients, message.content) == (["bob@example.com"], CLEAN)
    assert (bounce.sender, bounce.recipients) == ("", ["alice@example.com"])
    assert b"carol@example.com" in bounce.content


@pytest.mark.parametrize(
    "trouble",
    [reply(450), reply(550), close(), reset(), stall(), flood(), raw(b"nonsense\r\n")],
    ids=["450", "550", "close", "reset", "stall", "flood", "nonsense"],
)
def test_a_bounce_that_cannot_be_sent_does_not_deliver_the_message_twice(start_daemon, downstream, trouble):
    # Given a server that takes the message, but not the bounce
    daemon = start_daemon(message_deadline=2)
    refuse_carol(downstream)
    downstream.on("mail", trouble, match="FROM:<>")
    # when a message to both comes, then it is delivered and acknowledged before the deadline,
    # because a 4xx would deliver it again at every retry
    assert smtp(daemon.address, recipients=TWO).code == 250
    assert len(downstream.accepted) == 1
    # and the bounce is not lost: it waits in quarantine, and can be released
    [entry] = daemon.quarantined()
    downstream.clear()
    assert daemon.run("quarantine", "release", entry.name.removesuffix(".msg")).returncode == 0
    assert downstream.last.sender == ""
    assert b"carol@example.com" in downstream.last.content


def test_a_bounce_that_can_neither_be_sent_nor_kept(start_daemon, downstream):
    # Given a server that does not take the bounce, and a quarantine that is gone
    daemon = start_daemon(message_deadline=2)
    refuse_carol(downstream)
    downstream.on("mail", reply(450), match="FROM:<>")
    daemon.quarantine.rmdir()
    # then the delivered message is still acknowledged, and the log says what was lost
    assert smtp(daemon.address, recipients=TWO).code == 250
    assert len(downstream.accepted) == 1
    daemon.wait_for_log("bounce.*carol@example.com|carol@example.com.*bounce")


def test_a_temporary_refusal_of_one_recipient_stops_the_message_for_all(daemon, downstream):
    # Given a server that cannot take carol now, by SMTP: one reply for all
    downstream.on("rcpt", reply(450, "4.2.0 mailbox busy"), match="carol")
    assert smtp(daemon.address, recipients=TWO).code == 450
    # then no content was sent, so that bob does not get it at every retry
    assert downstream.dots == 0


@pytest.mark.parametrize("stage", ["data", "content"])
def test_changed_content_is_sent_whole_again_after_a_stale_connection(start_daemon, downstream, stage):
    # Given a copy that loses a forged field and gets a disclaimer, and a kept connection that ends while it is sent
    daemon = start_daemon(disclaimers=[{"text": "Confidential."}], disclaimer_clients=["192.0.2.0/24"])
    head = b"X-Filter-Alert: forged\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nHello\r\n--b\r\n"
    content = head + b"Content-Type: application/pdf\r\n\r\n" + b"0123456789abcdef\r\n" * 60000 + b"--b--\r\n"
    with daemon.client() as client:
        client.hello("LHLO")
        client.good("XFORWARD ADDR=192.0.2.7")
        client.envelope()
        assert client.data(CLEAN)[0].code == 250
        downstream.on(stage, close(), times=1)
        # then the next one has all of it
        client.good("XFORWARD ADDR=192.0.2.7")
        client.envelope()
        assert client.data(content)[0].code == 250
    delivered = downstream.accepted[-1].content
    assert b"forged" not in delivered
    assert b"Confidential." in delivered
    assert delivered.endswith(content.partition(b"--b\r\nContent-Type")[2])
    assert downstream.connections == 2
