#!/usr/bin/python
# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: postfix_master
short_description: Merge services into Postfix' master.cf, or take them out again
version_added: "0.1.0"
description:
  - Merges a fragment of plain master.cf text into master.cf. A service that is there already is replaced where it
    stands, a new one is added at the end. Every byte that does not belong to one of these services stays as it is.
  - Services are compared as Postfix reads them, see C(master(5\)). Spacing, continuation lines, comments and the ways
    to write C(-o name=value) make no difference, and a service that is equal is not touched.
  - With O(restore_file), O(state=absent) brings back exactly what was there before, also when others have edited the
    file in the meantime. What they changed stays.
  - The file is replaced atomically. A missing or empty master.cf, a service that is defined twice, and a malformed line
    are refused with the line's number and text.
extends_documentation_fragment:
  - mailops.filter_stack.attributes
  - mailops.filter_stack.attributes.edits
options:
  path:
    description:
      - The master.cf to change. A symbolic link is followed.
    type: path
    default: /etc/postfix/master.cf
  fragment:
    description:
      - Services in master.cf syntax, each with its options. Comment lines directly above a service belong to it and are
        written with it. Comments and empty lines elsewhere are ignored.
      - With O(state=absent), lines that hold only C(name/type) are allowed too.
      - With O(state=present) it or O(overlays) is required.
    type: str
  services:
    description:
      - With O(state=absent), services by C(name/type), in addition to those in O(fragment).
    type: list
    elements: str
  overlays:
    description:
      - Services that are there already, and somebody else's, with single options that shall hold for them. All else of
        such a service stays. The options are put over the service as it was before the first change that
        O(restore_file) knows of, so that one that is no longer named goes away again.
      - A service that holds all of it by itself is not touched.
    type: list
    elements: dict
    suboptions:
      service:
        description:
          - The service by C(name/type).
        type: str
        required: true
      maxproc:
        description:
          - The process limit, a number or V(-). Left as it is when it is not given.
        type: str
      options:
        description:
          - The options C(-o) by name. Null takes an option away; booleans become V(yes) and V(no).
        type: dict
        default: {}
  state:
    description:
      - V(present) makes sure that the services are there as O(fragment) has them.
      - V(absent) takes them out. With O(restore_file), a service that had been replaced is put back, one that had been
        added is removed, one that the record does not know or that somebody else has changed since is left alone and
        reported as V(kept). Without O(restore_file) the services are removed whoever wrote them.
    type: str
    choices: [present, absent]
    default: present
  restore_file:
    description:
      - Where to keep the record of what was replaced and added. It is JSON, belongs to the user who runs the module,
        has mode 0600, and is deleted when it is empty. Its directory must exist.
      - Use one record for each master.cf.
    type: path
  purge:
    description:
      - With O(state=present) and O(restore_file), also takes back the services that the record knows and that neither
        O(fragment) nor O(overlays) has any longer, in the same write.
    type: bool
    default: false
  backup:
    description:
      - Keep a copy of the old file beside it, with the time in its name.
    type: bool
    default: false
  validate:
    description:
      - Have the host's own C(postconf) read the new file, in a copy of its directory, before it replaces the old one.
        When it refuses the file the module fails with its words. What it only warns about, such as a parameter that
        this version of Postfix does not know, becomes a warning of the module.
      - A new inet service whose address is none of the host's is refused too, because C(master(8\)) would end when it
        tries to listen there.
    type: bool
    default: true
notes:
  - The module does not reload Postfix. RV(reload_required) and RV(restart_required) say what is needed.
author:
  - The mailops.filter_stack contributors (@mailops)
seealso:
  - module: mailops.filter_stack.postfix_main
  - name: Postfix manual page master(5)
    description: The format of master.cf.
    link: https://www.postfix.org/master.5.html
"""

EXAMPLES = r"""
- name: Feed a content filter and take its mail back
  mailops.filter_stack.postfix_master:
    fragment: |
      # To the content filter
      scan      unix  -       -       n       -       4       lmtp
        -o lmtp_data_done_timeout=1200s
        -o lmtp_send_xforward_command=yes
      # Back from the content filter
      127.0.0.1:10025 inet n  -       n       -       -       smtpd
        -o content_filter=
        -o mynetworks=127.0.0.0/8
    restore_file: /var/lib/filter-stack/master.cf.json
    backup: true
  register: master_cf
  notify: Reload Postfix

- name: Filter what comes in before it is queued
  mailops.filter_stack.postfix_master:
    overlays:
      - service: smtp/inet
        maxproc: 20
        options:
          smtpd_proxy_filter: 127.0.0.1:10024
          smtpd_client_connection_count_limit: 10
    restore_file: /var/lib/filter-stack/master.cf.json

- name: Services from a template
  mailops.filter_stack.postfix_master:
    fragment: "{{ lookup('ansible.builtin.template', 'content_filter.cf.j2') }}"
    restore_file: /var/lib/filter-stack/master.cf.json

- name: Bring back what was there before
  mailops.filter_stack.postfix_master:
    state: absent
    services:
      - scan/unix
      - 127.0.0.1:10025/inet
    restore_file: /var/lib/filter-stack/master.cf.json
