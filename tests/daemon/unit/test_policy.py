# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The policy table: what is found and what the configuration says give one decision."""

from __future__ import annotations

import pytest

from filterd import config, policy
from filterd.findings import UNCHECKED, VIRUS, Finding

VIRUS_FOUND = Finding(VIRUS, "Test.Virus", "clamd")
TOO_BIG = Finding(UNCHECKED, "Heuristics.Limits.Exceeded", "clamd")


@pytest.mark.parametrize(
    ("settings", "findings", "decision"),
    [
        ({}, [], ("clean", "pass", False)),
        ({}, [VIRUS_FOUND], ("virus", "discard", True)),
        ({"on_virus": "reject"}, [VIRUS_FOUND], ("virus", "reject", True)),
        ({"on_virus": "tempfail"}, [VIRUS_FOUND], ("virus", "tempfail", False)),
        ({}, [TOO_BIG], ("unchecked", "discard", True)),
        ({"on_unchecked": "pass"}, [TOO_BIG], ("unchecked", "pass", False)),
        ({"on_unchecked": "reject"}, [TOO_BIG], ("unchecked", "reject", True)),
        ({"on_unchecked": "tempfail"}, [TOO_BIG], ("unchecked", "tempfail", False)),
        # A virus decides, whatever else was found and in which order.
        ({"on_unchecked": "pass"}, [TOO_BIG, VIRUS_FOUND], ("virus", "discard", True)),
        ({"on_unchecked": "tempfail"}, [VIRUS_FOUND, TOO_BIG], ("virus", "discard", True)),
    ],
)
def test_one_decision(settings, findings, decision):
    assert policy.decide(config.from_json(settings), findings) == decision
