# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The deadline rule: 451 in time and nothing reinjected, also for a client that is gone; else mail duplicates."""

from __future__ import annotations

import time

import pytest
from harness.behaviour import late, stall, wait_until
from harness.clamd import EICAR
from harness.client import CLEAN, Client, lmtp, smtp, stuff

INFECTED = b"Subject: x\r\n\r\n" + EICAR + b"\r\n"


def begin(client: Client, content: bytes = CLEAN, verb: str = "LHLO") -> None:
    """Everything up to the dot."""
    client.hello(verb)
    client.envelope()
    client.good("DATA")
    client.send(stuff(content))


@pytest.mark.parametrize("stage", ["banner", "ehlo", "mail", "rcpt", "data"])
def test_a_server_that_answers_after_the_deadline(start_daemon, downstream, stage):
    # Given a server that takes longer than the client waits, but not forever
    daemon = start_daemon(message_deadline=0.3, reinject_idle_timeout=0)
    with Client(daemon.address) as client:
        client.hello()  # what the server offers is known from here on
    downstream.on(stage, late(0.6))
    # when a message comes, then the client is told in time
    assert lmtp(daemon.address)[0].code == 451
    assert smtp(daemon.address).code == 451
    # and the server never sees the dot
    wait_until(lambda: not downstream.open, "the deliveries to be given up")
    assert downstream.dots == 0
    assert "the deadline has passed" in daemon.log


def test_a_slow_answer_to_the_dot(start_daemon, downstream):
    # Given a server that answers the dot after the deadline: the message cannot be taken back
    daemon = start_daemon(message_deadline=0.5)
    downstream.on("dot", late(1.0), times=1)
    assert lmtp(daemon.address)[0].code == 451
    # then the log says what became of it nevertheless
    daemon.wait_for_log("message id=.* disposition=pass .*ends=<bob@example.com>:250")
    assert downstream.dots == 1


def test_no_dot_when_there_is_no_time_left_for_its_answer(start_daemon, downstream):
    # Given a server that answers DATA so late that the dot's answer would not come in time
    daemon = start_daemon(message_deadline=2)
    downstream.on("data", late(1.9))
    # then the dot is not sent, rather than sent and not waited for
    assert lmtp(daemon.address)[0].code == 451
    wait_until(lambda: not downstream.open, "the delivery to be given up")
    assert downstream.dots == 0


def test_a_scanner_that_answers_after_the_deadline(start_daemon, downstream, clamd):
    # Given a clamd that says OK when it is too late
    daemon = start_daemon(message_deadline=0.5, scanners=[clamd.settings])
    clamd.on("verdict", stall())
    assert lmtp(daemon.address)[0].code == 451
    clamd.release()
    wait_until(lambda: clamd.scanning == 0, "the scan to end")
    # then nothing is reinjected, and the next message is scanned by itself
    clamd.clear()
    assert lmtp(daemon.address, CLEAN + b"second\r\n")[0].code == 250
    assert [item.content for item in downstream.transactions] == [CLEAN + b"second\r\n"]


def test_the_deadline_counts_from_the_end_of_data(start_daemon, downstream):
    # Given a client that needs longer for its message than the deadline is
    daemon = start_daemon(message_deadline=0.5)
    with Client(daemon.address) as client:
        client.hello("LHLO")
        client.envelope()
        client.good("DATA")
        for _ in range(4):
            client.send(b"a slow line\r\n")
            time.sleep(0.2)
        client.send(b".\r\n")
        # then it is delivered all the same
        assert client.reply().code == 250


def test_each_recipient_is_told_and_the_session_goes_on(start_daemon, downstream):
    # Given a message to three by LMTP that misses its deadline
    daemon = start_daemon(message_deadline=0.3)
    downstream.on("data", stall(), times=1)
    with Client(daemon.address) as client:
        client.hello("LHLO")
        client.envelope(recipients=["a@example.com", "b@example.com", "a@example.com"])
        assert [item.code for item in client.data(CLEAN, 3)] == [451, 451, 451]
        # then exactly three replies came, and the session takes the next message
        assert client.silent()
        client.envelope()
        assert client.data(CLEAN)[0].code == 250
    assert len(downstream.accepted) == 1


@pytest.mark.parametrize("end", ["close", "abort"])
def test_a_client_that_goes_while_its_message_is_scanned(start_daemon, downstream, clamd, end):
    # Given a message that is being scanned
    daemon = start_daemon(scanners=[clamd.settings])
    clamd.on("verdict", stall())
    client = Client(daemon.address)
    begin(client)
    wait_until(lambda: len(clamd.scanned) == 1, "the scan")
    # when the client goes away, then the message is given up: the client will send it again
    getattr(client, end)()
    daemon.wait_for_log("given up: the client closed")
    clamd.clear()
    assert lmtp(daemon.address, CLEAN + b"second\r\n")[0].code == 250
    assert [item.content for item in downstream.transactions] == [CLEAN + b"second\r\n"]