"""

RETURN = r"""
services:
  description: What became of each service that was named, in the order of the fragment.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: The service's name.
      type: str
      sample: scan
    type:
      description: The service's type.
      type: str
      sample: unix
    action:
      description:
        - One of V(added), V(changed), V(unchanged), V(removed), V(restored) and V(kept).
        - V(kept) is a service that should be absent, but is not ours to remove.
      type: str
      sample: added
reload_required:
  description: Whether Postfix reads something new in master.cf after a reload.
  returned: success
  type: bool
restart_required:
  description:
    - Whether C(postfix reload) would not be enough, so that Postfix has to be stopped and started.
    - This is so only with Postfix before 3.6, and only when a new inet service listens where one that is gone or
      renamed listened, such as C(127.0.0.1:smtp) instead of C(smtp). Its C(master(8\)) opens new sockets before it
      closes old ones, and ends when the address is in use. Everything else, new services, other addresses and ports,
      process limits, chroot, commands and options, takes effect with a reload.
  returned: success
  type: bool
restart_reason:
  description: Why a restart is required, in words.
  returned: when RV(restart_required) is true
  type: str
record_changed:
  description: Whether O(restore_file) was changed.
  returned: success
  type: bool
validated:
  description: Whether C(postconf) has judged the new file. Not when nothing changed.
  returned: success
  type: bool
backup_file:
  description: The name of the backup.
  returned: when O(backup) is true and the file was changed
  type: str
  sample: /etc/postfix/master.cf.4711.2026-08-01@12:00:00~
"""

import functools
import os

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mailops.filter_stack.plugins.module_utils import (
    _inet_endpoints,
    _master_cf,
    _postconf,
    _postfix_plan,
)
from ansible_collections.mailops.filter_stack.plugins.module_utils._postfix_file import (
    PostfixFile,
    RestoreFile,
    write_both,
)
from ansible_collections.mailops.filter_stack.plugins.module_utils._postfix_lines import encode

#: By whether the restore record knows the service.
_WHY_KEPT = {
    True: "somebody else has changed it since this module wrote it",
    False: "the restore file has no record that this module wrote it",
}


def run(module: AnsibleModule) -> dict[str, object]:
    given = module.params
    file = PostfixFile(module, given["path"])
    before = _master_cf.parse_unique(file.text, given["path"])
    restore = RestoreFile(module, given["restore_file"], given["path"], _master_cf.parse)
    recording = given["restore_file"] is not None

    edit = _postfix_plan.master(file.text, restore.record, given)
    if not recording:
        edit = edit._replace(record={})

    after = _master_cf.parse_unique(edit.text, given["path"])
    if given["state"] == "present":
        _inet_endpoints.refuse_same_endpoint(after, [step.key for step in edit.steps], given["path"])
    changed_file = edit.text != file.text
    changed_record = restore.differs(edit.record)
    postconf = _postconf.find(module)
    reason = _inet_endpoints.restart_reason(before, after, _postconf.version(module, postconf) if postconf else ())
    result: dict[str, object] = {
        "changed": changed_file or changed_record,
        "services": _postfix_plan.services(edit),
        "reload_required": [service.value for service in before] != [service.value for service in after],
        "restart_required": reason is not None,
        "record_changed": changed_record,
        "validated": False,
    }
    if module._diff:
        result["diff"] = file.diff(edit.text)
    if reason is not None:
        result["restart_reason"] = reason
    for step in edit.steps:
        if step.action == "kept":
            why = _WHY_KEPT[step.key in restore.record]
            module.warn(f"{given['path']}: {step.key} is left as it is: {why}")
    if changed_file and given["validate"]:
        if postconf is not None:
            families = functools.partial(_postconf.families, module, postconf, os.path.dirname(given["path"]))
            _inet_endpoints.check_addresses(before, after, families, given["path"])
        result["validated"] = _postconf.validate(module, given["path"], "master.cf", file.content, encode(edit.text))
    if not module.check_mode:
        backup = write_both(file, restore, edit, given["backup"])
        if backup is not None:
            result["backup_file"] = backup
    return result


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "default": "/etc/postfix/master.cf"},
            "fragment": {"type": "str"},
            "services": {"type": "list", "elements": "str"},
            "overlays": {
                "type": "list",
                "elements": "dict",
                "options": {
                    "service": {"type": "str", "required": True},
                    "maxproc": {"type": "str"},
                    "options": {"type": "dict", "default": {}},
                },
            },
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "restore_file": {"type": "path"},
            "purge": {"type": "bool", "default": False},
            "backup": {"type": "bool", "default": False},
            "validate": {"type": "bool", "default": True},
        },
        required_if=[
            ("state", "present", ("fragment", "overlays"), True),
            ("state", "absent", ("fragment", "services"), True),
            ("purge", True, ("restore_file",)),
        ],
        supports_check_mode=True,
    )
    try:
        module.exit_json(**run(module))
    except ValueError as error:
        module.fail_json(msg=str(error))


if __name__ == "__main__":
    main()
