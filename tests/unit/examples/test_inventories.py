# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The inventories in examples/: every variable is one of a role, and takes the value that it is given."""

from __future__ import annotations

import functools
import ipaddress
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

ROOT = Path(__file__).parents[3]
EXAMPLES = sorted(path.parent for path in (ROOT / "examples").glob("*/hosts.yml"))
COMMANDS = Path(sys.executable).parent
#: The networks that are for documentation (RFC 5737), and the addresses that mean this host, or all of its own.
NETWORKS = [ipaddress.ip_network(text) for text in ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "127.0.0.0/8")]


@functools.cache
def options(role: Path) -> dict[str, Any]:
    specs = yaml.safe_load((role / "meta/argument_specs.yml").read_text(encoding="utf-8"))
    return specs["argument_specs"]["main"]["options"]


@functools.cache
def defaults(role: Path) -> dict[str, Any]:
    return yaml.safe_load((role / "defaults/main.yml").read_text(encoding="utf-8"))


@functools.cache
def common_variables() -> set[str]:
    """The collection's own, by their use."""
    texts = [path.read_text(encoding="utf-8") for path in (ROOT / "roles").rglob("*.yml")]
    return set(re.findall(r"\bfilter_stack_\w+", "".join(texts)))


ROLES = {path.name: path for path in sorted((ROOT / "roles").iterdir())}


def taken(role: str, variables: dict[str, Any]) -> dict[str, Any]:
    """The role's options that an inventory sets: by their own names, or by the collection's, which they default to."""
    found = {}
    for name, default in defaults(ROLES[role]).items():
        common = re.match(r"\{\{ (filter_stack_\w+) \| default\(.*\) \}\}\Z", str(default))
        if name in variables:
            found[name] = variables[name]
        elif common and common[1] in variables:
            found[name] = variables[common[1]]
    return found


def complaints(variables: dict[str, Any]) -> list[str]:
    """What is wrong with the variables of one host, in words."""
    words = []
    own = {name for role in ROLES for name in options(ROLES[role])}
    for name in variables:
        if name.startswith("filter_") and name not in own | common_variables():
            words.append(f"no role has {name}")
    for role, path in ROLES.items():
        # defaults are not to be judged here, and some are expressions
        specs = {name: {**option, "default": None} for name, option in options(path).items()}
        words += ArgumentSpecValidator(specs).validate(taken(role, variables)).error_messages
    return words


def inventory(example: Path) -> dict[str, Any]:
    """As Ansible reads it: `hostvars` by host, and the groups."""
    command = [str(COMMANDS / "ansible-inventory"), "-i", str(example), "--list"]
    listed = json.loads(subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT).stdout)
    return {"hosts": listed.pop("_meta")["hostvars"], "groups": listed}


@pytest.fixture(scope="module", params=EXAMPLES, ids=lambda path: path.name)
def example(request: pytest.FixtureRequest) -> Path:
    return request.param


@pytest.fixture(scope="module")
def read(example: Path) -> dict[str, Any]:
    return inventory(example)


def test_there_is_one_for_each_way_to_use_it() -> None:
    assert {path.name for path in EXAMPLES} >= {"single", "before_queue", "farm", "disclaimer"}


def test_every_variable_is_known_and_takes_its_value(read: dict[str, Any]) -> None:
    assert read["hosts"]
    assert {host: complaints(variables) for host, variables in read["hosts"].items()} == {
        host: [] for host in read["hosts"]
    }


def test_its_groups_are_those_of_the_playbooks(read: dict[str, Any]) -> None:
    groups = set(read["groups"]) - {"all", "ungrouped"}
    assert groups in ({"mail_hosts", "filter_hosts"}, set())


def test_names_and_addresses_are_those_of_documentation(example: Path) -> None:
    text = "".join(path.read_text(encoding="utf-8") for path in sorted(example.rglob("*.yml")))
    for address in re.findall(r"\b\d+\.\d+\.\d+\.\d+\b", text):
        assert address == "0.0.0.0" or any(ipaddress.ip_address(address) in network for network in NETWORKS), address
    for name in re.findall(r"\b[\w-]+\.(?:com|org|net|de)\b", text):
        assert name.startswith("example."), name


def test_the_readme_has_a_line_for_it(example: Path) -> None:
    assert f"| [{example.name}]({example.name}) |" in (ROOT / "examples/README.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_playbooks_take_it(example: Path) -> None:
    playbooks = [f"playbooks/{name}.yml" for name in ("site", "verify", "remove")]
    command = [str(COMMANDS / "ansible-playbook"), "--syntax-check", "-i", str(example), *playbooks]
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "[WARNING]" not in done.stderr


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"filter_stack_instances": "many"}, "many"),
        ({"filter_daemon_instance": 4}, "no role has filter_daemon_instance"),
        ({"filter_postfix_smtp": "open"}, "open"),
        ({"filter_postfix_listeners": [{"address": "192.0.2.1"}]}, "role"),
    ],
)
def test_what_is_wrong_is_found(variables: dict[str, Any], words: str) -> None:
    assert words in " ".join(complaints(variables))
