# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The side that reinjects, as a table: what is sent, and what every reply at every stage leads to."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filterd.smtp.esmtp import ALL_EXTENSIONS, Envelope, Extensions, Recipient
from filterd.smtp.outbound import Delivery, Stage, Step
from filterd.smtp.reply import Reply

OK = Reply(250, "2.0.0", "Ok")
GO_ON = Reply(354, "", "End data with <CR><LF>.<CR><LF>")
QUEUED = Reply(250, "2.0.0", "Ok: queued as 4FQB")
LATER = Reply(450, "4.2.1", "later")
NEVER = Reply(550, "5.1.1", "never")
ONE_BY_ONE = Extensions({"SIZE": ""})


def delivery(recipients: int = 2, lmtp: bool = True, server: Extensions = ALL_EXTENSIONS, **parts) -> Delivery:
    addresses = [Recipient(f"{index}@example.com", {}) for index in range(recipients)]
    envelope = Envelope("a@example.com", {}, addresses, parts.get("xforward", {}), lmtp, "x")
    return Delivery(envelope, server, 7, all_or_nothing=not lmtp)


def play(one: Delivery, replies: list[Reply]) -> Step:
    """Feed replies, sending what is asked for, up to the last one; the content goes out when it is asked for."""
    one.take_commands()
    step = Step.READ
    for reply in replies:
        step = one.receive(reply)
        if step is Step.SEND:
            one.take_commands()
        elif step is Step.CONTENT:
            one.content_sent()
        elif step is not Step.READ:
            return step
    return step


def codes(one: Delivery) -> list[int]:
    return [reply.code for reply in one.replies]


class TestCommands:
    def test_all_at_once_with_pipelining(self):
        one = delivery(xforward={"NAME": "x"})
        assert one.take_commands() == (
            b"XFORWARD NAME=x\r\nMAIL FROM:<a@example.com>\r\n"
            b"RCPT TO:<0@example.com>\r\nRCPT TO:<1@example.com>\r\nDATA\r\n"
        )

    def test_one_by_one_without(self):
        one = delivery(1, server=ONE_BY_ONE)
        assert one.take_commands() == b"MAIL FROM:<a@example.com> SIZE=7\r\n"
        assert one.receive(OK) is Step.SEND
        assert one.take_commands() == b"RCPT TO:<0@example.com>\r\n"
        assert one.receive(OK) is Step.SEND
        assert one.take_commands() == b"DATA\r\n"
        assert one.receive(GO_ON) is Step.CONTENT

    def test_bytes_of_addresses_are_kept(self):
        envelope = Envelope("ü\udcff@example.com", {}, [Recipient("b", {})], {}, True, "x")
        commands = Delivery(envelope, ONE_BY_ONE, 1, all_or_nothing=False).take_commands()
        assert commands == b"MAIL FROM:<\xc3\xbc\xff@example.com> SIZE=1\r\n"


