# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two mail hosts, two filter hosts: who may talk to whom, and what a filter host's death does to mail."""

from __future__ import annotations

import os
import smtplib
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import testinfra
from load import Load
from mailhost import EICAR, MailHost, wait_for
from plays import converge, play
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


def test_a_filter_host_gets_no_mail_server(filter_hosts: list[Host]) -> None:
    # Given hosts that had no mail server, then what the filter needs has brought none along
    for host in filter_hosts:
        assert host.run("dpkg-query -W -f '${binary:Package} ${db:Status-Status}\\n' 'exim4*' 'postfix*'").stdout == ""
        assert not host.run("test -e /usr/sbin/sendmail").succeeded


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
        with killed(1):
            time.sleep(15)
        time.sleep(15)
    # then no message is lost and no infected one delivered; a message that it had in its hands may have come twice
    for load in loads:
        load.may_repeat = 8
        print(load.account(f"a filter host is killed, {load.host.name}"))


@contextmanager
def killed(number: int) -> Iterator[None]:
    """This filter host is away."""
    subprocess.run(["docker", "kill", f"{PREFIX}-filter{number}"], check=True, capture_output=True)
    try:
        yield
    finally:
        subprocess.run(["docker", "start", f"{PREFIX}-filter{number}"], check=True, capture_output=True)


def test_before_the_queue_a_client_sees_what_a_dead_filter_host_costs(mail_hosts: list[MailHost]) -> None:
    # Given the same hosts before the queue, where a client waits for the filter
    loads = [Load(mail) for mail in mail_hosts]
    with loads[0].running(), loads[1].running():
        converge(filter_stack_mode="smtpd_proxy_filter")
    for load in loads:
        print(load.account(f"after the queue -> before it, {load.host.name}"))
    # when one is killed, and comes back
    loads = [Load(mail) for mail in mail_hosts]
    with loads[0].running(), loads[1].running():
        with killed(1):
            time.sleep(15)
        time.sleep(15)
    # then what clients were told to send again is not lost either
    for load in loads:
        load.may_repeat = 8
        print(load.account(f"before the queue a filter host is killed, {load.host.name}"))
    converge()


#: A name with MX records alone, as dnsmasq takes it; what it does not know it asks Docker's own server, but nothing of
#: this domain (IPv6 addresses, which smtp(8) asks for as well: where Docker's server reaches no other, it never says).
ZONE = """\
no-hosts
server=127.0.0.11
local=/example.net/
mx-host=scan.example.net,filter1.example.net,10
mx-host=scan.example.net,filter2.example.net,20
host-record=filter1.example.net,{}
host-record=filter2.example.net,{}
"""
MX = {
    "filter_stack_filter_address": "scan.example.net:10024",
    "filter_postfix_filter_lookup": "mx",
    "filter_stack_protocol": "smtp",
}


def test_mx_records_name_the_filter_hosts_in_their_order(mail_hosts: list[MailHost], filter_hosts: list[Host]) -> None:
    # Given a name server that knows a name with two MX records and no address
    zone = ZONE.format(*(host.check_output("hostname -I").split()[0] for host in filter_hosts))
    for mail in mail_hosts:
        mail.host.check_output("mkdir -p /etc/dnsmasq.d && printf '%%s' %s >/etc/dnsmasq.d/filters.conf", zone)
        mail.host.check_output("DEBIAN_FRONTEND=noninteractive apt-get -q -y install dnsmasq")
        mail.host.check_output("systemctl restart dnsmasq")
        mail.host.check_output("echo nameserver 127.0.0.1 >/etc/resolv.conf")
    # when the mail hosts are to be changed to it at once, then they refuse: mail in the queue would not find its filter
    done = play("site", "--tags", "filter_postfix", **MX)
    assert done.code != 0
    assert "filter_postfix_mode none and all else as it was" in " ".join(done.output.split()), done.output
    # when they are changed to it by way of no filter at all, while mail flows
    loads = [Load(mail, infected_each=0) for mail in mail_hosts]
    with loads[0].running(), loads[1].running():
        converge(filter_stack_mode="none")
        converge(**MX)
    for load in loads:
        print(load.account(f"A records -> none -> MX records, {load.host.name}"))
    assert mail_hosts[0].host.check_output("postconf -hx content_filter") == "scan:scan.example.net:10024"
    # then all of it goes to the first, as long as that is there
    before = [messages(host) for host in filter_hosts]
    send_some(mail_hosts)
    after = [messages(host) for host in filter_hosts]
    assert after[0] - before[0] >= 12
    assert after[1] == before[1]
    # and to the second when it is not
    with killed(1):
        send_some(mail_hosts)
    assert messages(filter_hosts[1]) - after[1] >= 12
    wait_for("the first", lambda: filter_hosts[0].run("systemctl is-active filter-daemon").stdout.strip() == "active")
    converge(**{**MX, "filter_stack_mode": "none"})
    converge()


def send_some(mail_hosts: list[MailHost]) -> None:
    for mail in mail_hosts:
        for _ in range(6):
            token, content = mail.message()
            mail.send(content)
            mail.wait_delivered(token)


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"filter_daemon_allowed_clients": []}, "allowed_clients"),
        ({"filter_postfix_reinject_clients": []}, "filter_postfix_reinject_clients is empty"),
        ({"filter_postfix_instances": 5}, "have room for 8"),
        ({"filter_stack_filter_address": "nobody.invalid:10024"}, "finds no address for that name"),
        ({**MX, "filter_stack_protocol": "lmtp"}, "only smtp(8) looks MX records up"),
        (
            {"filter_stack_reinject_address": "127.0.0.1:10025", "filter_postfix_reinject_clients": []},
            "only this host reaches",
        ),
    ],
    ids=["no allow list", "open way back", "room of all", "no address", "MX by LMTP", "way back on the loopback"],
)
def test_wrong_choices_are_refused_before_anything_is_touched(
    mail_hosts: list[MailHost], filter_hosts: list[Host], variables: dict[str, object], words: str
) -> None:
    files = "cat /etc/postfix/main.cf /etc/postfix/master.cf /etc/filter-stack/daemon.json 2>/dev/null | md5sum"
    hosts = [*(mail.host for mail in mail_hosts), *filter_hosts]
    before = [host.check_output(files) for host in hosts]
    done = play("site", **variables)
    assert done.code != 0
    assert words in " ".join(done.output.split()), done.output
    assert [host.check_output(files) for host in hosts] == before


def test_removal_while_mail_flows(mail_hosts: list[MailHost], filter_hosts: list[Host]) -> None:
    loads = [Load(mail, infected_each=0) for mail in mail_hosts]
    with loads[0].running(), loads[1].running():
        done = play("remove")
        assert done.code == 0, done.output
    for load in loads:
        print(load.account(f"removal, {load.host.name}"))
    for mail in mail_hosts:
        host = mail.host
        assert host.file("/etc/postfix/master.cf").content == host.file("/usr/share/postfix/master.cf.dist").content
        assert host.file("/etc/postfix/main.cf").content == host.file("/root/main.cf.plain").content
    for filter_host in filter_hosts:
        assert not filter_host.file("/etc/filter-stack").exists
