# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The documentation of daemon.json is the code's own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from filterd import notice_templates

ROOT = Path(__file__).resolve().parents[3]


def test_every_key_of_the_configuration_is_documented_as_it_is():
    checked = subprocess.run(
        [sys.executable, str(ROOT / "tools/daemon_reference.py"), "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stderr


def test_every_name_of_the_templates_is_documented_as_it_is():
    page = (ROOT / "docs/quarantine.md").read_text()
    for name, meaning in notice_templates.NAMES.items():
        assert f"| `${name}` | {meaning} |\n" in page
