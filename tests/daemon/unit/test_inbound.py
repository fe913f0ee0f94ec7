# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The side Postfix talks to, as bytes in and events out: no socket, no clock."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filterd.smtp.events import (
    Closing,
    CommandDone,
    Content,
    ContentEnds,
    ContentStarts,
    GreetingNeeded,
    TransactionDropped,
)
from filterd.smtp.inbound import InboundSession, Limits
from filterd.smtp.reply import Reply

KEYWORDS = ["PIPELINING", "SIZE 1000", "8BITMIME", "SMTPUTF8", "DSN", "ENHANCEDSTATUSCODES"]
OK = Reply(250, "2.0.0", "Ok")


class Peer:
    """A session and what has come out of it. Greets and accepts at once."""

    def __init__(self, keywords: list[str] = KEYWORDS, **limits) -> None:
        self.session = InboundSession("filter.example.com", Limits(**{"message_size": 1000, **limits}))
        self.keywords = keywords
        self.events: list[object] = []
        self.output = b""
        self.recipients = 0
        self.lmtp = False
        self._take()

    def send(self, data: bytes | str) -> list[int]:
        """The codes of the replies to this."""
        self.session.receive(data.encode() if isinstance(data, str) else data)
        while True:
            event = self.session.next_event()
            if event is None:
                return self._take()
            self._merge(event)
            if isinstance(event, GreetingNeeded):
                self.session.greet(self.keywords)
            elif isinstance(event, ContentStarts):
                self.lmtp, self.recipients = event.envelope.lmtp, len(event.envelope.recipients)
            elif isinstance(event, ContentEnds):
                self.session.finish([OK] * (self.recipients if self.lmtp else 1))

    def _merge(self, event: object) -> None:
        if isinstance(event, Content) and self.events and isinstance(self.events[-1], Content):
            event = Content(self.events.pop().data + event.data)
        if not isinstance(event, CommandDone):
            self.events.append(event)

    def _take(self) -> list[int]:
        data = self.session.take_output()
        self.output += data
        return [int(line[:3]) for line in data.split(b"\r\n")[:-1] if line[3:4] != b"-"]

    @property
    def envelopes(self):
        return [event.envelope for event in self.events if isinstance(event, ContentStarts)]

    @property
    def contents(self) -> list[bytes]:
        return [event.data for event in self.events if isinstance(event, Content)]


def greeted(verb: str = "EHLO", **options) -> Peer:
    peer = Peer(**options)
    assert peer.send(f"{verb} client.example.com\r\n") == [250]
    return peer


MESSAGE = "MAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.com>\r\nDATA\r\nSubject: x\r\n\r\nHello\r\n.\r\n"


