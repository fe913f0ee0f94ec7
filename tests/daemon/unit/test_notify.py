# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The bounce for recipients that an SMTP client cannot be told of (RFC 3461, 3464, 6522, 6533)."""

from __future__ import annotations

import email
import email.policy
import re

import pytest

from filterd import notify
from filterd.smtp.esmtp import Envelope, Recipient
from filterd.smtp.reply import Reply

NEVER = Reply(550, "5.1.1", "Error: reinjection refused at RCPT: no such user")
HEADER = b"From: a@example.com\r\nSubject: hello"


def refused(address: str = "b@example.com", reply: Reply = NEVER, **parameters) -> notify.Refusal:
    return Recipient(address, parameters), reply


def report(*refusals, sender="a@example.com", header=HEADER, whole=False, **parameters):
    envelope = Envelope(sender, parameters, [pair[0] for pair in refusals], {"NAME": "x"}, False, "x")
    made = notify.failure_report(envelope, list(refusals), header, whole, "filter.example.com", "0123456789")
    if made is None:
        return None
    return made[0], made[1], email.message_from_bytes(made[1], policy=email.policy.SMTP)


class TestEnvelope:
    def test_from_nobody_to_the_sender_without_further_reports(self):
        envelope, _, _ = report(refused(), RET="FULL", ENVID="x")
        assert envelope.sender == ""
        assert envelope.recipients == [Recipient("a@example.com", {"NOTIFY": "NEVER"})]
        assert envelope.parameters == {}
        assert envelope.xforward == {}

    def test_the_null_sender_is_never_told(self):
        assert report(refused(), sender="") is None

    @pytest.mark.parametrize("words", ["NEVER", "SUCCESS", "success,delay"])
    def test_who_did_not_ask_is_not_told(self, words):
        assert report(refused(NOTIFY=words)) is None

    @pytest.mark.parametrize("words", ["FAILURE", "SUCCESS,failure"])
    def test_who_asked_is_told(self, words):
        assert report(refused(NOTIFY=words)) is not None

    def test_only_recipients_that_asked_are_named(self):
        _, content, _ = report(refused("b@example.com"), refused("c@example.com", NOTIFY="NEVER"))
        assert b"b@example.com" in content
        assert b"c@example.com" not in content


class TestContent:
    def test_is_a_delivery_status_report(self):
        _, content, message = report(refused(ORCPT="rfc822;B+2Btag@example.com"), ENVID="id+3D1")
        assert message.get_content_type() == "multipart/report"
        assert message["Auto-Submitted"] == "auto-replied"
        assert not message.defects
        text, status, header = message.iter_parts()
        assert "<b@example.com>: 550 5.1.1" in text.get_content()
        per_message, per_recipient = status.get_payload()
        assert per_message["Reporting-MTA"] == "dns; filter.example.com"
        assert per_message["Original-Envelope-Id"] == "id=1"
        assert per_recipient["Original-Recipient"] == "rfc822; B+tag@example.com"
        assert per_recipient["Final-Recipient"] == "rfc822; b@example.com"
        assert per_recipient["Action"] == "failed"
        assert per_recipient["Status"] == "5.1.1"
        assert per_recipient["Diagnostic-Code"].startswith("smtp; 550 5.1.1")
        assert header.get_content_type() == "text/rfc822-headers"
        assert "Subject: hello" in header.get_content()
        assert re.search(rb"\r(?!\n)|(?<!\r)\n", content) is None

    def test_has_a_status_even_without_enhanced_code(self):
        _, content, _ = report(refused(reply=Reply(550, "", "no")))
        assert b"Status: 5.0.0" in content

    def test_is_7bit_when_it_can_be(self):
        envelope, content, message = report(refused())
        assert content.isascii()
        assert message["Content-Transfer-Encoding"] == "7bit"
        assert envelope.parameters == {}

    def test_says_8bit_when_the_header_is(self):
        envelope, content, message = report(refused(), header="Subject: Grüße".encode())
        assert "Grüße".encode() in content
        assert message["Content-Transfer-Encoding"] == "8bit"
        assert [part["Content-Transfer-Encoding"] for part in message.iter_parts()] == ["7bit", "8bit", "8bit"]
        assert envelope.parameters == {"BODY": "8BITMIME"}

    def test_with_international_addresses(self):
        envelope, content, message = report(refused("jürgen@example.com"), refused("b@example.com"))
        assert envelope.parameters == {"BODY": "8BITMIME", "SMTPUTF8": ""}
        assert [part.get_content_type() for part in message.iter_parts()] == [
            *("text/plain", "message/global-delivery-status", "message/global-headers"),
        ]
        assert "Final-Recipient: utf-8; jürgen@example.com".encode() in content
        assert b"Final-Recipient: rfc822; b@example.com" in content

    @pytest.mark.parametrize("address", ["b@example.com", "jürgen@example.com"])
    def test_returns_the_whole_message_when_asked(self, address):
        content = "Subject: Grüße\r\n\r\n.\r\nbody\r\n".encode()
        _, report_content, message = report(refused(address), header=content, whole=True)
        returned = list(message.iter_parts())[2]
        assert returned.get_content_type() == ("message/rfc822" if address.isascii() else "message/global")
        assert b"\r\n\r\n" + content + b"\r\n--filter-stack-" in report_content

    @pytest.mark.parametrize(
        ("parameters", "size", "whole"),
        [
            ({}, 10, False),
            ({"RET": "HDRS"}, 10, False),
            ({"RET": "full"}, 50000, True),
            ({"RET": "FULL"}, 50001, False),
        ],
    )
    def test_when_the_whole_message_is_returned(self, parameters, size, whole):
        envelope = Envelope("a@example.com", parameters, [], {}, False, "x")
        assert notify.wants_whole(envelope, size) == whole

    def test_nothing_can_be_injected(self):
        # Given replies and addresses with line ends and controls, then every header of the report is our own.
        evil = "x\r\nBcc: evil@example.com\r\n\r\nevil"
        envelope, content, message = report(
            refused(f"b{evil}@example.com", Reply(550, "5.1.1", evil), ORCPT=f"rfc822;{evil}"),
            sender=f"a{evil}@example.com",
            ENVID=evil,
        )
        assert b"\r\nBcc:" not in content
        assert message["Bcc"] is None
        assert envelope.recipients[0].address == f"a{evil}@example.com"

    @pytest.mark.parametrize(
        ("header", "quoted"),
        [
            (b"", b""),
            (b"A: b", b"A: b"),
            (b"A: b\r\n" * 20000, b"A: b\r\n" * 10921 + b"A: b"),
            (b"A: " + b"x" * 100000, b"A: " + b"x" * 65533),
        ],
    )
    def test_quotes_whole_lines_of_the_header_within_a_limit(self, header, quoted):
        _, content, _ = report(refused(), header=header)
        assert content.endswith(b"\r\n\r\n" + quoted + b"\r\n\r\n--filter-stack-0123456789--\r\n")


def test_for_the_log():
    assert notify.describe([refused("b\n@example.com")]).startswith("b?@example.com: 550 5.1.1 Error")
