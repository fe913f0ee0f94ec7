#!/usr/bin/python
# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: host_info
short_description: Look at files, directories, units and answers of programs in one visit
version_added: "0.1.0"
description:
  - Answers all that a role wants to know of a host before it changes anything, in one visit, where C(stat), C(slurp),
    C(find), C(systemd_service) and C(command) pay one for each question.
  - Changes nothing, as long as O(commands) only look.
extends_documentation_fragment:
  - mailops.filter_stack.attributes
  - mailops.filter_stack.attributes.reads
options:
  paths:
    description: Paths to look at. Symbolic links are not followed.
    type: list
    elements: str
    default: []
  read:
    description: Files to read, whole.
    type: list
    elements: str
    default: []
  trees:
    description: Directories of which all that is below is told; of a file, itself as C(.).
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: The directory.
        type: str
        required: true
      patterns:
        description: Shell patterns. Only files and directories with such a name are told. Without any, all are.
        type: list
        elements: str
        default: []
      checksum:
        description: Whether to sum up the content of the files, which takes a while where they are large.
        type: bool
        default: true
  units:
    description: systemd units to look at.
    type: list
    elements: str
    default: []
  commands:
    description:
      - Programs to run, each as a list of program and arguments, under a name for its answer. No shell is between.
      - They run in check mode too, so they must be such as only look.
    type: dict
    default: {}
author:
  - The mailops.filter_stack contributors (@mailops)
seealso:
  - module: mailops.filter_stack.host_files
"""

EXAMPLES = r"""
- name: Look at the filter
  mailops.filter_stack.host_info:
    paths: [/var/spool/vscan]
    read: [/etc/filter-stack/daemon.json]
    trees:
      - path: /usr/local/lib/filter-stack
    units: [filter-daemon.socket, filter-daemon.service]
    commands:
      listeners: [ss, -Hltnp]
  register: host

- name: Say what it is told to do
  ansible.builtin.debug:
    msg: "{{ host.contents['/etc/filter-stack/daemon.json'] | b64decode | from_json }}"
  when: host.units['filter-daemon.service'].ActiveState == 'active'
"""

RETURN = r"""
paths:
  description:
    - For each of O(paths) what is there, as RV(trees) has it, without C(path) and C(checksum); empty when nothing is.
  returned: success
  type: dict
contents:
  description: For each of O(read) that is there, its content in Base64.
  returned: success
  type: dict
trees:
  description: For each of O(trees) what is below it, sorted by path. Nothing when the directory is not there.
  returned: success
  type: dict
  contains:
    path:
      description: The path below the directory.
      type: str
    kind:
      description: V(file), V(directory), V(link) or V(other).
      type: str
    owner:
      description: The user's name, or number when it has no name.
      type: str
    group:
      description: The group's name, or number when it has no name.
      type: str
    mode:
      description: The mode, in octal.
      type: str
      sample: "0640"
    size:
      description: In bytes.
      type: int
    mtime:
      description: When it was changed last, in seconds since 1970.
      type: float
    checksum:
      description: SHA-256 of a file's content.
      type: str
units:
  description:
    - For each of O(units) the properties C(LoadState), C(ActiveState), C(UnitFileState), C(StatusText), C(MainPID),
      C(Listen) and C(DropInPaths), as C(systemctl show) has them, those that it does not have as empty strings; all of
      them, on a host that does not run systemd.
  returned: success
  type: dict
commands:
  description: For each of O(commands) its C(rc), C(stdout) and C(stderr). A program that is not there has C(rc) 127.
  returned: success
  type: dict
"""

import base64
import os
import shutil
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mailops.filter_stack.plugins.module_utils import _file_tree

PROPERTIES = ("LoadState", "ActiveState", "UnitFileState", "StatusText", "MainPID", "Listen", "DropInPaths")
#: there is one where systemd runs (sd_booted(3))
BOOTED = "/run/systemd/system"
#: as a shell has it
NOT_FOUND = 127


def read(path: str) -> str | None:
    """A file's content in Base64; None when there is none."""
    try:
        with open(path, "rb") as stream:
            return base64.b64encode(stream.read()).decode()
    except (FileNotFoundError, NotADirectoryError):
        return None


def shown(text: str, names: list[str]) -> dict[str, dict[str, str]]:
    """What ``systemctl show`` says of some units: a block for each, in their order. What comes twice is joined."""
    units: dict[str, dict[str, str]] = {}
    for name, block in zip(names, text.split("\n\n")):
        units[name] = dict.fromkeys(PROPERTIES, "")
        for line in block.splitlines():
            key, _equals, value = line.partition("=")
            if key in units[name]:
                units[name][key] = "; ".join(part for part in (units[name][key], value) if part)
    return units


def look_at_units(module: AnsibleModule, names: list[str]) -> dict[str, dict[str, str]]:
    if not names or not os.path.isdir(BOOTED):
        return {name: dict.fromkeys(PROPERTIES, "") for name in names}
    command = ["systemctl", "show", f"--property={','.join(PROPERTIES)}", "--", *names]
    _status, said, complaint = module.run_command(command)
    units = shown(said, names)
    if len(units) != len(names):
        module.fail_json(msg=f"systemctl did not tell about {' '.join(names)}: {complaint or said}".strip())
    return units


def answer(module: AnsibleModule, name: str, argv: object) -> dict[str, object]:
    if not isinstance(argv, list) or not argv or not all(isinstance(word, (str, int, float)) for word in argv):
        module.fail_json(msg=f"commands holds {argv!r} as {name}: it takes a list of a program and its arguments")
        raise AssertionError
    words = [str(word) for word in argv]
    if not shutil.which(words[0]):
        return {"rc": NOT_FOUND, "stdout": "", "stderr": f"{words[0]}: there is no such program"}
    status, said, complaint = module.run_command(words, expand_user_and_vars=False)
    return {"rc": status, "stdout": said.rstrip("\n"), "stderr": complaint.rstrip("\n")}


def look_at_files(asked: dict[str, Any]) -> dict[str, Any]:
    contents = {path: read(path) for path in asked["read"]}
    return {
        "paths": {path: _file_tree.describe(path) or {} for path in asked["paths"]},
        "contents": {path: content for path, content in contents.items() if content is not None},
        "trees": {
            one["path"]: list(_file_tree.tree(one["path"], one["patterns"], one["checksum"])) for one in asked["trees"]
        },
    }


def run(module: AnsibleModule) -> dict[str, Any]:
    asked = module.params
    try:
        files = look_at_files(asked)
    except OSError as error:
        module.fail_json(msg=f"{error.filename} cannot be read: {error.strerror}")
        raise
    answers = {name: answer(module, name, argv) for name, argv in asked["commands"].items()}
    return {**files, "units": look_at_units(module, asked["units"]), "commands": answers}


def main() -> None:
    names = {"type": "list", "elements": "str", "default": []}
    module = AnsibleModule(
        argument_spec={
            "paths": names,
            "read": names,
            "trees": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {
                    "path": {"type": "str", "required": True},
                    "patterns": names,
                    "checksum": {"type": "bool", "default": True},
                },
            },
            "units": names,
            "commands": {"type": "dict", "default": {}},
        },
        supports_check_mode=True,
    )
    module.exit_json(changed=False, **run(module))


if __name__ == "__main__":
    main()
