# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts as the role filter_report collects them, for tests of the page."""

from __future__ import annotations

from typing import Any

NOW = 1_795_384_000.0
HOUR = 1_795_381_200


def status(**changes: Any) -> dict[str, Any]:
    """What `filter-daemon status --json` says of a daemon that is well."""
    stages = {"wait": 0.1, "scan": 0.6, "deliver": 0.5, "total": 1.2}
    latency = {
        name: {"words": {"average": "12.0 ms", "p50": "8.0 ms", "p95": "30.0 ms", "p99": "80.0 ms"}, "p95": 0.03 * part}
        for name, part in stages.items()
    }
    return {
        "running": {
            "version": "0.1.0",
            "code": "a62fd503d922",
            "interpreter": "Python 3.11.2",
            "since": NOW - 86400 * 3,
            "fingerprint": "be1a0c9982b2",
            "configuration": {"reinject": "127.0.0.1:10025"},
        },
        "deployed": {"code": "a62fd503d922", "fingerprint": "be1a0c9982b2"},
        "drift": [],
        "instances": {"size": 4, "in_flight": 1, "waiting": 0},
        "messages": {
            "words": "43211, 87.0 MiB; 22/min now, 21.4/min in 5 min",
            "total": 43211,
            "bytes": 91_234_567,
            "per_minute": {"1m": 22.0, "5m": 21.4},
            "by_verdict": {"clean": 43000, "virus": 211},
            "recipients": {"delivered": 43000, "quarantined": 211},
            "given_up": {},
        },
        "latency": latency,
        "scanners": [{"name": "clamd", "asked": 43211, "failed": 2, "average": 0.007, "signatures": NOW - 32400}],
        "scratch": {"words": "11.4 MiB of 103 MiB", "used": 12_000_000, "capacity": 107_520_000},
        "quarantine": {
            "words": "211 messages, 39.1 MiB, 16.8 GiB free, reserve 100 MiB",
            "messages": 211,
            "bytes": 41_000_000,
            "oldest": NOW - 86400,
            "free": 18_000_000_000,
            "reserve": 104_857_600,
        },
        "ledger": {"file": "/var/lib/vscan/ledger/ledger.jsonl", "lines": 43220, "failures": 0},
        "history": [
            {"start": HOUR - 3600 * back, "messages": {"clean": 1200 - 9 * back, "virus": 12}, "p95": 0.03}
            for back in range(30, -1, -1)
        ],
        "warnings": [],
        **changes,
    }


def host(name: str = "mx1.example.com", **changes: Any) -> dict[str, Any]:
    """A host that is both, and well."""
    return {
        "name": name,
        "address": name,
        "is_mail_host": True,
        "is_filter_host": True,
        "reachable": True,
        "status": status(),
        "check": {"checks": [{"section": "reinject", "state": "ok", "text": "127.0.0.1:10025: answers EHLO"}]},
        "postfix": {
            "version": "3.7.11",
            "transport": "scan unix - - n - 4 lmtp",
            "next_hops": ["scan:[127.0.0.1]:10024"],
        },
        **changes,
    }