@pytest.mark.parametrize("end", ["close", "abort"])
@pytest.mark.parametrize("stage", ["mail", "rcpt", "data"])
def test_a_client_that_goes_while_its_message_is_reinjected(daemon, downstream, stage, end):
    # Given a reinjection that hangs before the dot
    downstream.on(stage, late(0.3))
    client = Client(daemon.address)
    begin(client)
    wait_until(lambda: any(line.startswith("MAIL") for line in downstream.commands), "the reinjection")
    # when the client goes away
    getattr(client, end)()
    daemon.wait_for_log("given up: the client closed")
    # then the server never sees the dot
    wait_until(lambda: not downstream.open, "the delivery to be given up")
    assert downstream.dots == 0


@pytest.mark.parametrize("end", ["close", "abort"])
def test_a_client_that_goes_after_the_dot(daemon, downstream, end):
    # Given a reinjection whose dot has been sent
    downstream.on("dot", late(0.3))
    client = Client(daemon.address)
    begin(client)
    wait_until(lambda: downstream.dots == 1, "the dot")
    # when the client goes away, then the message is delivered, once, and the log tells of it
    getattr(client, end)()
    daemon.wait_for_log("disposition=pass .*:250")
    assert len(downstream.accepted) == 1
    assert downstream.dots == 1


def test_a_client_that_goes_inside_data(daemon, downstream):
    # Given a message without its end
    client = Client(daemon.address)
    client.hello()
    client.envelope()
    client.good("DATA")
    client.send(CLEAN + b".\r")
    # when the client goes away, then nothing is delivered
    client.close()
    assert smtp(daemon.address, CLEAN + b"second\r\n").code == 250
    assert [item.content for item in downstream.transactions] == [CLEAN + b"second\r\n"]


def test_an_infected_message_that_misses_the_deadline_is_not_delivered_later(start_daemon, downstream, clamd):
    # Given an infected message and a scanner that is too slow
    daemon = start_daemon(message_deadline=0.3, scanners=[clamd.settings])
    clamd.verdict = lambda content: "Other.Virus FOUND" if b"other virus" in content else "OK"
    clamd.on("verdict", stall(), times=1)
    assert lmtp(daemon.address, CLEAN + b"other virus\r\n")[0].code == 451
    # then the retry meets a scanner that answers, and nothing infected was ever reinjected
    reply = lmtp(daemon.address, CLEAN + b"other virus\r\n")[0]
    assert (reply.code, "quarantined" in reply.text) == (250, True)
    assert downstream.transactions == []


@pytest.mark.parametrize("protocol", ["EHLO", "LHLO"])
@pytest.mark.parametrize("content", [CLEAN, INFECTED], ids=["clean", "infected"])
def test_a_client_that_says_quit_and_shuts_its_side(daemon, downstream, protocol, content):
    # Given a client that sends all it has, QUIT included, and closes its sending side (as nc -N does)
    client = Client(daemon.address, greeting=False)
    client.send(
        protocol.encode() + b" client.example.com\r\nMAIL FROM:<alice@example.com>\r\nRCPT TO:<bob@example.com>\r\n"
        b"DATA\r\n" + stuff(content) + b"QUIT\r\n"
    )
    client.half_close()
    # then it gets all its answers, and the connection ends
    codes = [client.reply().code for _ in range(7)]
    assert codes == [220, 250, 250, 250, 354, 250, 221]
    assert client.read_to_end() == b""
    assert len(downstream.accepted) == (1 if content is CLEAN else 0)
    client.close()


def test_two_messages_and_quit_in_one_piece(daemon, downstream):
    # Given a client that pipelines two whole messages and QUIT, and closes its sending side
    client = Client(daemon.address, greeting=False)
    message = b"MAIL FROM:<alice@example.com>\r\nRCPT TO:<bob@example.com>\r\nDATA\r\n" + stuff(CLEAN)
    client.send(b"LHLO client.example.com\r\n" + message + message + b"QUIT\r\n")
    client.half_close()
    # then both are delivered and answered
    codes = [client.reply().code for _ in range(11)]
    assert codes == [220, 250, 250, 250, 354, 250, 250, 250, 354, 250, 221]
    assert len(downstream.accepted) == 2
    client.close()


@pytest.mark.parametrize("sent", [b"EHLO client.example.com\r\n", b"NOOP\r\n", b"EHLO client.example.com\r\nNOOP\r\n"])
def test_commands_before_the_end_are_answered(daemon, sent):
    # Given a client that asks something and closes its sending side: no mail is under way
    client = Client(daemon.address, greeting=False)
    client.send(sent)
    client.half_close()
    # then it gets its answers before the connection ends
    assert [client.reply().code for _ in range(1 + sent.count(b"\r\n"))] == [220] + [250] * sent.count(b"\r\n")
    assert client.read_to_end() == b""
    client.close()


def test_an_end_without_quit_behind_a_message_is_a_client_that_is_gone(start_daemon, downstream, clamd):
    # Given a message whose client has closed its side without QUIT: it may be gone, and will send it again
    daemon = start_daemon(scanners=[clamd.settings])
    clamd.on("verdict", stall())
    client = Client(daemon.address)
    begin(client)
    client.half_close()
    # then nothing is reinjected
    daemon.wait_for_log("given up: the client closed")
    assert client.read_to_end() == b""
    assert downstream.transactions == []
    client.close()
