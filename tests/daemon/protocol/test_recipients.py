# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who is told what: replies per recipient by LMTP, one for all by SMTP, and the bounce that SMTP needs then."""

from __future__ import annotations

import email
import email.policy
import re

import pytest
from harness.behaviour import raw, reply
from harness.clamd import EICAR
from harness.client import CLEAN, Client, lmtp, smtp, stuff
from harness.downstream import parameters

THREE = ["b@example.com", "c@example.com", "d@example.com"]
NEVER = reply(550, "5.1.1 <x>: Recipient address rejected: User unknown")
LATER = reply(450, "4.2.1 <x>: Mailbox busy")
INFECTED = b"Subject: x\r\n\r\n" + EICAR + b"\r\n"


class TestLmtp:
    def test_one_reply_for_each_in_order(self, relay):
        relay.downstream.on("rcpt", LATER, match="<b@")
        relay.downstream.on("rcpt", NEVER, match="<d@")
        replies = lmtp(relay.address, recipients=THREE)
        assert [item.code for item in replies] == [450, 250, 550]
        assert [item.enhanced for item in replies] == [["4.2.1"], ["2.0.0"], ["5.1.1"]]
        assert "Mailbox busy" in replies[0].text
        assert f"queued as {relay.one().queue_id}" in replies[1].text
        assert "User unknown" in replies[2].text
        assert relay.one().recipients == ["c@example.com"]
        # No bounce: the client tells the sender.
        assert len(relay.downstream.transactions) == 1

    def test_duplicates_have_a_reply_each(self, relay):
        replies = lmtp(relay.address, recipients=["b@example.com", "b@example.com", "B@example.com"])
        assert [item.code for item in replies] == [250, 250, 250]
        assert relay.one().recipients == ["b@example.com", "b@example.com", "B@example.com"]

    def test_refused_commands_have_no_reply_at_the_end(self, relay):
        with relay.client("LHLO") as client:
            client.good("MAIL FROM:<>")
            codes = [
                client.command(line).code
                for line in ("RCPT TO:<b@x>", "RCPT TO:<", "RCPT TO:<c@x>", "RCPT TO:<d@x> X=1")
            ]
            assert codes == [250, 501, 250, 555]
            assert [item.code for item in client.data(CLEAN, 2)] == [250, 250]
            assert client.silent(0.02)

    @pytest.mark.parametrize(("action", "code"), [(NEVER, 550), (LATER, 450)])
    def test_all_are_refused(self, relay, action, code):
        relay.downstream.on("rcpt", action)
        assert [item.code for item in lmtp(relay.address, recipients=THREE)] == [code] * 3
        assert relay.downstream.dots == 0

    @pytest.mark.parametrize("stage", ["mail", "data", "dot"])
    @pytest.mark.parametrize(("action", "code"), [(reply(550, "5.7.1 no"), 550), (reply(452, "4.3.1 full"), 452)])
    def test_a_refusal_of_the_message_is_one_for_each(self, relay, stage, action, code):
        relay.downstream.on(stage, action)
        replies = lmtp(relay.address, recipients=THREE)
        assert [(item.code, item.enhanced[0][0]) for item in replies] == [(code, str(code)[0])] * 3

    def test_a_virus_is_answered_for_each(self, relay):
        replies = lmtp(relay.address, INFECTED, recipients=THREE)
        assert [(item.code, item.enhanced) for item in replies] == [(250, ["2.7.0"])] * 3
        assert len(relay.daemon.quarantined()) == 1
        assert not relay.downstream.transactions


class TestSmtp:
    @pytest.mark.parametrize("position", range(3))
    def test_one_deferred_recipient_defers_all_and_no_content_is_sent(self, relay, position):
        relay.downstream.on("rcpt", LATER, match=f"<{THREE[position]}>")
        answer = smtp(relay.address, recipients=THREE)
        assert (answer.code, answer.enhanced) == (450, ["4.2.1"])
        assert relay.downstream.dots == 0

    def test_a_deferred_and_a_refused_recipient_defer_all_and_nobody_is_told(self, relay):
        relay.downstream.on("rcpt", LATER, match="<b@")
        relay.downstream.on("rcpt", NEVER, match="<c@")
        assert smtp(relay.address, recipients=THREE).code == 450
        assert relay.downstream.dots == 0

    def test_all_refused_is_a_refusal_without_a_bounce(self, relay):
        relay.downstream.on("rcpt", NEVER)
        answer = smtp(relay.address, recipients=THREE)
        assert (answer.code, answer.enhanced) == (550, ["5.1.1"])
        assert relay.downstream.dots == 0


