# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a role's defaults say and what its argument specs say is the same."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROLES = sorted(path for path in (Path(__file__).parents[3] / "roles").iterdir() if path.is_dir())


def defaults(role: Path) -> dict[str, Any]:
    return yaml.safe_load((role / "defaults/main.yml").read_text(encoding="utf-8"))


def options(role: Path) -> dict[str, Any]:
    specs = yaml.safe_load((role / "meta/argument_specs.yml").read_text(encoding="utf-8"))
    return specs["argument_specs"]["main"]["options"]


def by_expression(option: dict[str, Any], default: object) -> bool:
    """Whether it has a type that an expression, which is a text, is not of."""
    return option["type"] not in {"str", "path", "raw"} and isinstance(default, str)


def test_there_are_roles() -> None:
    assert len(ROLES) >= 8


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_defaults_and_argument_specs_are_the_same(role: Path) -> None:
    known = defaults(role)
    described = options(role)
    assert set(described) == set(known)
    for name, option in described.items():
        if by_expression(option, known[name]):
            # what evaluates the documentation wants a number here, and there is none before the play runs
            assert "default" not in option, name
            assert "By default" in option["description"], name
        else:
            assert option.get("default") == known[name], name


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_every_public_variable_is_described_and_starts_with_the_roles_name(role: Path) -> None:
    for name, option in options(role).items():
        assert name.startswith(f"{role.name}_")
        assert option["description"]
        assert option["type"]


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_every_internal_variable_starts_with_two_underlines_and_the_roles_name(role: Path) -> None:
    for path in sorted((role / "vars").glob("*.yml")):
        for name in yaml.safe_load(path.read_text(encoding="utf-8")):
            assert name.startswith(f"__{role.name}_"), path


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_no_internal_variable_is_made_and_not_used(role: Path) -> None:
    texts = [path.read_text(encoding="utf-8") for path in sorted(role.rglob("*")) if path.is_file()]
    for path in sorted((role / "vars").glob("*.yml")):
        for name in yaml.safe_load(path.read_text(encoding="utf-8")):
            uses = sum(len(re.findall(rf"\b{name}\b(?!:)", text)) for text in texts)
            assert uses, f"{path}: {name}"


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_no_result_of_a_task_hides_a_variable(role: Path) -> None:
    """A registered result outlives its task, to the end of the run, and comes before a role's variables."""
    variables = {
        name
        for path in [role / "defaults/main.yml", *(role / "vars").glob("*.yml")]
        for name in yaml.safe_load(path.read_text(encoding="utf-8"))
    }
    registered = {
        name
        for path in (role / "tasks").glob("*.yml")
        for name in re.findall(r"^\s*register: (\S+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    }
    assert registered & variables == set()
