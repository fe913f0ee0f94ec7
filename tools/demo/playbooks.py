# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The demo's inventory, and the playbooks that are run over it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import container
from messages import DISCLAIMER, INSIDE

ROOT = Path(__file__).resolve().parents[2]
DIRECTORY = ROOT / ".demo"
INVENTORY = DIRECTORY / "inventory" / "hosts.json"
DOMAIN = "demo.example"
PREPARE = "tools/demo/prepare.yml"
SITE = "mailops.filter_stack.site"
VERIFY = "mailops.filter_stack.verify"
REMOVE = "mailops.filter_stack.remove"


def write_inventory() -> None:
    """Write the inventory: one host in no group, so that it is mail host and filter."""
    variables = {
        "ansible_connection": "community.docker.docker",
        "ansible_python_interpreter": "/usr/bin/python3",
        # a bare Debian has no sudo, and the container's user is root; to name it (ansible_user) would have Docker asked
        # for its version before each task
        "ansible_become": False,
        "filter_clamav_database_files": [
            str(ROOT / "molecule/resources/clamav/filter-stack-test.hdb"),
            str(ROOT / "tools/demo/demo.hdb"),
        ],
        "filter_stack_disclaimer": "bundled",
        "filter_stack_disclaimer_text": DISCLAIMER,
        "filter_stack_internal_listen": [f"0.0.0.0:{INSIDE}"],
        "filter_verify_recipient": f"alice@{DOMAIN}",
        "prepare_mail_domain": DOMAIN,
    }
    INVENTORY.parent.mkdir(parents=True, exist_ok=True)
    INVENTORY.write_text(json.dumps({"all": {"hosts": {container.NAME: variables}}}, indent=2) + "\n")


def play(playbook: str, arguments: list[str] | None = None) -> int:
    """Run a playbook over the demo host, its output as it comes; return the exit code."""
    program = str(Path(sys.executable).with_name("ansible-playbook"))
    command = [program, "-i", str(INVENTORY), playbook, *(arguments or [])]
    return subprocess.run(command, cwd=ROOT, check=False).returncode


def forget() -> bool:
    """Remove the inventory; say whether there was one."""
    found = DIRECTORY.exists()
    shutil.rmtree(DIRECTORY, ignore_errors=True)
    return found
