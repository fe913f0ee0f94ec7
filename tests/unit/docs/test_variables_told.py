# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The page about ClamAV tells of every variable, and the README of every role."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[3]
ROLES = sorted(path.parent.parent.name for path in (ROOT / "roles").glob("*/meta/main.yml"))


def variables(role: str) -> list[str]:
    return list(yaml.safe_load((ROOT / "roles" / role / "defaults/main.yml").read_text(encoding="utf-8")))


@pytest.mark.parametrize("name", variables("filter_clamav"))
def test_the_page_about_clamav_tells_of_every_variable(name: str) -> None:
    assert f"`{name}`" in (ROOT / "docs/clamav.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("role", ROLES)
def test_the_readme_lists_every_role(role: str) -> None:
    assert f"[`{role}`](roles/{role}/README.md)" in (ROOT / "README.md").read_text(encoding="utf-8")