class TestAnswers:
    def test_all_is_well(self):
        one = delivery()
        assert play(one, [OK, OK, OK, GO_ON, QUEUED]) is Step.DONE
        assert one.replies == [QUEUED, QUEUED]
        assert one.committed

    @pytest.mark.parametrize(
        "bad", [LATER, NEVER, Reply(354, "", "go on"), Reply(421, "4.3.2", "bye"), Reply(521, "", "x")]
    )
    @pytest.mark.parametrize("stage", range(5))
    @pytest.mark.parametrize("server", [ALL_EXTENSIONS, ONE_BY_ONE])
    @pytest.mark.parametrize("lmtp", [True, False])
    def test_nothing_but_2xx_for_the_dot_is_2xx(self, stage, bad, server, lmtp):
        # Given a server that answers one stage badly, then nobody is told 2xx, and 421 or 521 are never repeated.
        replies = [OK, OK, OK, GO_ON, QUEUED]
        if stage == 3 and bad.code == 354:
            bad = OK  # DATA answered with 250
        replies[stage] = bad
        one = delivery(lmtp=lmtp, server=server)
        play(one, replies)
        if stage in (1, 2) and lmtp:
            assert [code < 300 for code in codes(one)] == [stage == 2, stage == 1]
        elif stage in (1, 2) and bad.permanent:
            assert sorted(code < 300 for code in codes(one)) == [False, True]
        else:
            assert all(code >= 400 for code in codes(one))
            assert not one.committed or stage == 4
        assert not {421, 521, 354} & set(codes(one))
        assert all(reply.enhanced.startswith(str(reply.code)[0]) for reply in one.replies)

    @pytest.mark.parametrize(
        ("reply", "code", "enhanced"),
        [
            (Reply(550, "5.7.1", "no"), 550, "5.7.1"),
            (Reply(550, "", "no"), 550, "5.0.0"),
            (Reply(550, "4.7.1", "odd"), 550, "5.0.0"),
            (Reply(452, "4.3.1", "full"), 452, "4.3.1"),
            (Reply(421, "4.3.2", "bye"), 451, "4.3.2"),
            (Reply(521, "5.3.2", "no mail here"), 554, "5.3.2"),
            (Reply(354, "", "go on"), 451, "4.3.0"),
        ],
    )
    def test_what_the_client_is_told(self, reply, code, enhanced):
        one = delivery(1)
        play(one, [OK, OK, GO_ON, reply])
        assert (one.replies[0].code, one.replies[0].enhanced) == (code, enhanced)
        assert reply.text in one.replies[0].text

    @pytest.mark.parametrize("bad", [LATER, NEVER, GO_ON])
    def test_a_refused_xforward_says_nothing_about_the_message(self, bad):
        one = delivery(xforward={"NAME": "x"})
        assert play(one, [bad]) is Step.ABANDON
        assert codes(one) == [451, 451]

    @pytest.mark.parametrize("data", [OK, Reply(200, "", "x"), LATER, NEVER])
    def test_data_answered_with_anything_but_354_sends_no_content(self, data):
        one = delivery()
        step = play(one, [OK, OK, OK, data])
        assert step is (Step.RESET if data.code >= 400 else Step.ABANDON)
        assert not one.committed
        assert codes(one) == [data.code if data.code >= 400 else 451] * 2

    def test_a_dot_answered_with_354(self):
        one = delivery()
        assert play(one, [OK, OK, OK, GO_ON, GO_ON]) is Step.ABANDON
        assert codes(one) == [451, 451]

    def test_a_break_answers_only_what_has_no_answer_yet(self):
        one = delivery(3)
        play(one, [OK, NEVER, OK])
        one.fail("connection closed")
        assert codes(one) == [550, 451, 451]
        assert "RCPT: connection closed" in one.replies[2].text

    def test_replies_are_complete_at_any_time(self):
        assert codes(delivery(3)) == [451, 451, 451]


class TestPartialRefusals:
    def test_lmtp_delivers_to_the_good(self):
        one = delivery(3)
        assert play(one, [OK, OK, LATER, NEVER, GO_ON, QUEUED]) is Step.DONE
        assert codes(one) == [250, 450, 550]

    def test_smtp_sends_nothing_when_one_is_deferred(self):
        one = delivery(3, lmtp=False)
        assert play(one, [OK, OK, LATER, NEVER]) is Step.ABANDON  # the answer to DATA may still be 354
        assert codes(one) == [450, 450, 550]

    def test_smtp_sends_nothing_when_one_is_deferred_without_pipelining(self):
        one = delivery(2, lmtp=False, server=ONE_BY_ONE)
        assert play(one, [OK, OK, LATER]) is Step.RESET
        assert codes(one) == [450, 450]

    def test_smtp_delivers_when_the_others_are_refused_for_good(self):
        one = delivery(3, lmtp=False)
        assert play(one, [OK, NEVER, OK, NEVER, GO_ON, QUEUED]) is Step.DONE
        assert codes(one) == [550, 250, 550]

    @pytest.mark.parametrize("lmtp", [True, False])
    def test_nobody_is_left(self, lmtp):
        one = delivery(2, lmtp=lmtp, server=ONE_BY_ONE)
        assert play(one, [OK, NEVER, NEVER]) is Step.RESET
        assert codes(one) == [550, 550]

    def test_the_stage_is_told(self):
        one = delivery(2)
        one.take_commands()
        assert one.stage is Stage.MAIL
        one.receive(OK)
        assert one.stage is Stage.RCPT


@given(
    st.lists(
        st.sampled_from([OK, GO_ON, QUEUED, LATER, NEVER, Reply(221, "", "bye"), Reply(421, "", "x")]), max_size=12
    ),
    st.booleans(),
    st.sampled_from([ALL_EXTENSIONS, ONE_BY_ONE]),
    st.integers(1, 4),
)
def test_whatever_is_answered_2xx_needs_354_and_a_2xx_after_the_content(replies, lmtp, server, recipients):
    # Given any replies at all, then 2xx is passed on only when DATA was answered with 354 and the dot with 2xx.
    one = delivery(recipients, lmtp, server)
    one.take_commands()
    content_asked = dot_answer = False
    for reply in replies:
        step = one.receive(reply)
        if content_asked:
            dot_answer = reply.positive
        if step is Step.SEND:
            one.take_commands()
        elif step is Step.CONTENT:
            assert reply.code == 354
            one.content_sent()
            content_asked = True
        elif step is not Step.READ:
            break
    if any(reply.positive for reply in one.replies):
        assert content_asked
        assert dot_answer
    assert len(one.replies) == recipients
