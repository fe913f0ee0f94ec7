# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may hand mail in: this machine, and the hosts that the configuration lists."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from typing import Optional

from .values import Address, Network

#: Temporary on purpose: a mail host that is missing in the list keeps its mail and tries again.
REFUSAL = b"421 4.7.1 This host may not use the filter: it is not in allowed_clients\r\n"


def plain(address: str) -> str:
    """An IPv4 address that came as an IPv6 one (::ffff:192.0.2.1) in its own form, others as they are."""
    if address.startswith("::ffff:") and "." in address:
        return address[7:]
    return address.split("%", 1)[0]


def allowed(address: str, networks: Iterable[Network]) -> bool:
    """Whether a client with this address may hand mail in."""
    try:
        found = ipaddress.ip_address(plain(address))
    except ValueError:
        return False
    return found.is_loopback or any(found in network for network in networks)


def inside(client: str, networks: Iterable[Network]) -> bool:
    """Whether a client that XFORWARD told of is in one of the networks; not when its address is unknown."""
    try:
        # XFORWARD writes IPV6: before such an address.
        found = ipaddress.ip_address(plain(client[5:] if client[:5].upper() == "IPV6:" else client))
    except ValueError:
        return False
    return any(found in network for network in networks)


def took(configured: Address, taken: Optional[Address]) -> bool:
    """Whether the address on which a connection was taken is this configured one, a wildcard too."""
    if taken is None or configured.port != taken.port:
        return False
    host = {"localhost": "127.0.0.1"}.get(configured.host, configured.host)
    return host in (taken.host, "0.0.0.0", "::")
