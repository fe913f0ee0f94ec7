# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of single configuration values: each returns the value as the program uses it, or says what it takes."""

from __future__ import annotations

import dataclasses
import ipaddress
import json
import os
import re
from typing import Any, Callable, NamedTuple, Union


class Address(NamedTuple):
    """A TCP address. `host` is an IP address or a name, without brackets."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach it."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False


Check = Callable[[Any], Any]
Network = Union[ipaddress.IPv4Network, ipaddress.IPv6Network]
# Labels of at most 63 characters: what the resolver would stumble over is refused here.
_HOST = re.compile(r"(?=.{1,253}\Z)[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,62})(?:\.[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,62}))*\Z")


def _as_it_is(value: Any) -> Any:
    return value


def key(default: Any, check: Check, unit: str, meaning: str, back: Callable[[Any], Any] = _as_it_is) -> Any:
    """A field of a dataclass of keys, with what checks and documentation need.

    `back` turns the value into the form that it has in daemon.json.
    """
    metadata = {"check": check, "unit": unit, "meaning": meaning, "back": back}
    return dataclasses.field(default=default, metadata=metadata)


class Wrong(Exception):
    """What a value should have been."""


def integer(low: int, high: int) -> Check:
    """A whole number in a range."""

    def check(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise Wrong(f"a whole number from {low} to {high}")
        return value

    return check


def number(low: float, high: float) -> Check:
    """A number in a range."""

    def check(value: Any) -> float:
        # The comparison is exact for whole numbers of any length, and false for what is not a number.
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
            raise Wrong(f"a number from {low:g} to {high:g}")
        return value

    return check


def choice(*words: str) -> Check:
    """One of some words."""

    def check(value: Any) -> str:
        if not isinstance(value, str) or value not in words:
            raise Wrong("one of " + ", ".join(words))
        return value

    return check


def path(value: Any) -> str:
    """An absolute path."""
    if not isinstance(value, str) or not value.startswith("/") or value.strip("/") == "" or not value.isprintable():
        raise Wrong("an absolute path")
    return os.path.normpath(value)


def hostname(value: Any) -> str:
    """A host name or nothing."""
    if not isinstance(value, str) or (value and not _HOST.match(value)):
        raise Wrong("a host name, or an empty string for this machine's own")
    return value


def address(value: Any) -> Address:
    """A host, by name or IP address, and a port."""
    wanted = Wrong("host:port, like 127.0.0.1:10024 or [::1]:10024")
    if not isinstance(value, str):
        raise wanted
    host, colon, port = value.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    host = host[1:-1] if bracketed else host
    if not colon or not (port.isascii() and port.isdigit()) or len(port) > 5 or int(port) > 65535:
        raise wanted
    if bracketed:
        try:
            ipaddress.ip_address(host)
        except ValueError:
            raise wanted from None
    elif not _HOST.match(host):
        raise wanted
    return Address(host, int(port))


def next_hop(value: Any) -> Address:
    """An address that can be connected to."""
    found = address(value)
    if found.port == 0:
        raise Wrong("host:port with a port from 1 to 65535")
    return found


#: As host of the reinjecting smtpd: the host that handed the message in.
SAME_HOST = "*"


def reinject(value: Any) -> Address:
    """An address that can be connected to, or * and a port."""
    try:
        if isinstance(value, str) and value.startswith("*:"):
            return Address(SAME_HOST, next_hop("127.0.0.1:" + value[2:]).port)
        return next_hop(value)
    except Wrong as wrong:
        raise Wrong(f"{wrong}, or *:port for the host that the mail comes from") from None


def listen(value: Any) -> tuple[Address, ...]:
    """Addresses to listen on."""
    if not isinstance(value, list) or not value:
        raise Wrong('a list of addresses, like ["127.0.0.1:10024"]')
    addresses = []
    for item in value:
        found = address(item)
        try:
            ipaddress.ip_address(found.host)
        except ValueError:
            if found.host != "localhost":
                raise Wrong("a list of IP addresses with port (names are not looked up for listening)") from None
        addresses.append(found)
    if len(set(addresses)) != len(addresses):
        raise Wrong("a list without repetition")
    return tuple(addresses)


def listen_back(addresses: tuple[Address, ...]) -> list[str]:
    """The form that `listen` has in the configuration."""
    return [str(address) for address in addresses]


def boolean(value: Any) -> bool:
    """True or false."""
    if not isinstance(value, bool):
        raise Wrong("true or false")
    return value


def networks(value: Any) -> tuple[Network, ...]:
    """IP addresses and networks."""
    if not isinstance(value, list):
        raise Wrong('a list of networks, like ["192.0.2.0/24", "2001:db8::/32"]')
    found = []
    for item in value:
        try:
            if not isinstance(item, str):
                raise ValueError
            found.append(ipaddress.ip_network(item))
        except ValueError:
            words = "a list of networks without host bits, like 192.0.2.0/24"
            raise Wrong(f"{words}, not {json.dumps(item)[:60]},") from None
    return tuple(found)