class TestBounce:
    """SMTP in, some recipients refused for good, the others have the message."""

    @pytest.fixture(autouse=True)
    def refuse_c(self, relay):
        relay.downstream.on("rcpt", NEVER, match="<c@")

    def test_the_sender_is_told_of_those(self, relay):
        answer = smtp(relay.address, recipients=THREE)
        assert answer.code == 250
        message, bounce = relay.downstream.wait_for_accepted(2)
        assert message.recipients == ["b@example.com", "d@example.com"]
        assert f"queued as {message.queue_id}" in answer.text
        assert bounce.mail.startswith("MAIL FROM:<> ")
        assert bounce.rcpts == ["RCPT TO:<alice@example.com> NOTIFY=NEVER"]
        report = email.message_from_bytes(bounce.content, policy=email.policy.SMTP)
        assert report.get_content_type() == "multipart/report"
        assert report["To"] == "alice@example.com"
        assert report["Auto-Submitted"]
        text, status, header = report.iter_parts()
        assert "c@example.com" in text.get_content()
        assert "b@example.com" not in text.get_content()
        assert status.get_payload()[1]["Status"] == "5.1.1"
        assert "Subject: clean" in header.get_content()
        assert parameters(bounce.mail)["SIZE"] == str(len(bounce.content))

    def test_the_null_sender_is_not(self, relay):
        assert smtp(relay.address, sender="", recipients=THREE).code == 250
        assert relay.one().recipients == ["b@example.com", "d@example.com"]
        assert len(relay.downstream.transactions) == 1

    @pytest.mark.parametrize("notify", ["NEVER", "SUCCESS", "DELAY"])
    def test_who_did_not_ask_is_not(self, relay, notify):
        with relay.client("EHLO") as client:
            client.good("MAIL FROM:<a@example.com>")
            client.good(f"RCPT TO:<c@example.com> NOTIFY={notify}")
            client.good("RCPT TO:<d@example.com>")
            assert client.data(CLEAN)[0].code == 250
        assert relay.one().recipients == ["d@example.com"]

    def test_parameters_of_the_report_are_used(self, relay):
        with relay.client("EHLO") as client:
            client.good("MAIL FROM:<a@example.com> RET=FULL ENVID=my+2Bid")
            client.good("RCPT TO:<c@example.com> NOTIFY=FAILURE ORCPT=rfc822;C+2BC@example.com")
            client.good("RCPT TO:<d@example.com>")
            client.data(CLEAN)
        bounce = relay.downstream.wait_for_accepted(2)[1]
        assert b"\r\nOriginal-Envelope-Id: my+id\r\n" in bounce.content
        assert b"\r\nOriginal-Recipient: rfc822; C+C@example.com\r\n" in bounce.content
        assert b"\r\nContent-Type: message/rfc822\r\n" in bounce.content
        assert CLEAN in bounce.content
        assert "ENVID" not in parameters(bounce.mail)

    def test_xforward_attributes_are_those_of_the_message_only(self, relay):
        with relay.client("EHLO") as client:
            client.good("XFORWARD NAME=x ADDR=192.0.2.1")
            client.envelope(recipients=THREE)
            client.data(CLEAN)
        message, bounce = relay.downstream.wait_for_accepted(2)
        assert message.attributes == {"NAME": "x", "ADDR": "192.0.2.1"}
        assert bounce.attributes == {}

    def test_a_bounce_that_nobody_takes_is_kept_and_the_message_is_not_sent_again(self, relay):
        relay.downstream.on("rcpt", NEVER, match="<alice@")
        assert smtp(relay.address, recipients=THREE).code == 250
        assert relay.one().recipients == ["b@example.com", "d@example.com"]
        assert len(relay.daemon.quarantined()) == 1
        relay.daemon.wait_for_log("no bounce could be sent")

    def test_a_long_list_of_refused_recipients(self, relay):
        relay.downstream.on("rcpt", NEVER, match="<gone")
        gone = [f"gone{number}@example.com" for number in range(300)]
        assert smtp(relay.address, recipients=["b@example.com", *gone]).code == 250
        bounce = relay.downstream.wait_for_accepted(2)[1]
        assert bounce.content.count(b"Final-Recipient: rfc822; gone") == 300

    def test_nothing_that_is_refused_makes_a_bounce_at_every_retry(self, relay):
        # The leader sends a bounce for the bad recipients each time that it also answers 4xx.
        relay.downstream.on("dot", reply(451, "4.3.0 later"), times=2)
        for _ in range(2):
            assert smtp(relay.address, recipients=THREE).code == 451
        assert smtp(relay.address, recipients=THREE).code == 250
        assert [item.sender for item in relay.downstream.wait_for_accepted(2)] == ["alice@example.com", ""]


