# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module tmpfs_size as Ansible runs it."""

from __future__ import annotations

import os
from typing import Any

import pytest

from ...conftest import RunModule


@pytest.mark.parametrize("check", [True, False])
def test_the_result_has_all_that_a_role_needs(run_module: RunModule, check: bool) -> None:
    result = run_module("tmpfs_size", check=check, instances="5", message_size_limit=10000000, page_size=4096)
    # which ansible-core 2.21 and newer leave out
    result.pop("invocation", None)
    assert result == {
        "changed": False,
        "bytes": 131250000,
        "exact_bytes": 131250000,
        "mount_bytes": 131252224,
        "per_message_bytes": 26250000,
        "page_size": 4096,
        "size": "size=131250000",
        "formula": "instances * (1 + expansion_factor) * message_size_limit * 7/8 = "
        "5 * (1 + 2) * 10000000 * 7/8 = 131250000 bytes",
    }


def test_the_page_is_the_hosts(run_module: RunModule) -> None:
    result = run_module("tmpfs_size", instances=1, expansion_factor=0, message_size_limit=1)
    assert result["page_size"] == result["bytes"] == result["mount_bytes"] == os.sysconf("SC_PAGE_SIZE")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"instances": -1}, "instances: -1 is wrong, it takes a whole number from 1"),
        ({"instances": "four"}, "instances: 'four' is wrong"),
        ({"instances": True}, "instances: True is wrong"),
        ({"expansion_factor": -0.5}, "expansion_factor: -0.5 is wrong, it takes a number from 0"),
        ({"message_size_limit": 0}, "message_size_limit: 0 means 'unlimited' to Postfix"),
        ({"message_size_limit": "10M"}, "message_size_limit: '10M' is wrong, it takes a number of bytes"),
        ({"page_size": 1000}, "page_size: 1000 is wrong"),
        ({"memory_total": 0}, "memory_total: 0 is wrong"),
        ({"memory_share": 101}, "memory_share: 101 is wrong"),
        ({"memory_total": 10**8}, "memory_share allows 50 % of this host's 100000000 bytes"),
        (
            {"memory_total": 10**8, "variable_prefix": "filter_tmpfs_"},
            "filter_tmpfs_instances, filter_tmpfs_expansion_",
        ),
        ({"instances": 0, "variable_prefix": "filter_stack_"}, "filter_stack_instances: 0 is wrong"),
    ],
)
def test_wrong_input_is_one_line_that_says_what_it_takes(
    run_module: RunModule, options: dict[str, Any], words: str
) -> None:
    result = run_module("tmpfs_size", fails=True, **{"instances": 5, "message_size_limit": 10000000, **options})
    assert words in result["msg"]
    assert "\n" not in result["msg"]
