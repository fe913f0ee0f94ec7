# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""smtpd by interface: who is filtered, who is not, and that the distribution's own is closed."""

from __future__ import annotations

import smtplib
import uuid

import pytest
from mailhost import EICAR, MailHost, wait_for
from plays import converge
from testinfra.host import Host


def send(mail: MailHost, port: int, content: bytes) -> str:
    """Send it to this port from outside, and return the banner and the answer to the message."""
    with smtplib.SMTP(timeout=60) as client:
        banner = client.connect(mail.address, port)[1]
        client.ehlo("client.example.org")
        client.mail("tester@example.org")
        client.rcpt("alice@example.com")
        code, reply = client.data(content)
        assert code == 250, reply
    return f"{banner.decode()} {reply.decode()}"


def test_the_distributions_port_25_is_closed(host: Host, mail: MailHost) -> None:
    assert host.check_output("postconf -hx master_service_disable") == "smtp/inet"
    # its entry is as it came
    assert host.check_output("postconf -M smtp/inet").split() == ["smtp", "inet", "n", "-", "y", "-", "-", "smtpd"]
    with pytest.raises(ConnectionRefusedError):
        send(mail, 25, b"")
    assert host.socket("tcp://127.0.0.1:25").is_listening


def check(mail: MailHost) -> str:
    """One message and one virus for each; the answer that the filtered one gave."""
    token, content = mail.message()
    answer = send(mail, 2525, content)
    mail.wait_delivered(token)
    token, content = mail.message()
    assert send(mail, 2526, content).startswith("from inside")
    mail.wait_delivered(token)
    virus, content = mail.message(EICAR)
    send(mail, 2525, content)
    passed, content = mail.message(EICAR)
    send(mail, 2526, content)
    mail.wait_delivered(passed)
    assert mail.delivered(virus) == []
    return answer


def test_each_listener_filters_as_it_is_told(mail: MailHost) -> None:
    assert "reinjected as" not in check(mail)


def test_before_the_queue_as_well_and_back(host: Host, mail: MailHost) -> None:
    after_queue = host.file("/etc/postfix/master.cf").content
    converge(filter_stack_mode="smtpd_proxy_filter")
    assert "reinjected as" in check(mail)
    found = host.check_output("postconf -P")
    # one client must not take all processes; this machine may
    assert "0.0.0.0:2525/inet/smtpd_client_connection_count_limit = 10" in found
    assert "127.0.0.1:25/inet/smtpd_client_connection_count_limit = 0" in found
    assert "0.0.0.0:2526/inet/smtpd_proxy_filter" not in found
    converge()
    assert host.file("/etc/postfix/master.cf").content == after_queue


def by_sendmail(mail: MailHost) -> str:
    """One EICAR message from the host itself; the token by which it is found."""
    token = uuid.uuid4().hex
    text = f"Subject: {token}\n\n{EICAR.decode()}\n"
    mail.host.check_output("printf '%%s' %s | sendmail -f bob@example.com alice@example.com", text)
    return token


def by_submission(mail: MailHost) -> str:
    token, content = mail.message(EICAR)
    send(mail, 587, content)
    return token


@pytest.mark.parametrize("mode", ["content_filter", "smtpd_proxy_filter"])
def test_submission_and_sendmail_get_the_filter_by_choice(host: Host, mail: MailHost, mode: str) -> None:
    # Given a submission service, as an administrator adds it
    host.check_output("postconf -M 'submission/inet=submission inet n - y - - smtpd'")
    host.check_output("postfix reload")
    before = host.file("/etc/postfix/master.cf").content
    for choice, delivered in (("none", True), ("filter", False)):
        # when both are told to, or not to, filter
        converge(filter_stack_mode=mode, filter_postfix_submission=choice, filter_postfix_pickup=choice)
        tokens = [by_submission(mail), by_sendmail(mail)]
        last, content = mail.message()
        send(mail, 2525, content)
        mail.wait_delivered(last)
        wait_for("an empty queue", mail.flush)
        # then they do
        assert [bool(mail.delivered(token)) for token in tokens] == [delivered] * 2
    # and what they say themselves stays with keep
    converge(filter_stack_mode=mode, filter_postfix_submission="keep", filter_postfix_pickup="keep")
    assert host.check_output("postconf -P 'submission/inet/*'") == ""
    converge()
    assert host.file("/etc/postfix/master.cf").content == before
    host.check_output("postconf -MX submission/inet")
    host.check_output("postfix reload")


def test_the_listeners_go_and_port_25_is_as_before(host: Host, mail: MailHost) -> None:
    converge(filter_postfix_smtp="filter", filter_postfix_listeners=[])
    token, content = mail.message()
    assert send(mail, 25, content)
    mail.wait_delivered(token)
    assert "master_service_disable" not in host.check_output("postconf -n")
    with pytest.raises(ConnectionRefusedError):
        send(mail, 2525, b"")