class TestDialogue:
    def test_greets_first(self):
        assert Peer().output == b"220 filter.example.com ESMTP LMTP content filter\r\n"

    @pytest.mark.parametrize("verb", ["EHLO", "LHLO", "ehlo"])
    def test_offers_extensions(self, verb):
        peer = greeted(verb)
        assert peer.output.endswith(
            b"250-filter.example.com\r\n250-PIPELINING\r\n250-SIZE 1000\r\n250-8BITMIME\r\n"
            b"250-SMTPUTF8\r\n250-DSN\r\n250 ENHANCEDSTATUSCODES\r\n"
        )

    def test_helo_is_one_line(self):
        assert greeted("HELO").output.endswith(b"\r\n250 filter.example.com\r\n")

    def test_one_message(self):
        peer = greeted()
        assert peer.send(MESSAGE) == [250, 250, 354, 250]
        envelope = peer.envelopes[0]
        assert (envelope.sender, [item.address for item in envelope.recipients]) == ("a@example.com", ["b@example.com"])
        assert peer.contents == [b"Subject: x\r\n\r\nHello\r\n"]

    def test_lmtp_answers_for_each_accepted_recipient_duplicates_too(self):
        peer = greeted("LHLO")
        codes = peer.send(
            "MAIL FROM:<>\r\nRCPT TO:<b@example.com>\r\nRCPT TO:<bad\r\nRCPT TO:<b@example.com>\r\nDATA\r\n.\r\n"
        )
        assert codes == [250, 250, 501, 250, 354, 250, 250]

    def test_the_last_greeting_decides_how_the_end_is_answered(self):
        peer = greeted("LHLO")
        peer.send("EHLO x\r\n")
        two = MESSAGE.replace("DATA", "RCPT TO:<c@example.com>\r\nDATA")
        assert peer.send(two) == [250, 250, 250, 354, 250]
        peer.send("LHLO x\r\n")
        assert peer.send(two) == [250, 250, 250, 354, 250, 250]

    def test_many_messages_and_quit_in_one_piece(self):
        peer = greeted()
        assert peer.send(MESSAGE * 3 + "QUIT\r\n") == [250, 250, 354, 250] * 3 + [221]
        assert isinstance(peer.events[-1], Closing)
        assert peer.session.closed

    def test_parameters_are_kept_but_for_size(self):
        peer = greeted()
        peer.send(
            "MAIL FROM:<> SIZE=10 BODY=8BITMIME SMTPUTF8 RET=HDRS ENVID=x AUTH=<>\r\n"
            "RCPT TO:<b@example.com> NOTIFY=NEVER ORCPT=rfc822;b\r\nDATA\r\n"
        )
        envelope = peer.envelopes[0]
        assert envelope.parameters == {"BODY": "8BITMIME", "SMTPUTF8": "", "RET": "HDRS", "ENVID": "x", "AUTH": "<>"}
        assert envelope.recipients[0].parameters == {"NOTIFY": "NEVER", "ORCPT": "rfc822;b"}

    @pytest.mark.parametrize(
        "end", ["RSET\r\n", "EHLO x\r\n", "HELO x\r\n", "LHLO x\r\n", "RCPT TO:<b@example.com>\r\nDATA\r\n.\r\n"]
    )
    def test_a_transaction_ends_with(self, end):
        peer = greeted()
        peer.send("XFORWARD NAME=x\r\nMAIL FROM:<a@example.com> RET=HDRS\r\n" + end)
        peer.send("EHLO x\r\n" + MESSAGE)
        assert peer.envelopes[-1].xforward == {}
        assert peer.envelopes[-1].parameters == {}
        assert len(peer.envelopes[-1].recipients) == 1

    def test_xforward_adds_up(self):
        peer = greeted()
        assert peer.send("XFORWARD NAME=x ADDR=192.0.2.1\r\nXFORWARD ADDR=192.0.2.2 PORT=25\r\n") == [250, 250]
        peer.send(MESSAGE)
        assert peer.envelopes[0].xforward == {"NAME": "x", "ADDR": "192.0.2.2", "PORT": "25"}

    def test_a_failed_command_changes_nothing(self):
        peer = greeted()
        peer.send("XFORWARD NAME=x\r\nMAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.com>\r\n")
        codes = peer.send(
            "MAIL FROM:<evil@example.com>\r\nXFORWARD NAME=y\r\nRCPT TO:<>\r\nBOGUS\r\nDATA x\r\nEHLO\r\nRSET x\r\n"
        )
        assert codes == [503, 503, 501, 500, 501, 501, 501]
        peer.send("DATA\r\n.\r\n")
        envelope = peer.envelopes[0]
        assert (envelope.sender, len(envelope.recipients), envelope.xforward) == ("a@example.com", 1, {"NAME": "x"})


