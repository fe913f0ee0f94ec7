# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is offered is what the next hop has, and what was asked for is passed on (mail_facts: ESMTP).

RFC 1870 (SIZE), 6152 (8BITMIME), 6531 (SMTPUTF8), 3461 (DSN), 4954 (AUTH=), XFORWARD_README.
"""

from __future__ import annotations

import pytest
from harness.behaviour import reply
from harness.client import CLEAN, lmtp, smtp
from harness.downstream import POSTFIX_KEYWORDS, parameters

ALL_PARAMETERS = "SIZE=1000 BODY=8BITMIME SMTPUTF8 RET=HDRS ENVID=QQ+2B314 AUTH=a+40example.com"


def without(keyword: str) -> tuple[str, ...]:
    return tuple(line for line in POSTFIX_KEYWORDS if not line.startswith(keyword))


class TestOffered:
    @pytest.mark.parametrize(
        "keyword", ["PIPELINING", "8BITMIME", "SMTPUTF8", "DSN", "ENHANCEDSTATUSCODES", "XFORWARD"]
    )
    def test_less_what_the_next_hop_lacks(self, start_daemon, downstream, keyword):
        downstream.keywords = without(keyword)
        daemon = start_daemon()
        with daemon.client() as client:
            offered = client.hello()
            assert keyword not in offered
            assert len(offered) == 6
            # And mail goes through without it.
            client.envelope()
            assert client.data(CLEAN)[0].code == 250
        assert downstream.last.content == CLEAN

    @pytest.mark.parametrize(
        ("theirs", "offered"),
        [
            ("SIZE 1000", "1000"),
            ("SIZE 99999999", "4194304"),
            ("SIZE 0", "4194304"),
            ("SIZE", "4194304"),
            ("X", "4194304"),
        ],
    )
    def test_the_smaller_size(self, start_daemon, downstream, theirs, offered):
        downstream.keywords = (theirs,)
        with start_daemon().client() as client:
            assert client.hello()["SIZE"] == offered

    def test_only_the_xforward_attributes_that_it_takes(self, start_daemon, downstream):
        downstream.keywords = ("XFORWARD IDENT ADDR NAME BOGUS",)
        with start_daemon().client() as client:
            assert client.hello()["XFORWARD"] == "NAME ADDR IDENT"
            # Any error to XFORWARD would make smtpd(8) give up the message, so what is not passed on is taken too.
            client.good("XFORWARD NAME=x PORT=25 ADDR=192.0.2.1")
            client.envelope()
            client.data(CLEAN)
        assert downstream.last.attributes == {"NAME": "x", "ADDR": "192.0.2.1"}

    def test_a_next_hop_that_is_down_delays_no_greeting_for_long(self, start_daemon, downstream):
        daemon = start_daemon()
        downstream.stop()
        with daemon.client() as client:
            assert set(client.hello()) >= {"PIPELINING", "8BITMIME", "SMTPUTF8", "DSN", "XFORWARD"}
            client.envelope()
            assert client.data(CLEAN)[0].code == 451
            # It comes back; the session is still good.
            downstream.start()
            client.envelope()
            assert client.data(CLEAN)[0].code == 250

    def test_a_next_hop_without_any_extension(self, start_daemon, downstream):
        downstream.keywords = ()
        daemon = start_daemon()
        with daemon.client() as client:
            assert set(client.hello()) == {"SIZE"}
            client.good("MAIL FROM:<a@example.com> SIZE=10 BODY=8BITMIME RET=FULL ENVID=x AUTH=<>")
            client.good("RCPT TO:<b@example.com> NOTIFY=NEVER ORCPT=rfc822;b")
            client.good("RCPT TO:<c@example.com>")
            assert client.data(CLEAN)[0].code == 250
        assert downstream.last.mail == "MAIL FROM:<a@example.com>"
        assert downstream.last.rcpts == ["RCPT TO:<b@example.com>", "RCPT TO:<c@example.com>"]

    def test_smtputf8_that_the_next_hop_lacks_is_refused_at_once(self, start_daemon, downstream):
        downstream.keywords = without("SMTPUTF8")
        with start_daemon().client() as client:
            client.hello("LHLO")
            assert client.command("MAIL FROM:<ü@example.com> SMTPUTF8").code == 555
            client.envelope()
            assert client.data(CLEAN)[0].code == 250


class TestPipeliningOut:
    @pytest.mark.parametrize("keywords", [POSTFIX_KEYWORDS, without("PIPELINING")])
    def test_the_order_of_commands(self, start_daemon, downstream, keywords):
        downstream.keywords = keywords
        daemon = start_daemon()
        with daemon.client() as client:
            client.hello("LHLO")
            client.good("XFORWARD NAME=x")
            client.envelope(recipients=["b@example.com", "c@example.com"])
            assert [reply.code for reply in client.data(CLEAN, 2)] == [250, 250]
        assert [line.split(":")[0].split(" ")[0] for line in downstream.commands] == [
            *("EHLO", "XFORWARD", "MAIL", "RCPT", "RCPT", "DATA"),
        ]
        assert downstream.commands[0] == "EHLO filter.example.com"


class TestParametersOfMail:
    def test_all_are_carried(self, start_daemon, downstream):
        downstream.keywords = (*POSTFIX_KEYWORDS, "AUTH PLAIN")
        daemon = start_daemon()
        with daemon.client() as client:
            client.hello("LHLO")
            client.good(f"MAIL FROM:<jürgen@example.com> {ALL_PARAMETERS}")
            client.good("RCPT TO:<bärbel@exämple.com> NOTIFY=SUCCESS,FAILURE ORCPT=utf-8;bärbel@exämple.com")
            client.good("RCPT TO:<c@example.com> NOTIFY=NEVER")
            client.data(CLEAN, 2)
        mail = downstream.last.mail
        assert mail.startswith("MAIL FROM:<jürgen@example.com> ")
        assert parameters(mail) == {
            "SIZE": str(len(CLEAN)),
            "BODY": "8BITMIME",
            "SMTPUTF8": "",
            "RET": "HDRS",
            "ENVID": "QQ+2B314",
            "AUTH": "a+40example.com",
        }
        first, second = downstream.last.rcpts
        assert first == "RCPT TO:<bärbel@exämple.com> NOTIFY=SUCCESS,FAILURE ORCPT=utf-8;bärbel@exämple.com"
        assert second == "RCPT TO:<c@example.com> NOTIFY=NEVER"

    @pytest.mark.parametrize("value", ["<>", "a+40example.com", "a@example.com"])
    def test_auth_is_taken_although_it_is_not_offered(self, relay, value):
        # smtpd(8) passes it before the queue when the client has logged in.
        with relay.client("EHLO") as client:
            client.good(f"MAIL FROM:<a@example.com> AUTH={value}")
            client.good("RCPT TO:<b@example.com>")
            assert client.data(CLEAN)[0].code == 250
        assert "AUTH" not in parameters(relay.one().mail)

    def test_names_and_values_in_any_case(self, relay):
        with relay.client("EHLO") as client:
            client.good("mail from:<a@example.com> body=8bitmime ret=full size=5")
            client.good("rcpt to:<b@example.com> notify=never")
            client.good("data")
            client.send(b"x\r\n.\r\n")
            assert client.reply().code == 250
        assert relay.one().mail == "MAIL FROM:<a@example.com> SIZE=3 BODY=8bitmime RET=full"

    def test_size_is_that_of_the_content_and_not_what_the_client_said(self, relay):
        with relay.client("LHLO") as client:
            client.good("MAIL FROM:<a@example.com> SIZE=4000000")
            client.good("RCPT TO:<b@example.com>")
            client.data(b".\r\n..\r\n")
        assert parameters(relay.one().mail)["SIZE"] == "7"

    def test_nothing_is_carried_over_to_the_next_message(self, relay):
        with relay.client("LHLO") as client:
            client.good(f"MAIL FROM:<a@example.com> {ALL_PARAMETERS}")
            client.good("RCPT TO:<b@example.com> NOTIFY=NEVER")
            client.data(CLEAN)
            client.envelope()
            client.data(CLEAN)
        last = relay.downstream.wait_for_accepted(2)[-1]
        assert list(parameters(last.mail)) == ["SIZE"]
        assert parameters(last.rcpts[0]) == {}


class TestAddresses:
    @pytest.mark.parametrize(
        "address",
        [
            *('"a b"@example.com', '"a>b<c"@example.com', r'"a\"b"@example.com', "a@[192.0.2.1]", "a+b=c@example.com"),
            *(
                "a@[IPv6:2001:db8::1]",
                "postmaster",
                "A!#$%&'*/?^`{|}~-b@EXAMPLE.com",
                "ü@exämple.com",
                "x" * 900 + "@b",
            ),
        ],
    )
    def test_are_passed_on_as_they_came(self, relay, address):
        assert lmtp(relay.address, sender=address, recipients=[address])[0].code == 250
        assert (relay.one().sender, relay.one().recipients) == (address, [address])

    def test_bytes_that_are_not_utf_8(self, relay):
        with relay.client("LHLO") as client:
            client.good(b"MAIL FROM:<\xff\xfe@example.com>")
            client.good(b"RCPT TO:<\xe9@example.com>")
            assert client.data(CLEAN)[0].code == 250
        assert relay.one().sender.encode("utf-8", "surrogateescape") == b"\xff\xfe@example.com"
        assert relay.one().recipients[0].encode("utf-8", "surrogateescape") == b"\xe9@example.com"

    def test_source_routes_are_dropped(self, relay):
        lmtp(relay.address, sender="@x,@y:a@example.com", recipients=["@x:b@example.com"])
        assert (relay.one().sender, relay.one().recipients) == ("a@example.com", ["b@example.com"])

    @pytest.mark.parametrize("send", [lmtp, smtp])
    def test_the_null_sender(self, relay, send):
        send(relay.address, sender="")
        assert relay.one().mail.startswith("MAIL FROM:<> ")

    def test_a_thousand_recipients_and_one(self, relay):
        recipients = [f"r{number}@example.com" for number in range(1000)]
        with relay.client("LHLO") as client:
            client.send(b"MAIL FROM:<>\r\n" + b"".join(f"RCPT TO:<{item}>\r\n".encode() for item in recipients))
            assert {item.code for item in client.replies(1001)} == {250}
            too_many = client.command("RCPT TO:<one.more@example.com>")
            assert (too_many.code, too_many.enhanced) == (452, ["4.5.3"])
            assert {item.code for item in client.data(CLEAN, 1000)} == {250}
        assert relay.one().recipients == recipients


class TestSize:
    def test_refused_at_mail(self, relay):
        with relay.client("EHLO") as client:
            refused = client.command(f"MAIL FROM:<a@example.com> SIZE={4 * 1024 * 1024 + 1}")
            assert (refused.code, refused.enhanced) == (552, ["5.3.4"])
            client.good(f"MAIL FROM:<a@example.com> SIZE={4 * 1024 * 1024}")

    def test_refused_in_data_for_each_recipient(self, start_daemon, downstream):
        daemon = start_daemon(message_size_limit=1000)
        with daemon.client() as client:
            client.hello("LHLO")
            client.envelope(recipients=["b@example.com", "c@example.com"])
            replies = client.data(b"x" * 70 + b"\r\n" * 10000, 2)
            assert [(item.code, item.enhanced) for item in replies] == [(552, ["5.3.4"])] * 2
            # The session goes on.
            client.envelope()
            assert client.data(CLEAN)[0].code == 250
        assert len(downstream.transactions) == 1

    @pytest.mark.parametrize(("size", "code"), [(999, 250), (1000, 250), (1001, 552)])
    def test_to_the_byte(self, start_daemon, downstream, size, code):
        daemon = start_daemon(message_size_limit=1000)
        content = b"." + b"x" * (size - 3) + b"\r\n"  # the transparency dot does not count
        assert smtp(daemon.address, content).code == code

    def test_a_large_message_on_its_way_is_let_go_when_it_becomes_too_large(self, start_daemon, downstream):
        # Given a client that sends without end, then its scratch is free long before it stops.
        daemon = start_daemon(message_size_limit=600000, memory_per_message=4096, instances=1)
        with daemon.client() as client:
            client.hello("LHLO")
            client.envelope()
            client.good("DATA")
            client.send(b"x" * 65536 * 12)
            assert lmtp(daemon.address, b"x" * 500000 + b"\r\n")[0].code == 250  # n is 1
            client.send(b"\r\n.\r\n")
            assert client.reply().code == 552

    def test_refused_by_the_next_hop(self, relay):
        relay.downstream.on("mail", reply(552, "5.3.4 Message size exceeds fixed limit"))
        assert [item.code for item in lmtp(relay.address, recipients=["b@example.com", "c@example.com"])] == [552, 552]


class TestXforward:
    LINE = "XFORWARD NAME=spike.example.com ADDR=IPV6:2001:db8::1 PORT=[UNAVAILABLE] PROTO=ESMTP"
    LINE2 = "XFORWARD HELO=a+20b IDENT=4FQB0 SOURCE=REMOTE"

    def expected(self) -> dict[str, str]:
        words = [word for line in (self.LINE, self.LINE2) for word in line.split()[1:]]
        return dict(word.split("=", 1) for word in words)

    @pytest.mark.parametrize("verb", ["LHLO", "EHLO"])
    def test_is_passed_on_in_xtext(self, relay, verb):
        with relay.client(verb) as client:
            client.good(self.LINE)
            client.good(self.LINE2)
            client.envelope()
            client.data(CLEAN)
        assert relay.one().attributes == self.expected()
        assert "front=4FQB0 client=[IPV6:2001:db8::1]" in relay.daemon.messages()[-1]

    def test_ends_with_the_message(self, relay):
        with relay.client("LHLO") as client:
            for attributes in (["NAME=one", "IDENT=1"], [], ["ADDR=192.0.2.1"]):
                for attribute in attributes:
                    client.good("XFORWARD " + attribute)
                client.envelope()
                client.data(CLEAN)
        first, second, third = relay.downstream.wait_for_accepted(3)
        assert first.attributes == {"NAME": "one", "IDENT": "1"}
        # The connection downstream is the same; nothing of the first message is left there.
        assert {first.connection, second.connection, third.connection} == {first.connection}
        assert second.attributes == {}
        assert third.attributes == {"ADDR": "192.0.2.1"}

    @pytest.mark.parametrize("between", ["RSET", "EHLO x", "LHLO x"])
    def test_ends_with(self, relay, between):
        with relay.client("LHLO") as client:
            client.good("XFORWARD NAME=x")
            client.good(between)
            client.envelope()
            client.data(CLEAN)
        assert relay.one().attributes == {}

    def test_ends_with_a_message_that_was_refused(self, relay):
        relay.downstream.on("rcpt", reply(550, "5.1.1 no"), times=1)
        with relay.client("LHLO") as client:
            client.good("XFORWARD NAME=x")
            client.envelope()
            assert client.data(CLEAN)[0].code == 550
            client.envelope()
            assert client.data(CLEAN)[0].code == 250
        assert relay.downstream.last.attributes == {}

    def test_an_error_of_the_next_hop_is_no_error_of_the_message(self, relay):
        relay.downstream.on("xforward", reply(501, "5.5.4 Bad XFORWARD syntax"))
        with relay.client("LHLO") as client:
            client.good("XFORWARD NAME=x")
            client.envelope()
            assert client.data(CLEAN)[0].code == 451
        assert relay.downstream.dots == 0

    def test_long_values_are_split_over_commands(self, relay):
        with relay.client("LHLO") as client:
            for name in ("NAME", "HELO", "IDENT"):
                client.good(f"XFORWARD {name}={name[0] * 255}")
            client.envelope()
            assert client.data(CLEAN)[0].code == 250
        assert relay.one().attributes == {name: name[0] * 255 for name in ("NAME", "HELO", "IDENT")}
        assert all(len(line) <= 510 for line in relay.one().xforward)

    @pytest.mark.parametrize("attribute", ["ADDR=", "IDENT=", "NAME=[UNAVAILABLE]", "SOURCE=[UNAVAILABLE]"])
    def test_nothing_known_is_no_error(self, relay, attribute):
        with relay.client("EHLO") as client:
            client.good("XFORWARD " + attribute)
            client.envelope()
            assert client.data(CLEAN)[0].code == 250
        name, value = attribute.split("=")
        assert relay.one().attributes == ({name: value} if value else {})
