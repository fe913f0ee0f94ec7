# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Mail from other hosts: who may hand it in, and where it goes back to."""

from __future__ import annotations

import pytest
from harness.client import CLEAN, Client
from harness.downstream import Downstream

from filterd.access import allowed
from filterd.config import ConfigError, from_json
from filterd.values import networks

ALLOWED = networks(["192.0.2.0/28", "2001:db8::/48"])


@pytest.mark.parametrize(
    ("client", "may"),
    [
        ("127.0.0.1", True),
        ("127.8.9.10", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("192.0.2.15", True),
        ("::ffff:192.0.2.15", True),
        ("2001:db8::99", True),
        ("192.0.2.16", False),
        ("::ffff:192.0.2.16", False),
        ("2001:db8:1::99", False),
        ("fe80::1%eth0", False),
        ("", False),
        ("example.com", False),
    ],
)
def test_who_may_hand_mail_in(client, may):
    assert allowed(client, ALLOWED) is may


def test_nobody_listens_to_the_world_by_accident():
    with pytest.raises(
        ConfigError, match=r"listen: held 192.0.2.1:10024, which is not loopback; it takes allowed_clie"
    ):
        from_json({"listen": ["127.0.0.1:10024", "192.0.2.1:10024"]})
    settings = {"listen": ["0.0.0.0:10024"], "allowed_clients": ["192.0.2.0/28"]}
    assert from_json(settings).as_json()["allowed_clients"] == ["192.0.2.0/28"]


@pytest.mark.parametrize("held", ["*", "*:0", "*:x", "*:70000", "*.example.com:25"])
def test_a_wrong_reinjection_address(held):
    with pytest.raises(ConfigError, match=r"reinject: held .*, or \*:port for the host that the mail comes from"):
        from_json({"reinject": held})


def test_reinjection_into_ourselves_is_refused():
    with pytest.raises(ConfigError, match=r"reinject: held \*:10024; it takes another port than listen"):
        from_json({"reinject": "*:10024"})


@pytest.fixture
def two_hosts():
    first = Downstream(host="127.0.0.2")
    second = Downstream(host="127.0.0.3", port=first.port)
    yield first, second
    first.stop()
    second.stop()


def deliver(daemon, source, sender):
    with Client(daemon.address, source=source) as client:
        client.hello("LHLO")
        client.envelope(sender)
        return client.data(CLEAN)[0]


def test_each_host_gets_its_own_mail_back(start_daemon, two_hosts):
    # Given two mail hosts and a filter that reinjects to whoever handed the mail in
    daemon = start_daemon(reinject=f"*:{two_hosts[0].port}")
    # When both hand mail in, in turn
    for number in range(6):
        host = number % 2
        assert deliver(daemon, f"127.0.0.{host + 2}", f"host{host}@example.com").code == 250
    # Then each has its own and no other
    for host, server in enumerate(two_hosts):
        assert [item.sender for item in server.transactions] == [f"host{host}@example.com"] * 3


def test_a_host_that_is_down_delays_its_own_mail_only(start_daemon, two_hosts):
    daemon = start_daemon(reinject=f"*:{two_hosts[0].port}")
    two_hosts[0].stop()
    assert deliver(daemon, "127.0.0.2", "a@example.com").code == 451
    assert deliver(daemon, "127.0.0.3", "b@example.com").code == 250
    two_hosts[0].start()
    assert deliver(daemon, "127.0.0.2", "a@example.com").code == 250
    assert [item.sender for item in two_hosts[0].transactions] == ["a@example.com"]
