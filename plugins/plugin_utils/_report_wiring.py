# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who hands mail to which filter, and where that hands it back, as the report draws it. Pure functions."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.mailops.filter_stack.plugins.plugin_utils._report_drawing import Wire

Host = Mapping[str, Any]

_NEXT_HOP = re.compile(r"(?:[\w-]+:)?\[?([^\[\]]*?)\]?:(\d+)\Z")
#: Of amavisd-new, such as smtp:[127.0.0.1]:10025; a star is the host that hands mail in.
_FORWARD = re.compile(r"""(?m)^\s*\$forward_method\s*=\s*['"]([^'"]*)['"]""")
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


def wires(hosts: Sequence[Host]) -> list[Wire]:
    """Which host's Postfix hands its mail to which filter, and where that hands it back."""
    filters = [host for host in hosts if host.get("is_filter_host")]
    found = []
    for host in hosts:
        postfix = host.get("postfix") or {}
        for hop in postfix.get("next_hops", []):
            match = _NEXT_HOP.match(hop)
            if match is None:
                continue
            target = match[1]
            if target in _LOOPBACK or target == "":
                targets = [host]
            else:
                known = {target, *_resolved(postfix, hop, target)}
                targets = [other for other in filters if known & _names(other)]
            found += [Wire(host["name"], one["name"], hop, _back(host, one, hosts)) for one in targets]
            if not targets:
                found.append(Wire(host["name"], target, hop))
    return list(dict.fromkeys(found))


def _resolved(postfix: Mapping[str, Any], hop: str, target: str) -> list[str]:
    """What Postfix makes of a name: hosts of its MX records where it looks for them and there are any, or addresses."""
    by_mx = hop.startswith("scan:") and "[" not in hop
    records = postfix.get("mx", {}).get(target, []) if by_mx else []
    if records:
        return [name for record in records for name in (record["host"], *record["addresses"])]
    return list(postfix.get("resolved", {}).get(target, []))


def _names(host: Host) -> set[str]:
    return {host["name"], host.get("address") or host["name"], *host.get("addresses", [])}


def _back(source: Host, target: Host, hosts: Sequence[Host]) -> str:
    """The mail host whose smtpd takes the filter's clean mail, by the configuration that runs."""
    match = _NEXT_HOP.match(_reinject(target))
    if match is None:
        return ""
    if match[1] == "*":
        return str(source["name"])
    if match[1] in _LOOPBACK:
        return str(target["name"])
    return next((str(host["name"]) for host in hosts if match[1] in _names(host)), "")


def _reinject(host: Host) -> str:
    """Where its clean mail goes, by what the daemon says of itself, or the last word of amavisd-new's configuration."""
    if host.get("amavis"):
        return (_FORWARD.findall(host["amavis"].get("configuration", "")) or [""])[-1]
    running = (host.get("status") or {}).get("running") or {}
    return str((running.get("configuration") or {}).get("reinject", ""))