class TestRefusals:
    @pytest.mark.parametrize(
        ("line", "code", "enhanced"),
        [
            ("", 500, "5.5.2"),
            (" NOOP", 500, "5.5.2"),
            ("BOGUS", 500, "5.5.2"),
            ("NOOP\tx", 500, "5.5.2"),
            ("MAIL\0 FROM:<a@example.com>", 500, "5.5.2"),
            ("MAIL FROM:<a@example.com>\r", 500, "5.5.2"),
            ("R\u017fET", 500, "5.5.2"),
            ("STARTTLS", 502, "5.5.1"),
            ("AUTH PLAIN x", 502, "5.5.1"),
            ("BDAT 10 LAST", 502, "5.5.1"),
            ("EXPN x", 502, "5.5.1"),
            ("ETRN x", 502, "5.5.1"),
            ("XCLIENT NAME=x", 502, "5.5.1"),
            ("EHLO", 501, "5.5.4"),
            ("HELO", 501, "5.5.4"),
            ("LHLO ", 501, "5.5.4"),
            ("MAIL", 501, "5.5.4"),
            ("MAIL FROM a@example.com", 501, "5.5.4"),
            ("MAIL FROM:a@example.com", 501, "5.1.7"),
            ("MAIL FROM:<a@example.com> BOGUS=1", 555, "5.5.4"),
            ("MAIL FROM:<a@example.com> SIZE=1001", 552, "5.3.4"),
            ("RCPT TO:<b@example.com>", 503, "5.5.1"),
            ("DATA", 503, "5.5.1"),
            ("VRFY", 501, "5.5.4"),
            ("RSET now", 501, "5.5.4"),
            ("XFORWARD", 501, "5.5.4"),
            ("XFORWARD BOGUS=1", 501, "5.5.4"),
            ("NOOP " + "x" * 16400, 500, "5.5.2"),
        ],
    )
    def test_code_and_enhanced_code_and_the_session_goes_on(self, line, code, enhanced):
        peer = greeted()
        before = len(peer.output)
        assert peer.send(line + "\r\n") == [code]
        assert peer.output[before:].startswith(f"{code} {enhanced} ".encode())
        assert peer.send(MESSAGE) == [250, 250, 354, 250]

    @pytest.mark.parametrize("line", ["MAIL FROM:<>", "RCPT TO:<b@example.com>", "DATA", "XFORWARD NAME=x"])
    def test_nothing_before_the_greeting(self, line):
        assert Peer().send(line + "\r\n") == [503]

    @pytest.mark.parametrize(
        ("line", "code"), [("NOOP", 250), ("NOOP x", 250), ("RSET", 250), ("VRFY b", 252), ("HELP", 214)]
    )
    def test_some_commands_need_no_greeting(self, line, code):
        assert Peer().send(line + "\r\n") == [code]

    def test_data_without_a_valid_recipient_is_503_and_what_follows_is_no_content(self):
        peer = greeted("LHLO")
        assert peer.send("MAIL FROM:<>\r\nRCPT TO:<>\r\nDATA\r\nRSET\r\n") == [250, 501, 503, 250]
        assert peer.events == [GreetingNeeded()]

    def test_a_recipient_too_many_is_452(self):
        peer = greeted("LHLO", recipients=2)
        codes = peer.send("MAIL FROM:<>\r\n" + "RCPT TO:<b@example.com>\r\n" * 3 + "DATA\r\n.\r\n")
        assert codes == [250, 250, 250, 452, 354, 250, 250]

    def test_recipients_are_not_idle_commands(self):
        peer = greeted("LHLO", recipients=300, idle_commands=50)
        codes = peer.send("MAIL FROM:<>\r\n" + "RCPT TO:<b@example.com>\r\n" * 300 + "DATA\r\n.\r\n")
        assert set(codes) == {250, 354}

    def test_smtputf8_that_was_not_offered(self):
        peer = greeted(keywords=["PIPELINING"])
        assert peer.send("MAIL FROM:<a@example.com> SMTPUTF8\r\n") == [555]
        assert peer.send(MESSAGE) == [250, 250, 354, 250]

    def test_commands_of_4_kib_are_taken(self):
        peer = greeted()
        address = "x" * 4000 + "@example.com"
        peer.send(f"MAIL FROM:<{address}>\r\nRCPT TO:<b@example.com>\r\nDATA\r\n")
        assert peer.envelopes[0].sender == address


class TestEndOfPatience:
    @pytest.mark.parametrize(
        ("data", "code"),
        [
            (b"NOOP\nMAIL FROM:<a@example.com>\r\n", 521),
            (b"RSET\n", 521),
            (b"GET / HTTP/1.1\r\nHost: x\r\n\r\nEHLO x\r\n", 521),
            (b"POST / HTTP/1.1\r\n\r\n", 521),
            (b"x" * 70000, 500),
        ],
    )
    def test_says_so_and_closes(self, data, code):
        peer = greeted()
        assert peer.send(data) == [code]
        assert peer.session.closed
        assert peer.send(MESSAGE) == []

    def test_too_many_errors(self):
        peer = greeted(errors=5)
        assert peer.send("BOGUS\r\n" * 10) == [500] * 6 + [421]
        assert peer.session.closed

    def test_too_many_idle_commands(self):
        peer = greeted(idle_commands=5)
        assert peer.send("NOOP\r\n" * 10)[-1] == 421
        assert peer.session.closed

    def test_messages_end_idleness_and_make_up_for_errors(self):
        peer = greeted(idle_commands=10, errors=10)
        for _ in range(20):
            assert peer.send("NOOP\r\nBOGUS\r\n" + MESSAGE)[-1] == 250


