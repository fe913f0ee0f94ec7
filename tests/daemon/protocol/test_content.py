# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Content leaves exactly as it came, whatever it is and however it comes (RFC 5321 section 4.5.2)."""

from __future__ import annotations

import hashlib
import random

import pytest
from harness.client import lmtp, smtp, stuff
from harness.downstream import parameters
from harness.samples import CONTENTS


@pytest.mark.parametrize("send", [lmtp, smtp])
@pytest.mark.parametrize("name", CONTENTS)
def test_leaves_as_it_came(relay, send, name):
    send(relay.address, CONTENTS[name])
    transaction = relay.one()
    assert hashlib.sha256(transaction.content).digest() == hashlib.sha256(CONTENTS[name]).digest()
    assert transaction.wire + b".\r\n" == stuff(CONTENTS[name])
    assert parameters(transaction.mail)["SIZE"] == str(len(CONTENTS[name]))


def test_nothing_is_added_and_nothing_removed(relay):
    # No Received header, no mark, no missing header added: DKIM signatures still verify.
    content = b"DKIM-Signature: v=1; bh=x;\r\n b=y\r\nX-Virus-Scanned: by somebody else\r\n\r\nbody\r\n"
    lmtp(relay.address, content)
    assert relay.one().content == content


@pytest.mark.parametrize("seed", range(5))
def test_comes_in_any_packets(relay, seed):
    # Given content full of dots and line ends, when it comes in random pieces, then it leaves as it came.
    chance = random.Random(seed)
    content = (
        b"".join(chance.choices([b"\r\n", b".", b"..", b"x", b"\0", b"\r\n.\r\n", b"\xff" * 50], k=3000)) + b"\r\n"
    )
    wire = stuff(content)
    with relay.client("LHLO") as client:
        client.envelope()
        client.good("DATA")
        position = 0
        while position < len(wire):
            size = chance.choice([1, 2, 3, 5, 100, 1460])
            client.send(wire[position : position + size])
            position += size
        assert client.reply().code == 250
    assert relay.one().content == content


@pytest.mark.parametrize("cut", range(1, 9))
def test_the_end_of_data_in_two_packets(relay, cut):
    wire = b"x\r\n.\r\nQUIT\r\n"
    with relay.client("LHLO") as client:
        client.envelope()
        client.good("DATA")
        client.send(wire[:cut])
        assert client.silent(0.02) or cut >= 6
        client.send(wire[cut:])
        assert [reply.code for reply in client.replies(2)] == [250, 221]
    assert relay.one().content == b"x\r\n"


def test_large_messages_go_through_scratch_and_leave_nothing(relay):
    content = b"Subject: x\r\n\r\n" + random.Random(1).randbytes(1_000_000).hex().encode() + b"\r\n"
    assert lmtp(relay.address, content)[0].code == 250
    assert relay.one().content == content
    assert list(relay.daemon.scratch.iterdir()) == []


class TestHops:
    @staticmethod
    def received(count: int, name: bytes = b"Received") -> bytes:
        return (name + b": from x by y; Sat, 1 Jan 2026 00:00:00 +0000\r\n") * count + b"\r\nbody\r\n"

    @pytest.mark.parametrize(("count", "code"), [(99, 250), (100, 250), (101, 554), (5000, 554)])
    def test_more_than_a_hundred_are_a_loop(self, relay, count, code):
        replies = lmtp(relay.address, self.received(count), recipients=["b@example.com", "c@example.com"])
        assert [reply.code for reply in replies] == [code] * 2
        if code == 554:
            assert [reply.enhanced for reply in replies] == [["5.4.6"]] * 2
            assert not relay.downstream.transactions

    @pytest.mark.parametrize("name", [b"received", b"RECEIVED", b"Received "])
    def test_in_any_spelling(self, relay, name):
        assert smtp(relay.address, self.received(101, name)).code == 554

    def test_only_those_of_the_message_itself_count(self, relay):
        inner = b"Content-Type: message/rfc822\r\nX-Received: x\r\n\r\n"
        assert smtp(relay.address, inner + self.received(200)).code == 250
