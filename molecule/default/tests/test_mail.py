# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Mail that is really sent to port 25 from outside, and what becomes of it."""

from __future__ import annotations

import contextlib
import smtplib
import uuid

import pytest
from mailhost import EICAR, MailHost, TooBig, eicar_zip, wait_for


def test_a_clean_message_can_be_followed_to_its_mailbox(mail: MailHost) -> None:
    token, content = mail.message()
    front = mail.send(content)
    mail.wait_delivered(token)
    # front queue id -> filter -> back queue id -> delivery
    handed_over = wait_for("the filter's line", lambda: mail.log(f"^message id=.* front={front} "))
    assert "verdict=clean" in handed_over
    assert "client=[" in handed_over
    back = wait_for("the hand-over", lambda: mail.log(f"^{front}: to=.*status=sent .*queued as "))
    back = back.strip().rpartition("queued as ")[2].rstrip(")")
    assert mail.log(f"^{back}: client=.*orig_queue_id={front}")
    assert wait_for("the delivery", lambda: mail.log(f"^{back}: to=<alice@example.com>.*status=sent"))


def test_each_recipient_gets_it_once(mail: MailHost) -> None:
    token, content = mail.message()
    mail.send(content, recipients=("alice@example.com", "bob@example.com"))
    for user in ("alice", "bob"):
        mail.wait_delivered(token, user)
        assert len(mail.delivered(token, user)) == 1


def test_the_null_sender_is_served(mail: MailHost) -> None:
    token, content = mail.message()
    mail.send(content, sender="")
    assert b"Return-Path: <>" in mail.wait_delivered(token)


def test_the_body_arrives_byte_for_byte(mail: MailHost) -> None:
    # Given what filters are known to damage: dots, long lines, 8-bit text, trailing blanks, no final empty line
    token = uuid.uuid4().hex
    body = (
        b".\r\n..\r\n.leading\r\n"
        + b"x" * 5000
        + b"\r\nGr\xc3\xbc\xc3\x9fe \xff\xfe\r\ntrailing blanks   \r\n\t\r\n\r\n\r\n"
        + b"-- \r\nend\r\n"
    )
    header = (
        b"From: tester@example.org\r\nTo: alice@example.com\r\nSubject: bytes\r\n"
        b"Message-ID: <%s@example.org>\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n"
        b"Content-Transfer-Encoding: 8bit\r\n\r\n" % token.encode()
    )
    # when it went through
    with smtplib.SMTP(mail.address, 25, timeout=60) as client:
        client.ehlo("client.example.org")
        client.mail("tester@example.org", ["BODY=8BITMIME"])
        client.rcpt("alice@example.com")
        assert client.data(header + body)[0] == 250
    delivered = mail.wait_delivered(token)
    # then no byte of the body has changed (the mailbox has UNIX line ends)
    assert delivered.partition(b"\n\n")[2] == body.replace(b"\r\n", b"\n")


@pytest.mark.parametrize("attachment", [EICAR, eicar_zip()], ids=["plain", "zip"])
def test_a_virus_goes_to_quarantine_and_nowhere_else(mail: MailHost, attachment: bytes) -> None:
    # Given a sender of its own, by whom the quarantine is searched
    sender = f"{uuid.uuid4().hex}@example.org"
    token, content = mail.message(attachment)
    # when it is sent
    front = mail.send(content, sender=sender)
    # then it is in quarantine, and the log says where
    entry = wait_for("the quarantine", lambda: mail.quarantined(sender))[0]
    assert [recipient["address"] for recipient in entry["recipients"]] == ["alice@example.com"]
    assert any("eicar" in finding["name"].lower() for finding in entry["findings"])
    assert wait_for("the hand-over", lambda: mail.log(f"^{front}: to=.*status=sent .*quarantined as"))
    # and neither the recipient nor the sender gets anything
    assert mail.delivered(token) == []
    assert f"to=<{sender}>" not in mail.log(f"to=<{sender}>")
    # and the file belongs to the filter, and nobody else reads it
    modes = mail.host.check_output("find /var/lib/vscan/quarantine -type f -printf '%u %g %m\\n' | sort -u")
    assert modes == "vscan vscan 640"


def test_the_largest_message_that_is_taken_is_delivered(mail: MailHost) -> None:
    # Given Postfix' limit, which counts the queue file: a little more than the message
    limit = int(mail.host.check_output("postconf -hx message_size_limit"))
    for spare in range(0, 3000, 100):
        token = uuid.uuid4().hex
        header = b"From: tester@example.org\r\nTo: alice@example.com\r\nSubject: %s\r\n\r\n" % token.encode()
        rest = limit - spare - len(header)
        content = header + b"y" * 76 + b"\r\n" + (b"z" * 76 + b"\r\n") * ((rest - 78) // 78)
        content += b"e" * (limit - spare - len(content) - 2) + b"\r\n"
        # when the largest that port 25 takes is sent
        try:
            mail.send(content)
        except TooBig:
            continue
        # then the second pass, with one more header, takes it too
        delivered = mail.wait_delivered(token, seconds=120)
        assert delivered.partition(b"\n\n")[2] == content.partition(b"\r\n\r\n")[2].replace(b"\r\n", b"\n")
        return
    pytest.fail("no message near the limit was taken")


ENDINGS = {
    "LF . LF": b"\n.\n",
    "LF . CRLF": b"\n.\r\n",
    "CR . CR": b"\r.\r",
    "CR . LF": b"\r.\n",
    "CR . CRLF": b"\r.\r\n",
    "LF . CR": b"\n.\r",
    "CRLF . LF": b"\r\n.\n",
    "CRLF . CR": b"\r\n.\r",
    "CRLF NUL . CRLF": b"\r\n\0.\r\n",
    "CRLF . NUL CRLF": b"\r\n.\0\r\n",
    "CRLF . CR CRLF": b"\r\n.\r\r\n",
    "CR CRLF . CRLF": b"\n\r\n.\r\r\n",
}


def test_no_ending_smuggles_a_second_message(mail: MailHost) -> None:
    # Given one DATA that hides the commands for a second message behind something like an end of data
    tokens = {}
    for name, ending in ENDINGS.items():
        token = uuid.uuid4().hex
        tokens[name] = token
        smuggled = (
            b"MAIL FROM:<evil@example.org>\r\nRCPT TO:<bob@example.com>\r\nDATA\r\n"
            b"Subject: smuggled " + token.encode() + b"\r\n\r\nsmuggled"
        )
        content = b"Subject: cover\r\n\r\ncover" + ending + smuggled + b"\r\n.\r\n"
        client = smtplib.SMTP(mail.address, 25, timeout=60)
        client.ehlo("client.example.org")
        client.mail("tester@example.org")
        client.rcpt("alice@example.com")
        assert client.docmd("DATA")[0] == 354
        client.send(content)
        # taken as one message, or refused by hanging up
        with contextlib.suppress(smtplib.SMTPServerDisconnected):
            client.getreply()
        # Without QUIT: the replies to smuggled commands would be taken for its own.
        client.close()
    # when all of them, and one more, are through
    last, content = mail.message()
    mail.send(content)
    mail.wait_delivered(last)
    wait_for("an empty queue", mail.flush)
    # then no second message was made of any
    assert [name for name, token in tokens.items() if mail.delivered(token, "bob")] == []