class TestWhatRepliesSay:
    def test_ids_for_the_log(self, relay):
        answer = lmtp(relay.address)[0]
        match = re.fullmatch(r"2\.0\.0 Ok: filter id=(\w+), reinjected as 250 2\.0\.0 Ok: queued as (\w+)", answer.text)
        assert match, answer
        line = next(line for line in relay.daemon.messages() if f"id={match[1]} " in line)
        assert f"queued as {match[2]}" in line
        assert match[2] == relay.one().queue_id

    def test_ids_of_a_virus(self, relay):
        answer = smtp(relay.address, INFECTED)
        assert re.fullmatch(
            r"2\.7\.0 Ok: filter id=\w+, discarded, quarantined as \w+Z-\w+ \(Eicar-Test-Signature\)", answer.text
        )

    @pytest.mark.parametrize(
        "text",
        [
            b"550-5.7.1 first\r\n550-5.7.1 second\r\n550 5.7.1 last\r\n",
            b"550 5.7.1 a\x00b\x1b[2J\x7f\xff\r\n",
            "550 5.7.1 ünïcode\r\n".encode(),
            b"550 5.7.1 " + b"x" * 5000 + b"\r\n",
            b"550 5.7.1 fake\r250 2.0.0 Ok\r\n",
        ],
        ids=["multi-line", "controls", "utf-8", "long", "bare CR"],
    )
    @pytest.mark.parametrize("stage", ["mail", "rcpt", "data", "dot"])
    def test_nothing_is_injected_into_them(self, relay, stage, text):
        # The client checks each line: printable, not too long, one code. A second reply would be seen by NOOP.
        relay.downstream.on(stage, raw(text))
        with relay.client("LHLO") as client:
            client.envelope()
            assert client.data(CLEAN)[0].code == 550
            assert client.command("NOOP").lines == ["250 2.0.0 Ok"]

    def test_names_of_viruses_are_not_trusted(self, start_daemon, clamd, downstream):
        daemon = start_daemon(scanners=[clamd.settings])
        clamd.verdict = lambda content: "Evil\r\n250 2.0.0 Ok\x07" + "x" * 3000 + " FOUND"
        with Client(daemon.address) as client:
            client.hello("LHLO")
            client.envelope()
            assert client.data(CLEAN)[0].code == 250
            assert client.command("NOOP").lines == ["250 2.0.0 Ok"]
        assert all(line.isprintable() for line in daemon.log.split("\n"))
        assert not downstream.transactions

    def test_mail_content_cannot_forge_log_lines(self, relay):
        evil = "x\x1b[31m\u2028"
        with relay.client("LHLO") as client:
            client.good("XFORWARD IDENT=a+0D+0Amessage+20id=forged ADDR=+1B[2J")
            client.good(f"MAIL FROM:<{evil}@example.com>".replace("\x1b", "?"))
            client.good("RCPT TO:<b@example.com>")
            client.send(b"DATA\r\n" + stuff(CLEAN))
            assert [item.code for item in client.replies(2)] == [354, 250]
        log = relay.daemon.log
        assert "\nmessage id=forged" not in log
        assert all(character.isprintable() for character in log.replace("\n", ""))
