# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The variables of filter_daemon and the keys of daemon.json are the same, with the same defaults."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import yaml

from filterd.config import Config
from filterd.keys.operate import OperateKeys

ROLE = Path(__file__).parents[3] / "roles/filter_daemon"
PREFIX = "filter_daemon_"
KEYS = {field.name: field.metadata["back"](field.default) for field in dataclasses.fields(Config)}


def test_variables_named_like_keys_have_their_defaults() -> None:
    defaults = yaml.safe_load((ROLE / "defaults/main.yml").read_text(encoding="utf-8"))
    fixed = {
        name.removeprefix(PREFIX): value
        for name, value in defaults.items()
        if name.removeprefix(PREFIX) in KEYS and "{{" not in str(value)
    }
    assert len(fixed) > 30
    assert fixed == {name: KEYS[name] for name in fixed}


def test_every_variable_goes_into_the_configuration() -> None:
    defaults = yaml.safe_load((ROLE / "defaults/main.yml").read_text(encoding="utf-8"))
    text = (ROLE / "vars/main.yml").read_text(encoding="utf-8")
    for name in defaults:
        key = name.removeprefix(PREFIX)
        if key in KEYS:
            assert f"    '{key}': " in text, name
            assert name in text, name


def test_every_key_of_ledger_metrics_and_warnings_has_a_variable() -> None:
    defaults = yaml.safe_load((ROLE / "defaults/main.yml").read_text(encoding="utf-8"))
    assert {PREFIX + field.name for field in dataclasses.fields(OperateKeys)} <= set(defaults)
