# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
name: file_tree
short_description: What lies in a directory on the controller, with checksums
version_added: "0.1.0"
description:
  - Tells all that is below a directory on the controller, as M(mailops.filter_stack.host_info) does on a host, so that
    both can be compared. It starts no program, where a task that is delegated to the controller does.
author:
  - The mailops.filter_stack contributors (@mailops)
options:
  _terms:
    description: The directories, or files.
    required: true
    type: list
    elements: str
  patterns:
    description: Shell patterns. Only files and directories with such a name are told. Without any, all are.
    type: list
    elements: str
    default: []
seealso:
  - module: mailops.filter_stack.host_info
"""

EXAMPLES = r"""
- name: Sum up the templates
  ansible.builtin.debug:
    msg: "{{ query('mailops.filter_stack.file_tree', role_path ~ '/templates', patterns=['*.j2'])
             | items2dict(key_name='path', value_name='checksum') }}"
"""

RETURN = r"""
_raw:
  description:
    - All that is below the directories, sorted by path, as RV(mailops.filter_stack.host_info#module:trees) has it.
  type: list
  elements: dict
"""

import os
from collections.abc import Iterable, Sequence
from typing import Any

from ansible.errors import AnsibleLookupError
from ansible.plugins.lookup import LookupBase
from ansible_collections.mailops.filter_stack.plugins.module_utils import _file_tree


def told(terms: Iterable[str], patterns: Sequence[str]) -> list[dict[str, object]]:
    """All that is below each of them, or an error that names what cannot be read."""
    try:
        return [entry for term in terms for entry in _file_tree.tree(os.path.expanduser(term), patterns)]
    except OSError as error:
        raise AnsibleLookupError(f"file_tree cannot read {error.filename}: {error.strerror}") from error


class LookupModule(LookupBase):  # type: ignore[misc]
    """What Ansible loads."""

    def run(self, terms: list[str], variables: Any = None, **kwargs: Any) -> list[dict[str, object]]:
        """As Ansible calls it."""
        self.set_options(var_options=variables, direct=kwargs)
        return told(terms, self.get_option("patterns"))
