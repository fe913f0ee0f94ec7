# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Greetings, errors that a session survives, pipelining, hostile commands (RFC 5321, RFC 2033, RFC 2920)."""

from __future__ import annotations

import random
import time

import pytest
from harness.client import CLEAN, lmtp, smtp, stuff


class TestGreeting:
    def test_banner(self, relay):
        with relay.client() as client:
            assert client.banner.lines[0].startswith("220 filter.example.com ESMTP")

    @pytest.mark.parametrize("verb", ["EHLO", "LHLO", "ehlo", "Lhlo"])
    def test_all_extensions_of_postfix(self, relay, verb):
        with relay.client() as client:
            assert client.hello(verb) == {
                "PIPELINING": "",
                "SIZE": str(4 * 1024 * 1024),
                "8BITMIME": "",
                "SMTPUTF8": "",
                "DSN": "",
                "ENHANCEDSTATUSCODES": "",
                "XFORWARD": "NAME ADDR PORT PROTO HELO IDENT SOURCE",
            }

    def test_what_is_never_offered(self, relay):
        with relay.client() as client:
            assert not {"CHUNKING", "STARTTLS", "AUTH", "BINARYMIME", "VRFY", "ETRN", "XCLIENT"} & set(client.hello())

    def test_helo_offers_nothing(self, relay):
        with relay.client() as client:
            assert client.hello("HELO") == {}
            client.envelope()
            assert client.data(CLEAN)[0].code == 250
        assert relay.one().content == CLEAN

    def test_one_port_one_session_all_three(self, relay):
        with relay.client() as client:
            for verb, replies in (("LHLO", 2), ("HELO", 1), ("EHLO", 1), ("LHLO", 2)):
                client.hello(verb)
                client.envelope(recipients=["b@example.com", "c@example.com"])
                assert [reply.code for reply in client.data(CLEAN, replies)] == [250] * replies
                assert client.silent(0.05)

    def test_quit_says_goodbye_and_closes(self, relay):
        with relay.client() as client:
            assert client.command("QUIT").lines == ["221 2.0.0 Bye"]
            assert client.read_to_end() == b""


ERRORS = [
    ("EHLO", 501, "5.5.4"),
    ("HELO", 501, "5.5.4"),
    ("", 500, "5.5.2"),
    ("FOO", 500, "5.5.2"),
    ("FOO BAR " + "x" * 600, 500, "5.5.2"),
    ("NOOP " + "x" * 20000, 500, "5.5.2"),
    ("STARTTLS", 502, "5.5.1"),
    ("AUTH PLAIN AGEAYg==", 502, "5.5.1"),
    ("BDAT 5 LAST", 502, "5.5.1"),
    ("EXPN list", 502, "5.5.1"),
    ("ETRN example.com", 502, "5.5.1"),
    ("XCLIENT ADDR=192.0.2.1", 502, "5.5.1"),
    ("DATA", 503, "5.5.1"),
    ("RCPT TO:<b@example.com>", 503, "5.5.1"),
    ("MAIL", 501, "5.5.4"),
    ("MAIL FROM:", 501, "5.1.7"),
    ("MAIL FROM:a@example.com", 501, "5.1.7"),
    ("MAIL FROM:<a@example.com", 501, "5.1.7"),
    ("MAIL FROM:<a@example.com> SIZE=abc", 501, "5.5.4"),
    ("MAIL FROM:<a@example.com> SIZE=99999999999", 552, "5.3.4"),
    ("MAIL FROM:<a@example.com> BODY=BINARYMIME", 501, "5.5.4"),
    ("MAIL FROM:<a@example.com> RET=ALL", 501, "5.5.4"),
    ("MAIL FROM:<a@example.com> ENVID=a=b", 501, "5.5.4"),
    ("MAIL FROM:<a@example.com> SIZE=1 SIZE=1", 501, "5.5.4"),
    ("MAIL FROM:<a@example.com> X-UNKNOWN=1", 555, "5.5.4"),
    ("XFORWARD BOGUS=1", 501, "5.5.4"),
    ("XFORWARD NAME=+zz", 501, "5.5.4"),
    ("RSET x", 501, "5.5.4"),
    ("VRFY", 501, "5.5.4"),
    (b"NOOP \xff\x00", 500, "5.5.2"),
    (b"NOOP \x07", 500, "5.5.2"),
    (b"RSET\r", 500, "5.5.2"),
]
MAIL_ERRORS = [
    ("MAIL FROM:<c@example.com>", 503, "5.5.1"),
    ("XFORWARD NAME=x", 503, "5.5.1"),
    ("RCPT TO:<>", 501, "5.1.3"),
    ("RCPT TO:b@example.com", 501, "5.1.3"),
    ("RCPT TO:<b@example.com> NOTIFY=MAYBE", 501, "5.5.4"),
    ("RCPT TO:<b@example.com> ORCPT=b", 501, "5.5.4"),
    ("RCPT TO:<b@example.com> SIZE=1", 555, "5.5.4"),
    ("DATA", 503, "5.5.1"),
    ("DATA x", 501, "5.5.4"),
]


