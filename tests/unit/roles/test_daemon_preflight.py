# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the daemon's service could not write, and values that the daemon does not take, are refused at preflight."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from .test_disclaimer_preflight import preflight


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        (
            {"filter_daemon_ledger_file": "/home/filter/ledger.jsonl"},
            "filter_daemon_ledger_file holds /home/filter/ledger.jsonl: it takes a path",
        ),
        (
            {"filter_daemon_metrics_socket": "/run/filter stack/metrics.sock"},
            "filter_daemon_metrics_socket holds /run/filter stack/metrics.sock: it takes a path without blanks",
        ),
        # that directory would become the filter's
        (
            {"filter_daemon_ledger_file": "/etc/ledger.jsonl"},
            "filter_daemon_ledger_file holds /etc/ledger.jsonl, but /etc belongs to root: it takes a file in a",
        ),
        ({"filter_daemon_warn_deadline_used": 2}, "warn_deadline_used: held 2; it takes"),
        ({"filter_daemon_metrics_listen": "192.0.2.1:9104"}, 'metrics_listen: held "192.0.2.1:9104"; it takes'),
    ],
)
def test_it_is_refused_by_name(tmp_path: Path, variables: dict[str, Any], words: str) -> None:
    code, output = preflight(tmp_path, "filter_daemon", filter_daemon_scanners=[], **variables)
    assert code != 0
    assert words in output
