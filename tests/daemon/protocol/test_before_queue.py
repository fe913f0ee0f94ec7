# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Behind smtpd_proxy_filter: the habits of smtpd(8) as a client (SMTPD_PROXY_README, src/smtpd/smtpd_proxy.c).

It neither pipelines nor waits for the answer to QUIT, it says XFORWARD for each client, and whatever it does not
understand shows the client only "451 4.3.0 queue file write error".
"""

from __future__ import annotations

import threading

import pytest
from harness.behaviour import reply, wait_until
from harness.clamd import EICAR
from harness.client import CLEAN, Client, stuff
from harness.downstream import parameters


def proxy_session(
    client: Client,
    content: bytes,
    recipients: tuple[str, ...] = ("b@example.com",),
    hold: threading.Event | None = None,
):
    """What smtpd(8) says for one message, and the answer that its client is shown."""
    assert client.banner.code == 220
    offered = client.hello("EHLO", "mail.example.com")
    if "XFORWARD" in offered:
        for line in (
            "XFORWARD NAME=mail.example.org ADDR=192.0.2.7 PORT=43210",
            "XFORWARD PROTO=ESMTP HELO=a SOURCE=REMOTE",
        ):
            assert client.command(line).code == 250
    assert client.command("MAIL FROM:<a@example.org> SIZE=100 BODY=8BITMIME AUTH=<>").code == 250
    for recipient in recipients:
        assert client.command(f"RCPT TO:<{recipient}>").code == 250
    assert client.command("DATA").code == 354
    wire = stuff(content)
    client.send(wire[: len(wire) // 2])
    assert hold is None or hold.wait(60)  # in the middle of the message
    client.send(wire[len(wire) // 2 :])
    answer = client.reply()
    # QUIT, and gone without waiting.
    client.send(b"QUIT\r\n")
    client.close()
    return answer


def test_a_clean_message(relay):
    answer = proxy_session(relay.client(), CLEAN)
    assert answer.code == 250
    transaction = relay.one()
    assert transaction.content == CLEAN
    assert transaction.attributes == {
        "NAME": "mail.example.org",
        "ADDR": "192.0.2.7",
        "PORT": "43210",
        "PROTO": "ESMTP",
        "HELO": "a",
        "SOURCE": "REMOTE",
    }
    assert parameters(transaction.mail) == {"SIZE": str(len(CLEAN)), "BODY": "8BITMIME"}


def test_a_virus(relay):
    answer = proxy_session(relay.client(), b"Subject: x\r\n\r\n" + EICAR + b"\r\n")
    assert (answer.code, answer.enhanced) == (250, ["2.7.0"])
    assert not relay.downstream.transactions


def test_a_rejection_reaches_the_client_with_its_code(start_daemon, downstream):
    daemon = start_daemon(on_virus="reject")
    answer = proxy_session(daemon.client(), b"Subject: x\r\n\r\n" + EICAR + b"\r\n")
    assert (answer.code, answer.enhanced) == (554, ["5.7.0"])


def test_one_session_after_the_other_on_kept_connections(relay):
    for _ in range(20):
        assert proxy_session(relay.client(), CLEAN).code == 250
    assert len(relay.downstream.accepted) == 20
    assert {item.connection for item in relay.downstream.accepted} == {relay.downstream.accepted[0].connection}


def test_commands_are_answered_before_the_next_hop_is_asked(relay):
    # With speed_adjust the filter must not refuse recipients selectively: the whole message comes first, and whatever
    # is wrong is said at its end.
    relay.downstream.on("rcpt", reply(550, "5.1.1 no such user"), match="<c@")
    answer = proxy_session(relay.client(), CLEAN, ("b@example.com", "c@example.com"))
    assert answer.code == 250
    assert relay.downstream.wait_for_accepted(2)[1].sender == ""


def test_slow_clients_hold_no_place(start_daemon, downstream):
    # Given n = 1 and slow clients in the middle of their messages, then others are served meanwhile.
    daemon = start_daemon(instances=1)
    answers = []
    hold = threading.Event()
    slow = [
        threading.Thread(target=lambda: answers.append(proxy_session(daemon.client(), CLEAN * 40, hold=hold)))
        for _ in range(5)
    ]
    for thread in slow:
        thread.start()
    for _ in range(10):
        assert proxy_session(daemon.client(), CLEAN).code == 250
    assert not answers
    hold.set()
    for thread in slow:
        thread.join(60)
    assert [answer.code for answer in answers] == [250] * 5


def test_a_client_that_leaves_during_the_scan_leaves_no_message(relay):
    # smtpd(8) drops the connection when its own client does; it would come again, so nothing may be reinjected.
    go_on = threading.Event()

    def answer_late(stage, _line, _transaction):
        assert stage != "data" or go_on.wait(60)

    relay.downstream.decide = answer_late
    logged = len(relay.daemon.log)
    with relay.client("EHLO") as client:
        client.envelope()
        client.send(b"DATA\r\n" + stuff(CLEAN))
        wait_until(lambda: "DATA" in relay.downstream.commands, "the message at the next hop")
        client.abort()
    relay.daemon.wait_for_log("given up: the client closed", since=logged)
    go_on.set()
    wait_until(lambda: relay.downstream.transactions[0].connection not in relay.downstream.open, "the end of it")
    assert relay.downstream.dots == 0


@pytest.mark.parametrize("verb", ["EHLO", "HELO"])
def test_postfix_falls_back_to_helo_and_is_served(relay, verb):
    with relay.client(verb) as client:
        client.envelope()
        assert client.data(CLEAN)[0].code == 250
