# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""amavisd-new before the queue: what is asked of the bundled daemon there too, and changes of the mode under load."""

from __future__ import annotations

import smtplib
import uuid
from collections.abc import Iterator

import pytest
from engines import put_to_work
from load import Load
from mailhost import EICAR, MailHost, wait_for

# Written for the bundled daemon, and no less true of this engine.
from test_before_queue import (  # noqa: F401
    test_port_25_hands_mail_to_the_filter_while_the_client_waits,
    test_the_way_back_does_what_no_first_pass_has_done,
)
from test_mail import (  # noqa: F401
    test_each_recipient_gets_it_once,
    test_no_ending_smuggles_a_second_message,
    test_the_body_arrives_byte_for_byte,
    test_the_largest_message_that_is_taken_is_delivered,
    test_the_null_sender_is_served,
)
from testinfra.host import Host

PROXY = {"filter_stack_mode": "smtpd_proxy_filter"}
QUARANTINE = "/var/lib/vscan/quarantine/amavis"


@pytest.fixture(scope="module", autouse=True)
def _before_the_queue(host: Host) -> Iterator[None]:
    put_to_work("amavis", **PROXY)
    yield
    put_to_work("bundled")


def test_the_client_hears_of_a_virus(mail: MailHost) -> None:
    token, content = mail.message(EICAR)
    with smtplib.SMTP(mail.address, 25, timeout=60) as client:
        client.ehlo("client.example.org")
        client.mail("tester@example.org")
        client.rcpt("alice@example.com")
        code, reply = client.data(content)
    assert code == 554, reply
    assert b"INFECTED" in reply
    assert mail.delivered(token) == []


def test_mail_from_the_host_itself_is_filtered_too(host: Host, mail: MailHost) -> None:
    clean, infected = uuid.uuid4().hex, uuid.uuid4().hex
    for token, text in ((clean, "Hello."), (infected, EICAR.decode())):
        host.check_output("printf 'Subject: %s\\n\\n%%s\\n' %s | sendmail -f bob alice", token, text)
    mail.wait_delivered(clean)
    wait_for("the quarantine", lambda: host.run(f"grep -rlF {infected} {QUARANTINE}").stdout)
    assert mail.delivered(infected) == []


def test_from_mode_to_mode_while_mail_flows(mail: MailHost) -> None:
    # Given a steady load, in which a client that is told of a virus would try for ever
    load = Load(mail, infected_each=0, may_repeat=3)
    with load.running(pause=0.3):
        for mode in ({}, {"filter_stack_protocol": "smtp"}, PROXY):
            put_to_work("amavis", **mode)
    account = load.account()
    print(account)
    assert "lost 0" in account
