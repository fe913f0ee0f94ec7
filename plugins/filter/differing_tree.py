# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
name: differing_tree
short_description: What of a controller's directory a host has not, or not as it shall be, and what it has besides
version_added: "0.1.0"
description:
  - Compares a directory on the controller, which P(mailops.filter_stack.file_tree#lookup) has told, with its copy on a
    host, which M(mailops.filter_stack.host_info) saw.
  - The directories in which the files are belong to it. The directory itself does not.
author:
  - The mailops.filter_stack contributors (@mailops)
positional: here
options:
  _input:
    description: What is on the host, with checksums.
    type: list
    elements: dict
    required: true
  here:
    description: What is on the controller. Only its files count.
    type: list
    elements: dict
    required: true
  owner:
    description: To whom all of it shall belong.
    type: str
    default: root
  group:
    description: The group to which all of it shall belong.
    type: str
    default: root
  mode:
    description: The mode of files, in octal.
    type: str
    default: "0644"
  directory_mode:
    description: The mode of directories, in octal.
    type: str
    default: "0755"
  modes:
    description: The modes of single files, by their paths.
    type: dict
    default: {}
  ignore:
    description: Names of directories that, with all in them, are nobody's business, such as C(__pycache__).
    type: list
    elements: str
    default: []
seealso:
  - plugin: mailops.filter_stack.differing_files
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Look at the code
  mailops.filter_stack.host_info:
    trees:
      - path: /usr/local/lib/thing
  register: host

- name: Say what a copy would change
  ansible.builtin.debug:
    msg: >-
      {{ host.trees['/usr/local/lib/thing']
         | mailops.filter_stack.differing_tree(query('mailops.filter_stack.file_tree', 'thing'), mode='0600') }}
"""

RETURN = r"""
_value:
  description: The paths below the directory.
  type: dict
  contains:
    missing:
      description: What the host has not, or with another content, owner, group or mode, sorted.
      type: list
      elements: str
    left_over:
      description: What the host has besides, what is in a directory before the directory.
      type: list
      elements: str
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ansible.errors import AnsibleFilterError


def differing_tree(
    there: Sequence[Mapping[str, Any]],
    here: Sequence[Mapping[str, Any]],
    owner: str = "root",
    group: str = "root",
    mode: str = "0644",
    directory_mode: str = "0755",
    modes: Mapping[str, str] | None = None,
    ignore: Sequence[str] = (),
) -> dict[str, list[str]]:
    """Compare both, or an error that says what was not told."""
    single = modes or {}
    try:
        files = [one for one in here if one["kind"] == "file"]
        wanted = {path: ("directory", directory_mode, owner, group) for one in files for path in _above(one["path"])}
        wanted.update({one["path"]: (one["checksum"], single.get(one["path"], mode), owner, group) for one in files})
        found = {
            one["path"]: (
                one["checksum"] if one["kind"] == "file" else one["kind"],
                one["mode"],
                one["owner"],
                one["group"],
            )
            for one in there
            if not set(one["path"].split("/")) & set(ignore)
        }
    except (KeyError, TypeError) as error:
        raise AnsibleFilterError(f"differing_tree: a tree was told without its checksums: {error!r}") from error
    return {
        "missing": sorted(path for path, kept in wanted.items() if found.get(path) != kept),
        "left_over": sorted(found.keys() - wanted.keys(), reverse=True),
    }


def _above(path: str) -> Iterator[str]:
    """The directories that a path goes through."""
    while path := os.path.dirname(path):
        yield path


class FilterModule:
    """What Ansible loads."""

    def filters(self) -> dict[str, Any]:
        """By name."""
        return {"differing_tree": differing_tree}
