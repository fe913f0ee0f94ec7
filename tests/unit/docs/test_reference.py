# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The reference of the roles says what their argument specs say."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]


def test_the_readme_of_every_role_is_what_its_specs_say() -> None:
    command = [sys.executable, str(ROOT / "tools/role_reference.py"), "--check"]
    checked = subprocess.run(command, check=False, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stderr


def test_every_role_has_one() -> None:
    roles = [path for path in (ROOT / "roles").iterdir() if path.is_dir()]
    assert [role.name for role in roles if not (role / "README.md").exists()] == []
