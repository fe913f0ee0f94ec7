# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""SMTP smuggling: no ending but CR LF . CR LF ends a message, and none that the next hop could mistake is passed on.

https://www.postfix.org/smtp-smuggling.html; what is scanned is what is sent.
"""

from __future__ import annotations

import itertools

import pytest
from harness.clamd import EICAR
from harness.client import stuff
from harness.samples import ENDINGS, SMUGGLED


def test_the_list_has_all_combinations_of_line_ends():
    ends = [b"\r", b"\n", b"\r\n"]
    missing = {before + b"." + after for before, after in itertools.product(ends, ends)} - set(ENDINGS)
    assert missing == {b"\r\n.\r\n"}


@pytest.mark.parametrize("verb", ["EHLO", "LHLO"])
@pytest.mark.parametrize("ending", ENDINGS, ids=repr)
def test_one_message_comes_in_one_message_goes_out(relay, verb, ending):
    # Given a message that holds a false ending and commands behind it, then one message arrives, its recipients
    # are those of the envelope, and the client has one reply for it.
    with relay.client(verb) as client:
        client.envelope()
        client.good("DATA")
        client.send(b"Subject: x\r\n\r\nbody" + ending + SMUGGLED + b"\r\n.\r\n")
        assert client.reply().code == 250
        assert client.silent(0.02)
        client.good("NOOP")
    transaction = relay.one()
    assert transaction.recipients == ["bob@example.com"]
    assert b"evil@example.com" in transaction.content
    assert [line[:4] for line in relay.downstream.commands if line.startswith(("MAIL", "RCPT", "DATA"))] == [
        *("MAIL", "RCPT", "DATA"),
    ]


@pytest.mark.parametrize("ending", [b"\r\n.\r\n", *ENDINGS[:9]], ids=repr)
def test_right_at_the_beginning(relay, ending):
    with relay.client("EHLO") as client:
        client.envelope()
        client.good("DATA")
        client.send(ending[2:] if ending.startswith(b"\r\n") else ending)
        if ending == b"\r\n.\r\n":
            assert client.reply().code == 250
            assert relay.one().content == b""
            return
        client.send(b"MAIL FROM:<evil@example.com>\r\n.\r\n")
        assert client.reply().code == 250
    assert relay.one().sender == "alice@example.com"


@pytest.mark.parametrize("ending", ENDINGS, ids=repr)
def test_in_pieces(relay, ending):
    # The same when every byte around the ending comes in a packet of its own.
    with relay.client("EHLO") as client:
        client.envelope()
        client.good("DATA")
        client.send(b"Subject: x\r\n\r\nbody")
        for byte in ending + b"QUIT\r\n":
            client.send(bytes([byte]))
        client.send(b"\r\n.\r\n")
        assert client.reply().code == 250
    assert b"QUIT" in relay.one().content


def test_what_is_scanned_is_what_is_sent(start_daemon, downstream, clamd):
    daemon = start_daemon(scanners=[{**clamd.settings, "content": "whole"}])
    with daemon.client() as client:
        client.hello("LHLO")
        for ending in ENDINGS:
            client.envelope()
            client.good("DATA")
            client.send(b"Subject: x\r\n\r\nbody" + ending + SMUGGLED + b"\r\n.\r\n")
            assert client.reply().code == 250, ending
    assert clamd.scanned == [transaction.content for transaction in downstream.accepted]
    assert len(clamd.scanned) == len(ENDINGS)


@pytest.mark.parametrize("newline", [b"\n", b"\r", b"\r\n", b"\r\r\n", b"\n\r"], ids=repr)
def test_a_virus_behind_odd_line_ends_is_found(relay, newline):
    body = newline.join([b"Subject: x", b"", EICAR, b""])
    with relay.client("EHLO") as client:
        client.envelope()
        client.good("DATA")
        client.send(stuff(body))
        assert "quarantined" in client.reply().text
    assert not relay.downstream.transactions


def test_a_pipelined_message_behind_the_true_end_is_a_message_of_its_own(relay):
    with relay.client("EHLO") as client:
        client.envelope()
        client.good("DATA")
        client.send(b"first\r\n.\r\n" + SMUGGLED + b"\r\n.\r\n")
        assert [reply.code for reply in client.replies(5)] == [250, 250, 250, 354, 250]
    assert [item.sender for item in relay.downstream.wait_for_accepted(2)] == ["alice@example.com", "evil@example.com"]
