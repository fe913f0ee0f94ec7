# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the inet services of a master.cf listen, and whether "postfix reload" can get from one set to another.

master(8) opens the sockets of new services before it closes those of services that are gone, and it ends at once when
it cannot open one. Since Postfix 3.6 it shares addresses (SO_REUSEPORT), so that a reload gets everywhere; an older
one has to be stopped and started when a new service listens where one that is gone still does.
"""

from __future__ import annotations

import contextlib
import ipaddress
import socket
from collections.abc import Callable, Collection, Sequence
from typing import NamedTuple

from ansible_collections.mailops.filter_stack.plugins.module_utils._master_cf import Service


class Endpoint(NamedTuple):
    """A host and a port in one spelling each; no host means every interface."""

    host: str
    port: str


PortOf = Callable[[str], str]

#: The first version of Postfix whose master(8) sets SO_REUSEPORT on its sockets.
_SHARES_ADDRESSES = (3, 6)


def port_number(port: str) -> str:
    """The number of a port that /etc/services names; a name that is not known there stays as it is."""
    try:
        return str(int(port) if port.isascii() and port.isdigit() else socket.getservbyname(port, "tcp"))
    except (OSError, ValueError):
        return port


def endpoint(name: str, port_of: PortOf = port_number) -> Endpoint:
    """The endpoint that the name of an inet service stands for: port, host:port or [host]:port."""
    host, _colon, port = name.rpartition(":")
    host = host.strip("[]").lower()
    # A host name stays as it is: what it resolves to may change between here and master(8).
    with contextlib.suppress(ValueError):
        host = str(ipaddress.ip_address(host)) if host else ""
    return Endpoint(host, port_of(port))


def refuse_same_endpoint(
    services: Sequence[Service], keys: Collection[str], what: str, port_of: PortOf = port_number
) -> None:
    """Raise ValueError when one of the inet services in `keys` listens where another service of the file does.

    Postfix would silently use the last of the two.
    """
    seen: dict[Endpoint, Service] = {}
    for service in services:
        if service.type != "inet":
            continue
        place = endpoint(service.name, port_of)
        other = seen.setdefault(place, service)
        if other is not service and (service.key in keys or other.key in keys):
            raise ValueError(
                f"{what}, line {other.line}: {other.key} listens where {service.key} shall listen (port {place.port}"
                f"{' of ' + place.host if place.host else ''}); Postfix takes one service for each address and port, "
                "so remove one of them or choose another port"
            )


def restart_reason(
    before: Sequence[Service], after: Sequence[Service], version: tuple[int, ...], port_of: PortOf = port_number
) -> str | None:
    """Why a reload is not enough to get from one master.cf to the other; None when it is.

    Seen with Postfix 3.7 and 3.10: a reload from "smtp" to "127.0.0.1:smtp" and back works.
    """
    if version >= _SHARES_ADDRESSES:
        return None
    old = _endpoints(before, port_of)
    new = _endpoints(after, port_of)
    for place, service in new.items():
        if place in old:
            continue
        for gone, closed in old.items():
            if gone not in new and _overlap(place, gone):
                return (
                    f"{service.key} opens an address and port that {closed.key} has until it is closed, and master(8) "
                    "before Postfix 3.6 opens before it closes"
                )
    return None


def check_addresses(
    before: Sequence[Service],
    after: Sequence[Service],
    families: Callable[[], Collection[int]],
    what: str,
    port_of: PortOf = port_number,
) -> None:
    """Raise ValueError when a new inet service has an address that is none of this host's.

    It would end master(8) at the reload, and mail with it. `families` tells the address families that Postfix
    uses; it is asked only when there is something to try.
    """
    old = _endpoints(before, port_of)
    for place, service in _endpoints(after, port_of).items():
        if place in old or not place.host:
            continue
        for family, address in _addresses(place.host, families(), f"{what}, line {service.line}: {service.key}"):
            try:
                # Port 0 is any free one: only the address is tried.
                with socket.socket(family, socket.SOCK_STREAM) as trial:
                    trial.bind((address, 0))
            except OSError as error:
                raise ValueError(
                    f"{what}, line {service.line}: {service.key}: {address} cannot be listened on ({error.strerror}), "
                    "and master(8) would end when it tries; it takes an address of this host"
                ) from None


def _addresses(host: str, families: Collection[int], where: str) -> list[tuple[int, str]]:
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError as error:
        raise ValueError(f"{where}: {host} has no address ({error}), and master(8) would end when it looks") from None
    return [(family, str(place[0])) for family, _type, _proto, _name, place in found if family in families]


def _endpoints(services: Sequence[Service], port_of: PortOf) -> dict[Endpoint, Service]:
    return {endpoint(service.name, port_of): service for service in services if service.type == "inet"}


def _overlap(one: Endpoint, other: Endpoint) -> bool:
    """Whether two listening sockets could get into each other's way; a host that is no address might be any."""
    if one.port != other.port:
        return False
    hosts = {one.host, other.host}
    return len(hosts) == 1 or any(not _is_address(host) or host in ("0.0.0.0", "::") for host in hosts)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