class TestErrors:
    @pytest.mark.parametrize("verb", ["EHLO", "LHLO"])
    @pytest.mark.parametrize(("line", "code", "enhanced"), ERRORS, ids=[str(number) for number in range(len(ERRORS))])
    def test_outside_of_a_transaction(self, relay, verb, line, code, enhanced):
        # Given a wrong command, then it gets its code with an enhanced code, and the session delivers mail after it.
        with relay.client(verb) as client:
            reply = client.command(line)
            assert (reply.code, reply.enhanced) == (code, [enhanced])
            client.envelope()
            assert client.data(CLEAN)[0].code == 250
        assert relay.one().content == CLEAN

    @pytest.mark.parametrize(
        ("line", "code", "enhanced"), MAIL_ERRORS, ids=[str(number) for number in range(len(MAIL_ERRORS))]
    )
    def test_inside_of_a_transaction(self, relay, line, code, enhanced):
        with relay.client("LHLO") as client:
            client.good("MAIL FROM:<a@example.com>")
            reply = client.command(line)
            assert (reply.code, reply.enhanced) == (code, [enhanced])
            client.good("RCPT TO:<b@example.com>")
            assert client.data(CLEAN)[0].code == 250
        assert (relay.one().sender, relay.one().recipients) == ("a@example.com", ["b@example.com"])

    @pytest.mark.parametrize("line", ["MAIL FROM:<>", "RCPT TO:<b@example.com>", "DATA", "XFORWARD NAME=x"])
    def test_before_the_greeting(self, relay, line):
        with relay.client() as client:
            assert client.command(line).code == 503
            client.hello()

    def test_a_hundred_errors_end_the_session(self, relay):
        with relay.client() as client:
            client.send(b"FOO\r\n" * 200)
            assert [reply.code for reply in client.replies(102)] == [500] * 101 + [421]
            assert client.read_to_end() == b""
        assert lmtp(relay.address)[0].code == 250

    def test_data_after_errors_only_is_503(self, relay):
        with relay.client("LHLO") as client:
            client.good("MAIL FROM:<a@example.com>")
            client.command("RCPT TO:<>")
            assert client.command("DATA").code == 503
            client.good("RSET")


class TestPipelining:
    def test_a_whole_session_in_one_packet(self, relay):
        one = b"MAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.com>\r\nRCPT TO:<c@example.com>\r\nDATA\r\n" + stuff(
            CLEAN
        )
        with relay.client() as client:
            client.send(b"LHLO x\r\n" + one * 3 + b"NOOP\r\nQUIT\r\n")
            codes = [client.reply().code for _ in range(1 + 3 * 6 + 2)]
            assert codes == [250] + [250, 250, 250, 354, 250, 250] * 3 + [250, 221]
            assert client.read_to_end() == b""
        assert [item.content for item in relay.downstream.accepted] == [CLEAN] * 3

    def test_replies_come_in_order_also_while_a_message_is_scanned(self, relay):
        with relay.client("EHLO") as client:
            client.send(
                b"MAIL FROM:<>\r\nRCPT TO:<b@example.com>\r\nDATA\r\n" + stuff(CLEAN) + b"FOO\r\nVRFY x\r\nDATA\r\n"
            )
            assert [reply.code for reply in client.replies(7)] == [250, 250, 354, 250, 500, 252, 503]

    def test_the_client_that_sends_all_and_closes_its_side_gets_its_replies(self, relay):
        # As `printf ... | nc` does.
        with relay.client() as client:
            client.send(b"EHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<b@example.com>\r\nDATA\r\n" + stuff(CLEAN) + b"QUIT\r\n")
            client.half_close()
            assert [reply.code for reply in client.replies(6)] == [250, 250, 250, 354, 250, 221]
        assert relay.one().content == CLEAN

    @pytest.mark.parametrize("size", [1, 3, 7])
    def test_any_packets(self, relay, size):
        data = (
            b"LHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<b@example.com>\r\nDATA\r\n"
            + stuff(b".\r\n..\r\n\r\n.x\r\n")
            + b"QUIT\r\n"
        )
        with relay.client() as client:
            for start in range(0, len(data), size):
                client.send(data[start : start + size])
            assert [reply.code for reply in client.replies(6)] == [250, 250, 250, 354, 250, 221]
        assert relay.one().content == b".\r\n..\r\n\r\n.x\r\n"


