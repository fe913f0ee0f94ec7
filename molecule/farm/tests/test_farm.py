# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two mail hosts, two filter hosts: who may talk to whom, and what a filter host's death does to mail."""

from __future__ import annotations

import os
import smtplib
import subprocess
import time

import pytest
import testinfra
from load import Load
from mailhost import EICAR, MailHost, wait_for
from testinfra.host import Host

PREFIX = os.environ.get("FILTER_STACK_TEST_PREFIX", "filter-stack")


@pytest.fixture(scope="module")
def mail_hosts() -> list[MailHost]:
    return [MailHost(testinfra.get_host(f"docker://{PREFIX}-mail{number}")) for number in (1, 2)]


@pytest.fixture(scope="module")
def filter_hosts() -> list[Host]:
    return [testinfra.get_host(f"docker://{PREFIX}-filter{number}") for number in (1, 2)]


def messages(host: Host) -> int:
    """How many messages this host's daemon has had."""
    return int(host.check_output("journalctl --no-pager -o cat -u filter-daemon | grep -c '^message id=' || true"))


def test_mail_goes_through_both_filters_and_back_to_where_it_came_from(
    mail_hosts: list[MailHost], filter_hosts: list[Host]
) -> None:
    before = [messages(host) for host in filter_hosts]
    for mail in mail_hosts:
        # each message over a connection of its own
        for _ in range(12):
            token, content = mail.message()
            mail.send(content)
            mail.wait_delivered(token)
    assert all(messages(host) > earlier for host, earlier in zip(filter_hosts, before, strict=True))


def test_a_virus_is_kept_by_the_filter_that_found_it(mail_hosts: list[MailHost], filter_hosts: list[Host]) -> None:
    token, content = mail_hosts[0].message(EICAR)
    mail_hosts[0].send(content, sender="infected@example.org")
    wait_for(
        "the quarantine",
        lambda: any(
            "infected@example.org" in host.run("filter-daemon quarantine list").stdout for host in filter_hosts
        ),
    )
    assert mail_hosts[0].delivered(token) == []


def test_nobody_else_may_use_the_filter_or_the_way_back(mail_hosts: list[MailHost], filter_hosts: list[Host]) -> None:
    # This machine is neither a mail host nor a filter.
    filter_address = filter_hosts[0].check_output("hostname -I").split()[0]
    with pytest.raises(smtplib.SMTPConnectError, match="421"):
        smtplib.SMTP(filter_address, 10024, timeout=30)
    with smtplib.SMTP(mail_hosts[0].address, 10025, timeout=30) as client:
        client.ehlo("client.example.org")
        client.mail("tester@example.org")
        assert client.rcpt("alice@example.com")[0] == 554


def test_a_filter_host_dies_and_comes_back_while_mail_flows(mail_hosts: list[MailHost]) -> None:
    # Given a steady load on both mail hosts
    loads = [Load(mail) for mail in mail_hosts]
    with loads[0].running(), loads[1].running():
        time.sleep(5)
        # when one filter host is killed, and comes back
        subprocess.run(["docker", "kill", f"{PREFIX}-filter1"], check=True, capture_output=True)
        time.sleep(15)
        subprocess.run(["docker", "start", f"{PREFIX}-filter1"], check=True, capture_output=True)
        time.sleep(15)
    # then no message is lost and no infected one delivered; a message that it had in its hands may have come twice
    for load in loads:
        load.may_repeat = 8
        print(load.account())
