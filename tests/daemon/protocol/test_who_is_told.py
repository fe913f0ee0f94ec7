# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who is told what became of a message, and that telling never changes it."""

from __future__ import annotations

import email
import email.policy

import pytest
from harness.behaviour import reply, stall
from harness.clamd import EICAR
from harness.client import lmtp, smtp

INFECTED = b"Subject: offer\r\nMessage-ID: <1@example.com>\r\n\r\n" + EICAR + b"\r\n"
ADMIN = "postmaster@example.com"


def send(daemon, content=INFECTED, client="127.0.0.1", sender="alice@example.com", recipients=("bob@example.com",)):
    """The replies to a message that came from a client, by LMTP."""
    with daemon.client() as connection:
        connection.hello("LHLO")
        connection.good(f"XFORWARD ADDR={client}")
        connection.envelope(sender, recipients)
        return connection.data(content, len(recipients))


def test_the_administrator_is_told_before_the_client_is_answered(start_daemon, downstream):
    # Given an administrator who wants to know
    daemon = start_daemon(notify_admin=ADMIN)
    # when a virus comes, then the notice is with Postfix when the client is answered
    assert send(daemon)[0].code == 250
    [notice] = downstream.accepted
    assert (notice.sender, notice.recipients) == ("", [ADMIN])
    message = email.message_from_bytes(notice.content, policy=email.policy.default)
    [path] = daemon.quarantined()
    assert path.name.removesuffix(".msg") in message.get_content()
    assert "Eicar-Test-Signature" in message.get_content()
    # and clean mail is nobody's news
    assert send(daemon, b"Subject: x\r\n\r\nhello\r\n")[0].code == 250
    assert len(downstream.accepted) == 2


@pytest.mark.parametrize(
    ("client", "sender", "told"),
    [("127.0.0.1", "alice@example.com", True), ("192.0.2.1", "alice@example.com", False), ("127.0.0.1", "", False)],
)
@pytest.mark.parametrize("how", ["notify_senders", "bounce"])
def test_a_sender_is_told_where_the_address_is_believed(start_daemon, downstream, client, sender, told, how):
    # Given a configuration that tells senders, by a notice or by a bounce
    keys = {"notify_senders": ["virus"]} if how == "notify_senders" else {"on_virus": "bounce"}
    daemon = start_daemon(**keys)
    assert send(daemon, client=client, sender=sender)[0].code == 250
    # then only a sender who has sent it is told, and the message is in quarantine
    assert [item.recipients for item in downstream.accepted] == ([["alice@example.com"]] if told else [])
    assert len(daemon.quarantined()) == 1
    for report in downstream.accepted:
        message = email.message_from_bytes(report.content, policy=email.policy.default)
        assert message.get_content_type() == "multipart/report"
        assert EICAR not in report.content


@pytest.mark.parametrize(("setting", "told"), [("quarantine", True), ("discard", False), ("reject", False)])
def test_recipients_are_told_of_what_is_kept_for_them(start_daemon, downstream, setting, told):
    # Given recipients who want to know
    daemon = start_daemon(notify_recipients=["virus"], on_virus=setting)
    send(daemon, recipients=("bob@example.com", "carol@example.com"))
    # then one notice goes to all, and only where the message is kept for them
    expected = [["bob@example.com", "carol@example.com"]] if told else []
    assert [item.recipients for item in downstream.accepted] == expected


@pytest.mark.parametrize("stage", ["mail", "rcpt", "data", "dot"])
@pytest.mark.parametrize("action", [reply(450), reply(550), stall()])
def test_a_notice_that_cannot_be_sent_changes_nothing(start_daemon, downstream, stage, action):
    # Given a server that does not take notices
    daemon = start_daemon(notify_admin=ADMIN, message_deadline=1.5)
    downstream.on(stage, action)
    # then the message is in quarantine, the client has its 2xx in time, and the log says what was not sent
    assert send(daemon)[0].code == 250
    assert len(daemon.quarantined()) == 1
    daemon.wait_for_log("no notice could be sent")


def test_a_message_that_comes_again_is_told_of_once(start_daemon, downstream):
    # Given two recipients, of whom one gets the message all the same, and a server that is in trouble
    daemon = start_daemon(notify_admin=ADMIN, policy=[{"recipients": ["carol@example.com"], "virus": "pass"}])
    two = ("bob@example.com", "carol@example.com")
    downstream.on("rcpt", reply(450), match="carol")
    # when one reply is given for both, then the message comes again: nothing is kept, and nobody is told
    assert smtp(daemon.address, INFECTED, recipients=two).code == 450
    assert daemon.quarantined() == []
    assert downstream.accepted == []
    # when each has a reply, then what is kept is told of, and the other one's is not
    assert [item.code for item in lmtp(daemon.address, INFECTED, recipients=two)] == [250, 450]
    assert [item.recipients for item in downstream.accepted] == [[ADMIN]]
    assert len(daemon.quarantined()) == 1


def test_a_flood_of_mail_is_no_flood_of_notices(start_daemon, downstream):
    # Given a limit of three notices an hour
    daemon = start_daemon(notify_admin=ADMIN, notify_limit=3)
    for _ in range(8):
        assert send(daemon)[0].code == 250
    # then three are sent, and one line says that there were more
    assert len(downstream.accepted) == 3
    assert daemon.log.count("notify_limit: 3 notices") == 1
    assert len(daemon.quarantined()) == 8
