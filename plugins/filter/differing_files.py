# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
name: differing_files
short_description: Which directories and files a host has not, or not as they shall be
version_added: "0.1.0"
description:
  - Compares what M(mailops.filter_stack.host_files) is to bring about with what M(mailops.filter_stack.host_info) saw,
    so that the visit is spared when there is nothing to do. What is in doubt, as a symbolic link, is told as differing.
author:
  - The mailops.filter_stack contributors (@mailops)
positional: seen
options:
  _input:
    description: The files, as O(mailops.filter_stack.host_files#module:files) takes them.
    type: list
    elements: dict
    required: true
  seen:
    description:
      - What M(mailops.filter_stack.host_info) returned. It has looked at all of the paths, and read all of the files.
    type: dict
    required: true
  directories:
    description: The directories, as O(mailops.filter_stack.host_files#module:directories) takes them.
    type: list
    elements: dict
    default: []
"""

EXAMPLES = r"""
- name: Look at the unit
  mailops.filter_stack.host_info:
    paths: "{{ units | map(attribute='path') }}"
    read: "{{ units | map(attribute='path') }}"
  register: host

- name: Write it, if it is another one
  mailops.filter_stack.host_files:
    files: "{{ units }}"
  when: units | mailops.filter_stack.differing_files(host) | length > 0
"""

RETURN = r"""
_value:
  description: The paths of those that differ, directories first.
  type: list
  elements: str
"""

from collections.abc import Mapping, Sequence
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.mailops.filter_stack.plugins.module_utils import _kept_files


def differing_files(
    files: Sequence[Mapping[str, Any]], seen: Mapping[str, Any], directories: Sequence[Mapping[str, Any]] = ()
) -> list[str]:
    """The paths, or an error that says what was not looked at."""
    try:
        return _kept_files.differing(directories, files, seen)
    except (KeyError, TypeError, AttributeError) as error:
        raise AnsibleFilterError(f"differing_files: host_info did not look at all of them: {error!r}") from error


class FilterModule:
    """What Ansible loads."""

    def filters(self) -> dict[str, Any]:
        """By name."""
        return {"differing_files": differing_files}
