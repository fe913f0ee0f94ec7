# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where services listen: the same place in other words, restarts, and addresses that would end master(8)."""

from __future__ import annotations

import socket

import pytest
from ansible_collections.mailops.filter_stack.plugins.module_utils import _inet_endpoints as inet
from ansible_collections.mailops.filter_stack.plugins.module_utils import _master_cf as master_cf

IPV4 = int(socket.AF_INET)
IPV6 = int(socket.AF_INET6)


def both() -> set[int]:
    return {IPV4, IPV6}


def services(*names: str) -> list[master_cf.Service]:
    return master_cf.parse("".join(f"{name} inet n - n - - smtpd\n" for name in names) + "smtp unix - - n - - smtp\n")


def ports(name: str) -> str:
    return {"smtp": "25", "submission": "587"}.get(name, name)


@pytest.mark.parametrize(
    ("name", "host", "port"),
    [
        ("smtp", "", "25"),
        ("25", "", "25"),
        ("127.0.0.1:smtp", "127.0.0.1", "25"),
        ("[127.0.0.1]:25", "127.0.0.1", "25"),
        ("::1:10025", "::1", "10025"),
        ("[0:0::0:1]:10025", "::1", "10025"),
        ("Mail.example.com:submission", "mail.example.com", "587"),
    ],
)
def test_endpoints_have_one_spelling(name: str, host: str, port: str) -> None:
    assert inet.endpoint(name, ports) == inet.Endpoint(host, port)


def test_ports_are_looked_up_where_they_are_known() -> None:
    assert [inet.port_number(port) for port in ("25", "025", "no-such-port", "٣")] == ["25", "25", "no-such-port", "٣"]


def test_two_names_for_one_place_are_refused() -> None:
    with pytest.raises(ValueError, match=r"master.cf, line 1: smtp/inet listens where 25/inet shall listen .port 25."):
        inet.refuse_same_endpoint(services("smtp", "25"), ["25/inet"], "master.cf", ports)
    with pytest.raises(ValueError, match=r"port 10025 of 127.0.0.1"):
        inet.refuse_same_endpoint(
            services("127.0.0.1:10025", "[127.0.0.1]:10025"), ["127.0.0.1:10025/inet"], "x", ports
        )
    # Others may do as they like, and a wild card is not the same as one address.
    inet.refuse_same_endpoint(services("smtp", "25", "127.0.0.1:25"), ["127.0.0.1:25/inet", "smtp/unix"], "x", ports)


@pytest.mark.parametrize(
    ("before", "after", "restart"),
    [
        (["smtp"], ["127.0.0.1:smtp"], True),
        (["127.0.0.1:smtp"], ["smtp"], True),
        (["127.0.0.1:25"], ["localhost:25"], True),
        (["0.0.0.0:25"], ["127.0.0.1:25"], True),
        (["smtp"], ["25"], False),
        (["smtp"], ["smtp", "127.0.0.1:10025"], False),
        (["smtp", "127.0.0.1:10025"], ["smtp"], False),
        (["127.0.0.1:10025"], ["127.0.0.1:10026"], False),
        (["127.0.0.1:25"], ["127.0.0.2:25"], False),
        (["smtp"], ["smtp", "127.0.0.1:smtp"], False),
    ],
)
def test_a_restart_is_needed_before_postfix_3_6_only(before: list[str], after: list[str], restart: bool) -> None:
    old, new = services(*before), services(*after)
    assert (inet.restart_reason(old, new, (3, 5, 25), ports) is not None) is restart
    # A host that cannot tell its version may be an old one.
    assert (inet.restart_reason(old, new, (), ports) is not None) is restart
    assert inet.restart_reason(old, new, (3, 6, 0), ports) is None
    assert inet.restart_reason(old, new, (3, 10), ports) is None


def test_the_reason_names_both_services() -> None:
    reason = inet.restart_reason(services("smtp"), services("127.0.0.1:smtp"), (3, 5), ports)
    assert reason is not None
    assert reason.startswith("127.0.0.1:smtp/inet opens an address and port that smtp/inet has")


@pytest.mark.parametrize("name", ["smtp", "127.0.0.1:10025", "127.0.0.2:25", "localhost:10025"])
def test_addresses_of_this_host_are_fine(name: str) -> None:
    inet.check_addresses([], services(name), lambda: {IPV4}, "master.cf")


def test_an_address_that_is_not_of_this_host_is_refused() -> None:
    # 192.0.2.0/24 is for documentation (RFC 5737) and no host's.
    with pytest.raises(
        ValueError,
        match=r"master.cf, line 2: 192.0.2.1:25/inet: 192.0.2.1 cannot be listened on .*address of this host",
    ):
        inet.check_addresses([], services("smtp", "192.0.2.1:25"), both, "master.cf")
    # It runs already, so it is not for us to say.
    inet.check_addresses(services("192.0.2.1:25"), services("192.0.2.1:25"), both, "master.cf")
    # Postfix does not use the family.
    inet.check_addresses([], services("192.0.2.1:25"), lambda: {IPV6}, "master.cf")


def test_a_name_without_an_address_is_refused() -> None:
    with pytest.raises(ValueError, match=r"no-such-host.invalid has no address"):
        inet.check_addresses([], services("no-such-host.invalid:25"), both, "master.cf")
