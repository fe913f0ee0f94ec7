# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys for the ledger, metrics and warnings."""

from __future__ import annotations

import dataclasses
from typing import Any, Optional

from .. import values
from ..values import Address, Wrong, key


def _path_or_nothing(value: Any) -> str:
    if value == "":
        return ""
    try:
        return values.path(value)
    except Wrong as wrong:
        raise Wrong(f"{wrong}, or an empty string for none") from None


def _loopback_or_nothing(value: Any) -> Optional[Address]:
    if value == "":
        return None
    wanted = Wrong("a loopback address like 127.0.0.1:9104 or [::1]:9104, or an empty string for none")
    try:
        found = values.next_hop(value)
    except Wrong:
        raise wanted from None
    # Names and counts of everybody's mail are nobody's business outside, and the daemon speaks no TLS.
    if not found.loopback:
        raise wanted
    return found


@dataclasses.dataclass(frozen=True)
class OperateKeys:
    """Keys for the ledger, metrics and warnings."""

    ledger_file: str = key(
        "/var/lib/vscan/ledger/ledger.jsonl",
        _path_or_nothing,
        "",
        "one JSON line for each transaction; empty for no ledger",
    )
    ledger_max_size: int = key(
        52428800,
        values.integer(4096, 2**40),
        "bytes",
        "of one ledger file; a full one is renamed to .1, .2 and so on",
    )
    ledger_files: int = key(
        10, values.integer(1, 1000), "files", "full ledger files that are kept; the oldest beyond it is removed"
    )
    ledger_addresses: str = key(
        "full",
        values.choice("full", "hashed", "none"),
        "",
        "mail addresses in the ledger: as they are, as keyed hashes that `trace` still finds, or left out",
    )
    metrics_socket: str = key(
        "/run/filter-stack/metrics.sock",
        _path_or_nothing,
        "",
        "Unix socket that tells metrics and status; its directory must exist; empty for none",
    )
    metrics_listen: Optional[Address] = key(  # noqa: RUF009  (a field, not a shared value)
        None,
        _loopback_or_nothing,
        "host:port",
        "loopback address where the metrics can be had by HTTP as well; empty for none",
        lambda address: str(address) if address else "",
    )
    warn_full_time: float = key(
        60, values.number(1, 86400), "seconds", "warn when all instances were busy and messages waited for so long"
    )
    warn_deadline_used: float = key(
        0.5,
        values.number(0.05, 1),
        "",
        "warn when a message needed this part of message_deadline",
    )
    warn_scratch_used: float = key(
        0.8, values.number(0.01, 1), "", "warn when this part of the scratch space is in use"
    )
    warn_quarantine_margin: int = key(
        104857600,
        values.integer(0, 2**60),
        "bytes",
        "warn when the quarantine's file system has less than this free beyond quarantine_reserve",
    )
    warn_signature_age: float = key(
        86400, values.number(60, 31536000), "seconds", "warn when a scanner's virus signatures are older"
    )
    warn_scanner_time: float = key(
        5, values.number(0.01, 3600), "seconds", "warn when a scanner needs longer than this on average"
    )
