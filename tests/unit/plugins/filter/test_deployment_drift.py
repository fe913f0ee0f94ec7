# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Running equals deployed: what is said when it does not."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.mailops.filter_stack.plugins.filter.deployment_drift import FilterModule

deployment_drift = FilterModule().filters()["deployment_drift"]


def report(code: str = "a62fd503d922 (/usr/local/lib/filter-stack)", **keys: Any) -> dict[str, Any]:
    """What `check --json` says."""
    return {"code": code, "configuration": {"instances": 4, "on_virus": "discard", **keys}}


def test_all_the_same() -> None:
    assert deployment_drift(report("a62fd503d922"), report(), report("a62fd503d922 (/a/checkout/files)")) == []


@pytest.mark.parametrize(
    ("running", "on_disk", "wanted", "words"),
    [
        # daemon.json was edited by hand, and not read yet
        ({}, {"instances": 5}, {}, "instances: 4 runs, 5 is on disk"),
        # edited by hand, and read
        ({"instances": 5}, {"instances": 5}, {}, "instances: 5 runs, 4 would be deployed"),
        # the playbook has not run since its variables were changed
        ({}, {}, {"on_virus": "reject"}, 'on_virus: "discard" runs, "reject" would be deployed'),
        ({"instances": 1}, {"instances": 2}, {"instances": 3}, "instances: 1 runs, 2 is on disk, 3 would be deployed"),
        # another version knows another key
        ({}, {}, {"new_key": []}, "new_key: no such key runs, [] would be deployed"),
    ],
)
def test_keys(running: dict[str, Any], on_disk: dict[str, Any], wanted: dict[str, Any], words: str) -> None:
    assert deployment_drift(report(**running), report(**on_disk), report(**wanted)) == [words]


def test_new_code_that_was_not_started() -> None:
    found = deployment_drift(report("0000000000aa"), report(), report())
    assert found == ["code: 0000000000aa runs, a62fd503d922 is on disk, a62fd503d922 would be deployed"]


def test_a_daemon_that_tells_nothing_is_taken_for_what_is_on_disk() -> None:
    assert deployment_drift({}, report(), report()) == []
    assert deployment_drift({}, report(), report(instances=5)) == ["instances: 4 runs, 5 would be deployed"]


def test_what_cannot_be_compared_is_no_agreement() -> None:
    assert "does not run" in deployment_drift({}, {}, report())[0]
    assert "n: held 0" in deployment_drift(report(), report(), {"error": "n: held 0"})[0]


def test_other_data_are_refused() -> None:
    with pytest.raises(AnsibleFilterError, match="not reports of the daemon"):
        deployment_drift({"code": "x"}, report(), report())