class TestHostileCommands:
    @pytest.mark.parametrize(
        "data",
        [
            b"NOOP\n",
            b"MAIL FROM:<a@example.com>\nRCPT TO:<b@example.com>\r\n",
            b"RSET\n\r\n",
            b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
            b"POST / HTTP/1.1\r\n\r\nEHLO x\r\nMAIL FROM:<a@example.com>\r\n",
        ],
    )
    def test_the_session_ends_and_nothing_behind_it_is_obeyed(self, relay, data):
        with relay.client("EHLO") as client:
            client.send(
                data + b"EHLO x\r\nMAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.com>\r\nDATA\r\n" + stuff(CLEAN)
            )
            assert client.reply().code == 521
            assert client.read_to_end() == b""
        assert smtp(relay.address).code == 250
        assert relay.one().content == CLEAN

    def test_a_bare_lf_never_adds_a_recipient(self, relay):
        with relay.client("EHLO") as client:
            client.good("MAIL FROM:<a@example.com>")
            client.send(b"RCPT TO:<b@example.com>\nRCPT TO:<evil@example.com>\r\nDATA\r\n" + stuff(CLEAN))
            client.read_to_end()
        time.sleep(0.1)
        assert not relay.downstream.transactions

    @pytest.mark.parametrize(
        "command", [b"MAIL FROM:<a@example.com>\rRCPT TO:<b@example.com>", b"RCPT\0 TO:<b@example.com>"]
    )
    def test_control_characters_are_no_separators(self, relay, command):
        with relay.client("EHLO") as client:
            assert client.command(command).code == 500
            assert client.command("RCPT TO:<b@example.com>").code == 503

    def test_a_line_without_end_is_cut_off(self, relay):
        with relay.client("EHLO") as client:
            client.send(b"x" * 200000)
            assert client.reply().code == 500
            client.read_to_end()
        assert smtp(relay.address).code == 250

    @pytest.mark.parametrize("length", [510, 1000, 2048, 4096, 16000])
    def test_long_commands_are_taken(self, relay, length):
        address = "x" * length + "@example.com"
        assert lmtp(relay.address, sender=address, recipients=[address])[0].code == 250
        assert (relay.one().sender, relay.one().recipients) == (address, [address])

    def test_random_bytes_end_no_worker(self, relay):
        chance, workers = random.Random(1), relay.daemon.worker_pids()
        for _ in range(20):
            with relay.client() as client:
                try:
                    for _ in range(5):
                        client.send(bytes(chance.choices(b"\r\n\0. EHLODATMIFRCPT:<>@\xff", k=500)))
                except OSError:
                    continue  # cut off
        assert lmtp(relay.address)[0].code == 250
        assert relay.daemon.worker_pids() == workers


class TestOtherCommands:
    @pytest.mark.parametrize(
        ("line", "code"),
        [
            ("NOOP", 250),
            ("NOOP something", 250),
            ("RSET", 250),
            ("VRFY b@example.com", 252),
            ("HELP", 214),
            ("noop", 250),
        ],
    )
    def test_are_answered_at_any_time(self, relay, line, code):
        with relay.client() as client:
            assert client.command(line).code == code
            client.hello()
            assert client.command(line).code == code

    def test_rset_forgets_the_envelope(self, relay):
        with relay.client("EHLO") as client:
            client.envelope("old@example.com", ["old@example.com"])
            client.good("RSET")
            assert client.command("DATA").code == 503
            client.envelope("new@example.com", ["new@example.com"])
            assert client.data(CLEAN)[0].code == 250
        assert (relay.one().sender, relay.one().recipients) == ("new@example.com", ["new@example.com"])

    @pytest.mark.parametrize("verb", ["EHLO", "HELO", "LHLO"])
    def test_a_new_greeting_forgets_the_envelope(self, relay, verb):
        with relay.client("EHLO") as client:
            client.envelope()
            client.hello(verb)
            assert client.command("DATA").code == 503

    def test_many_messages_on_one_connection(self, relay):
        with relay.client("LHLO") as client:
            for number in range(50):
                client.envelope(f"a{number}@example.com")
                assert client.data(b"Subject: %d\r\n\r\n" % number)[0].code == 250
        accepted = relay.downstream.accepted
        assert [item.sender for item in accepted] == [f"a{number}@example.com" for number in range(50)]
        assert [item.content for item in accepted] == [b"Subject: %d\r\n\r\n" % number for number in range(50)]