class TestContent:
    def test_more_than_the_limit_is_552_and_forgotten_at_once(self):
        peer = greeted(message_size=10)
        peer.send("MAIL FROM:<>\r\nRCPT TO:<b@example.com>\r\nDATA\r\n")
        assert peer.send(b"123456789\r\nx") == []
        assert isinstance(peer.events[-1], TransactionDropped)
        assert peer.send(b"more and more\r\n" * 1000) == []
        assert peer.contents == []
        assert peer.send(b".\r\n") == [552]
        assert b"552 5.3.4 " in peer.output
        assert peer.send(MESSAGE.replace("Subject: x\r\n\r\nHello", "Hello")) == [250, 250, 354, 250]

    def test_exactly_the_limit_is_taken(self):
        peer = greeted(message_size=11)
        assert peer.send(MESSAGE.replace("Subject: x\r\n\r\nHello", "..23456789")) == [250, 250, 354, 250]
        assert peer.contents == [b".23456789\r\n"]

    def test_lmtp_refuses_for_each_recipient(self):
        peer = greeted("LHLO", message_size=10)
        assert peer.send(MESSAGE.replace("DATA", "RCPT TO:<c@example.com>\r\nDATA")) == [250, 250, 250, 354, 552, 552]

    def test_refused_content_is_answered_at_its_end(self):
        peer = greeted()
        peer.send("MAIL FROM:<>\r\nRCPT TO:<b@example.com>\r\nDATA\r\nx\r\n")
        peer.session.refuse_content(Reply(452, "4.3.1", "full"))
        peer.session.refuse_content(Reply(451, "4.3.2", "the first reason counts"))
        assert peer.send("MAIL FROM:<this is content>\r\n") == []
        assert peer.send(".\r\nNOOP\r\n") == [452, 250]

    def test_content_of_commands_is_content(self):
        peer = greeted()
        assert peer.send(MESSAGE.replace("Hello", "QUIT\r\nRSET")) == [250, 250, 354, 250]
        assert peer.contents[0].endswith(b"QUIT\r\nRSET\r\n")


class TestArbitraryInput:
    DIALOGUE = (
        b"EHLO x\r\nXFORWARD NAME=x\r\nMAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.com>\r\nDATA\r\n"
        b"Subject: x\r\n\r\n..dot\r\n.not the end\r\nbare\nLF\rCR\r\n.\r\nBOGUS\r\nLHLO y\r\nMAIL FROM:<> SIZE=9\r\n"
        b"RCPT TO:<b@example.com>\r\nRCPT TO:<c@example.com>\r\nDATA\r\n.\r\nVRFY\r\nQUIT\r\nlate\r\n"
    )

    @given(st.lists(st.integers(1, 400), max_size=30))
    def test_no_split_makes_a_difference(self, cuts):
        # Given the dialogue in one piece, when it comes in any pieces, then events and replies are the same.
        whole, split = Peer(), Peer()
        whole.send(self.DIALOGUE)
        start = 0
        for cut in [*sorted(cut for cut in cuts if cut < len(self.DIALOGUE)), len(self.DIALOGUE)]:
            split.send(self.DIALOGUE[start:cut])
            start = cut
        assert split.events == whole.events
        assert split.output == whole.output

    @settings(max_examples=300)
    @given(st.lists(st.binary(max_size=80), max_size=10))
    def test_bytes_never_raise(self, pieces):
        peer = greeted(recipients=3, errors=5)
        for piece in pieces:
            peer.send(piece)
        assert all(0x20 <= byte <= 0x7E or byte in b"\r\n" for byte in peer.output)

    @settings(max_examples=300)
    @given(
        st.lists(
            st.sampled_from(
                [
                    *(b"EHLO x\r\n", b"LHLO x\r\n", b"HELO x\r\n", b"MAIL FROM:<a@example.com>\r\n", b"RSET\r\n"),
                    *(b"RCPT TO:<b@example.com>\r\n", b"RCPT TO:<c@example.com>\r\n", b"DATA\r\n", b"QUIT\r\n"),
                    *(b".\r\n", b"text\r\n", b"..\r\n", b"\r\n", b"XFORWARD NAME=x\r\n", b"MAIL FROM:<> SIZE=1\r\n"),
                ]
            ),
            max_size=30,
        )
    )
    def test_every_command_has_its_reply_and_every_message_its_envelope(self, lines):
        # Given any commands, when they are sent one by one, then each outside of content is answered exactly once,
        # and content has no answer before its end.
        peer = Peer()
        for line in lines:
            in_data, closed, recipients = peer.session.in_data, peer.session.closed, peer.recipients
            codes = peer.send(line)
            if closed or (in_data and line != b".\r\n"):
                assert codes == []
            elif in_data:
                assert codes == [250] * (recipients if peer.lmtp else 1)
            else:
                assert len(codes) == 1
        assert all(envelope.recipients for envelope in peer.envelopes)
