# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the inet services of a master.cf listen, and whether "postfix reload" can get from one set to another.

master(8) opens the sockets of new services before it closes those of services that are gone, and ends with "Address
already in use" when the two overlap. Only then must Postfix be stopped and started; every other change of master.cf
takes effect with a reload (master(8), master_conf.c, seen with Postfix 3.7 and 3.10).
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


def restart_reason(before: Sequence[Service], after: Sequence[Service], port_of: PortOf = port_number) -> str | None:
    """Why a reload is not enough to get from one master.cf to the other; None when it is."""
    old = {endpoint(service.name, port_of): service for service in before if service.type == "inet"}
    new = {endpoint(service.name, port_of): service for service in after if service.type == "inet"}
    for place, service in new.items():
        if place in old:
            continue
        for gone, closed in old.items():
            if gone not in new and _overlap(place, gone):
                return (
                    f"{service.key} opens an address and port that {closed.key} has until it is closed, and master(8) "
                    "opens before it closes"
                )
    return None


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
