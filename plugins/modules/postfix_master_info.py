#!/usr/bin/python
# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: postfix_master_info
short_description: Read the services of Postfix' master.cf
version_added: "0.1.0"
description:
  - Reads master.cf as Postfix does, with the line on which each service stands, and says which services are there, or
    are as they are, because of M(mailops.filter_stack.postfix_master).
  - A missing or empty master.cf, a service that is defined twice, and a malformed line are refused with the line's
    number and text.
extends_documentation_fragment:
  - mailops.filter_stack.attributes
  - mailops.filter_stack.attributes.reads
options:
  path:
    description:
      - The master.cf to read.
    type: path
    default: /etc/postfix/master.cf
  restore_file:
    description:
      - The record that M(mailops.filter_stack.postfix_master) keeps.
    type: path
author:
  - The mailops.filter_stack contributors (@mailops)
seealso:
  - module: mailops.filter_stack.postfix_master
"""

EXAMPLES = r"""
- name: See what Postfix runs
  mailops.filter_stack.postfix_master_info:
    restore_file: /var/lib/filter-stack/master.cf.json
  register: master_cf
"""

RETURN = r"""
services:
  description: The services in the order of the file.
  returned: success
  type: list
  elements: dict
  contains:
    key:
      description: Name and type.
      type: str
      sample: smtp/inet
    name:
      description: The first field.
      type: str
    type:
      description: The second field.
      type: str
    chroot:
      description: The fifth field.
      type: str
    maxproc:
      description: The seventh field.
      type: str
    command:
      description: The eighth field.
      type: str
    options:
      description: The options C(-o) by name.
      type: dict
    line:
      description: The number of the line on which it starts.
      type: int
    ours:
      description: V(added) or V(changed) by the module M(mailops.filter_stack.postfix_master); empty for the others.
      type: str
    before:
      description: RV(services[].maxproc) and RV(services[].options) as they were before the change, else as they are.
      type: dict
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mailops.filter_stack.plugins.module_utils import _master_cf, _master_services
from ansible_collections.mailops.filter_stack.plugins.module_utils._postfix_file import PostfixFile, RestoreFile


def run(module: AnsibleModule) -> dict[str, object]:
    path = module.params["path"]
    text = PostfixFile(module, path).text
    record = RestoreFile(module, module.params["restore_file"], path, _master_cf.parse).record
    return {"changed": False, "services": _master_services.described(text, record, path)}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "default": "/etc/postfix/master.cf"},
            "restore_file": {"type": "path"},
        },
        supports_check_mode=True,
    )
    try:
        module.exit_json(**run(module))
    except ValueError as error:
        module.fail_json(msg=str(error))


if __name__ == "__main__":
    main()
