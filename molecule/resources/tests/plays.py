# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs the product's playbooks from a test, over the scenario's own hosts."""

from __future__ import annotations

import json
import os
import re
import subprocess
from typing import Any, NamedTuple


class Play(NamedTuple):
    """How a playbook ended."""

    code: int
    output: str

    @property
    def changed(self) -> int:
        """Changed tasks on all hosts, by the recap."""
        return sum(int(number) for number in re.findall(r" changed=(\d+) ", self.output))


def play(name: str, *arguments: str, **variables: Any) -> Play:
    """Run the playbook `name` of the collection with these extra variables."""
    command = ["ansible-playbook", "-i", os.environ["MOLECULE_INVENTORY_FILE"], f"mailops.filter_stack.{name}"]
    command += [*arguments, "--extra-vars", json.dumps(variables)]
    environment = {**os.environ, "ANSIBLE_NOCOLOR": "1"}
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, env=environment
    )
    return Play(done.returncode, done.stdout)


def converge(**variables: Any) -> Play:
    """Run the site playbook's wiring alone, and expect it to succeed."""
    done = play("site", "--tags", "filter_postfix,filter_verify", **variables)
    assert done.code == 0, done.output
    return done
