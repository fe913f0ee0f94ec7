# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
name: master_cf_services
short_description: The services of a master.cf that was read before
version_added: "0.1.0"
description:
  - Says what M(mailops.filter_stack.postfix_master_info) says, of files that M(mailops.filter_stack.host_info) has
    read, so that a visit is spared.
author:
  - The mailops.filter_stack contributors (@mailops)
positional: path, restore_file
options:
  _input:
    description: What M(mailops.filter_stack.host_info) returned. It was told to read O(path) and O(restore_file).
    type: dict
    required: true
  path:
    description: The master.cf.
    type: str
    default: /etc/postfix/master.cf
  restore_file:
    description: The record that M(mailops.filter_stack.postfix_master) keeps. It need not be there.
    type: str
seealso:
  - plugin: mailops.filter_stack.postfix_plan
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Look at the host
  mailops.filter_stack.host_info:
    read: [/etc/postfix/master.cf]
  register: host

- name: Say where mail comes in
  ansible.builtin.debug:
    msg: "{{ (host | mailops.filter_stack.master_cf_services).services | selectattr('command', 'equalto', 'smtpd') }}"
"""

RETURN = r"""
_value:
  description: What was found.
  type: dict
  contains:
    services:
      description: As P(mailops.filter_stack.postfix_master_info#module) returns them; none when there is an error.
      type: list
      elements: dict
    error:
      description: Why the file cannot be used, with the line; else empty.
      type: str
"""

from collections.abc import Mapping
from typing import Any

from ansible_collections.mailops.filter_stack.plugins.module_utils import _master_cf, _master_services
from ansible_collections.mailops.filter_stack.plugins.plugin_utils import _seen_postfix


def master_cf_services(
    seen: Mapping[str, Any], path: str = "/etc/postfix/master.cf", restore_file: str | None = None
) -> dict[str, Any]:
    """The services, or the error that the module would fail with."""
    try:
        text = _seen_postfix.text(seen, path)
        record = _seen_postfix.record(seen, restore_file, path, _master_cf.parse)
        return {"services": _master_services.described(text, record, path), "error": ""}
    except ValueError as error:
        return {"services": [], "error": str(error)}


class FilterModule:
    """What Ansible loads."""

    def filters(self) -> dict[str, Any]:
        """By name."""
        return {"master_cf_services": master_cf_services}
