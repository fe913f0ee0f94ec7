#!/usr/bin/python
# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: tmpfs_size
short_description: Compute the size of a content filter's scratch tmpfs
version_added: "0.1.0"
description:
  - Computes how large the tmpfs has to be in which a mail content filter unpacks messages, by the rule
    C(instances * (1 + expansion_factor) * message_size_limit * 7/8).
  - The arithmetic is exact. Nothing on the host is read except its page size, and nothing is changed.
  - Given the host's memory, it fails when the tmpfs would take a larger share of it than allowed, because a host
    that swaps mail is slower than one without a tmpfs.
extends_documentation_fragment:
  - mailops.filter_stack.attributes
  - mailops.filter_stack.attributes.reads
options:
  instances:
    description:
      - How many messages are in the filter at the same time; a whole number, 1 or more.
      - It is also the process limit (C(maxproc)) of the Postfix transport that feeds the filter.
    type: raw
    required: true
  expansion_factor:
    description:
      - How many times its own size a message may need on top for what it unpacks to; 0 or more, V(2.5) is allowed.
    type: raw
    default: 2
  message_size_limit:
    description:
      - The largest message in bytes, as C(postconf -hx message_size_limit) prints it.
      - Postfix' V(0) means unlimited, for which no tmpfs can be sized, so it is refused.
    type: raw
    required: true
  page_size:
    description:
      - The host's memory page in bytes. Read from the host when not given.
    type: raw
  memory_total:
    description:
      - The host's physical memory in bytes. When given, O(memory_share) is enforced.
    type: raw
  memory_share:
    description:
      - How much of O(memory_total) the tmpfs may take at most, in per cent.
    type: raw
    default: 50
  variable_prefix:
    description:
      - Put before option names in error messages, so that they name the variable which a role's user sets. With
        V(filter_tmpfs_) a wrong O(instances) is reported as C(filter_tmpfs_instances).
    type: str
    default: ""
author:
  - The mailops.filter_stack contributors (@mailops)
seealso:
  - module: ansible.posix.mount
"""

EXAMPLES = r"""
- name: Size the scratch tmpfs for five messages of at most 10 MB
  mailops.filter_stack.tmpfs_size:
    instances: 5
    expansion_factor: 2
    message_size_limit: 10000000
    memory_total: "{{ ansible_facts['memtotal_mb'] * 1048576 }}"
    memory_share: 50
  register: scratch_size

- name: Mount it
  ansible.posix.mount:
    path: /var/spool/vscan
    src: tmpfs
    fstype: tmpfs
    opts: "{{ scratch_size.size }},mode=0750,nosuid,nodev,noexec"
    state: mounted
"""

RETURN = r"""
bytes:
  description:
    - The size to ask the kernel for, the rule's result rounded up to a whole byte, but at least one page.
    - It is not rounded up to whole pages; RV(mount_bytes) is what the live mount then shows.
  returned: success
  type: int
  sample: 131250000
exact_bytes:
  description: The rule's result rounded up to a whole byte.
  returned: success
  type: int
  sample: 131250000
mount_bytes:
  description:
    - RV(bytes) rounded up to whole pages, as the kernel does; what C(df -B1) and C(statvfs) show for the live mount.
  returned: success
  type: int
  sample: 131252224
per_message_bytes:
  description: The rule for one message, rounded down; the budget that the filter daemon gives each message.
  returned: success
  type: int
  sample: 26250000
page_size:
  description: The page size that was used, in bytes.
  returned: success
  type: int
  sample: 4096
size:
  description: The mount option, for fstab.
  returned: success
  type: str
  sample: size=131250000
formula:
  description: The rule with its numbers, for people.
  returned: success
  type: str
  sample: instances * (1 + expansion_factor) * message_size_limit * 7/8 = 5 * (1 + 2) * 10000000 * 7/8 = 131250000 bytes
"""

import os

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mailops.filter_stack.plugins.module_utils import _tmpfs_size


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "instances": {"type": "raw", "required": True},
            "expansion_factor": {"type": "raw", "default": 2},
            "message_size_limit": {"type": "raw", "required": True},
            "page_size": {"type": "raw"},
            "memory_total": {"type": "raw"},
            "memory_share": {"type": "raw", "default": 50},
            "variable_prefix": {"type": "str", "default": ""},
        },
        supports_check_mode=True,
    )
    given = module.params
    prefix = given["variable_prefix"]
    try:
        page_size = given["page_size"]
        if page_size is None:
            page_size = os.sysconf("SC_PAGE_SIZE")
        page_size = _tmpfs_size.parse_page_size(page_size, prefix + "page_size")
        size = _tmpfs_size.compute(
            _tmpfs_size.parse_instances(given["instances"], prefix + "instances"),
            _tmpfs_size.parse_expansion_factor(given["expansion_factor"], prefix + "expansion_factor"),
            _tmpfs_size.parse_message_size_limit(given["message_size_limit"], prefix + "message_size_limit"),
            page_size,
        )
        share = _tmpfs_size.parse_memory_share(given["memory_share"], prefix + "memory_share")
        if given["memory_total"] is not None:
            total = _tmpfs_size.parse_memory_total(given["memory_total"], prefix + "memory_total")
            _tmpfs_size.check_memory(size, total, share, prefix)
    except ValueError as error:
        module.fail_json(msg=str(error))
    module.exit_json(
        changed=False,
        bytes=size.size_bytes,
        exact_bytes=size.exact_bytes,
        mount_bytes=size.mount_bytes,
        per_message_bytes=size.per_message_bytes,
        page_size=page_size,
        size=f"size={size.size_bytes}",
        formula=size.formula,
    )


if __name__ == "__main__":
    main()
