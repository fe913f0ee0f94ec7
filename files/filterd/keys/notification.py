# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys for the notices that the filter writes."""

from __future__ import annotations

import dataclasses
import ipaddress
import json
import re
from typing import Any

from .. import values
from ..findings import BANNED, CATEGORIES, CLEAN, VIRUS
from ..values import Network, Wrong, key

# What is written without quotes in an address, a domain of any script, or none for a local user.
_ADDRESS = re.compile(r"[^\s@<>\"(),:;\\\[\]]{1,64}(?:@[^\s@<>\"(),:;\\\[\]]{1,253})?\Z")
_DOMAIN = re.compile(r"\.?[^\s@<>\"(),:;\\\[\].]+(?:\.[^\s@<>\"(),:;\\\[\].]+)*\Z")


def _address(value: Any) -> str:
    if not isinstance(value, str) or (value and not (_ADDRESS.match(value) and value.isprintable())):
        raise Wrong("a mail address without brackets, like postmaster@example.com, or an empty string for nobody")
    return value


def _categories(value: Any) -> tuple[str, ...]:
    known = [name for name in CATEGORIES if name != CLEAN]
    if not isinstance(value, list) or any(item not in known for item in value) or len(set(value)) != len(value):
        raise Wrong(f"a list without repetition of some of {', '.join(known)}")
    return tuple(value)


def _domains(value: Any) -> tuple[str, ...]:
    wanted = "a list of domains, like example.com or .example.com (its sub-domains)"
    if not isinstance(value, list):
        raise Wrong(wanted)
    for item in value:
        if not isinstance(item, str) or not _DOMAIN.match(item) or not item.isprintable():
            raise Wrong(f"{wanted}, not {json.dumps(item)[:60]},")
    return tuple(item.lower() for item in value)


def _directory(value: Any) -> str:
    if value == "":
        return ""
    try:
        return values.path(value)
    except Wrong:
        raise Wrong("an absolute path, or an empty string for the built-in ones") from None


def _networks_back(networks: tuple[Network, ...]) -> list[str]:
    return [str(network) for network in networks]


@dataclasses.dataclass(frozen=True)
class NotificationKeys:
    """Keys for the notices that the filter writes."""

    notify_admin: str = key(
        "", _address, "", "who is told of messages with what notify_admin_categories names; empty for nobody"
    )
    notify_admin_categories: tuple[str, ...] = key(
        (VIRUS, BANNED), _categories, "", "what notify_admin is told of", list
    )
    notify_recipients: tuple[str, ...] = key(
        (), _categories, "", "what recipients are told of, when a message for them is put into quarantine", list
    )
    notify_senders: tuple[str, ...] = key(
        (),
        _categories,
        "",
        "what senders are told of, when their message is not delivered; only who is certain to have sent it is told",
        list,
    )
    notify_from: str = key(
        "", _address, "", "the address in From of notices; empty for MAILER-DAEMON at this host's name"
    )
    notify_limit: int = key(
        100, values.integer(1, 1000000), "notices", "per worker and hour; what is beyond is not sent, and logged once"
    )
    notification_templates: str = key(
        "", _directory, "", "directory with admin.txt, recipient.txt, sender.txt in place of the built-in texts"
    )
    local_networks: tuple[Network, ...] = key(
        (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128")),
        values.networks,
        "",
        "networks of clients whose sender addresses are believed, so that senders may be told",
        _networks_back,
    )
    local_domains: tuple[str, ...] = key(
        (), _domains, "", "domains whose senders may be told wherever the mail came from: it stays in the house", list
    )
