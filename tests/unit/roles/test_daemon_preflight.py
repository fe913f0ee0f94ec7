# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the daemon's service could not write, and values that the daemon does not take, are refused at preflight."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from .test_disclaimer_preflight import preflights

#: Of each host: what is wrong with it, and what the preflight says of that.
WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "ledger_in_home": (
        {"filter_daemon_ledger_file": "/home/filter/ledger.jsonl"},
        "filter_daemon_ledger_file holds /home/filter/ledger.jsonl: it takes a path",
    ),
    "blank_in_path": (
        {"filter_daemon_metrics_socket": "/run/filter stack/metrics.sock"},
        "filter_daemon_metrics_socket holds /run/filter stack/metrics.sock: it takes a path without blanks",
    ),
    # that directory would become the filter's
    "ledger_in_etc": (
        {"filter_daemon_ledger_file": "/etc/ledger.jsonl"},
        "filter_daemon_ledger_file holds /etc/ledger.jsonl, but /etc belongs to root: it takes a file in a",
    ),
    "share_above_one": ({"filter_daemon_warn_deadline_used": 2}, "warn_deadline_used: held 2; it takes"),
    "disclaimer": (
        {"filter_daemon_disclaimers": [{"recipients": ["example.com"]}, {"text": "one\n${nonsense}"}]},
        "recipients, text and html; [1].text:2: has the unknown variable ${nonsense}",
    ),
    "metrics_outside": (
        {"filter_daemon_metrics_listen": "192.0.2.1:9104"},
        'metrics_listen: held "192.0.2.1:9104"; it takes',
    ),
}


@pytest.mark.slow
def test_each_is_refused_by_name(tmp_path: Path) -> None:
    # all in one run, which takes seconds
    hosts = {name: {"filter_daemon_scanners": [], **variables} for name, (variables, _) in WRONG.items()}
    code, output = preflights(tmp_path, "filter_daemon", hosts)
    assert code != 0
    said = dict.fromkeys(WRONG, "")
    # a failure begins a line, and ends where another host, task or message begins
    ends = r"(?=^(?:[a-z]+: \[|[A-Z]+ \[|\[ERROR\]|PLAY)|\Z)"
    for match in re.finditer(rf"^(?:fatal|failed): \[(\w+)\].*?{ends}", output, re.MULTILINE | re.DOTALL):
        said[match[1]] += re.sub(r"\s+", " ", match[0])
    assert {name: words for name, (_, words) in WRONG.items() if words not in said[name]} == {}, output
