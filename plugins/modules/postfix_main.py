#!/usr/bin/python
# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: postfix_main
short_description: Set parameters in Postfix' main.cf, or put back what they were
version_added: "0.1.0"
description:
  - Sets parameters in main.cf like C(postconf -e), but with exact check mode and diff, without rewriting a file that is
    right already, and with a record that brings back what was there before.
  - A parameter that is there already is replaced where it stands, a new one is added at the end. Every byte that does
    not belong to one of these parameters stays as it is.
  - When a parameter is there more than once, its last instance is the one that is compared and changed, because it is
    the one that Postfix uses. The others stay as they are.
  - Line breaks and indentation within a value that goes over several lines do not count as a difference.
extends_documentation_fragment:
  - mailops.filter_stack.attributes
  - mailops.filter_stack.attributes.edits
options:
  path:
    description:
      - The main.cf to change. A symbolic link is followed.
    type: path
    default: /etc/postfix/main.cf
  settings:
    description:
      - Parameter names and their values. A value is one line of text or a whole number; booleans become V(yes) and
        V(no), an empty string sets an empty value.
      - With O(state=absent) and without O(restore_file), a parameter is removed only when it holds the given value, or
        whatever it holds when the value is null. With O(restore_file) only the names matter.
      - Required with O(state=present).
    type: dict
  names:
    description:
      - With O(state=absent), parameters in addition to those in O(settings), whatever they hold.
    type: list
    elements: str
  state:
    description:
      - V(present) makes sure that the parameters are set.
      - V(absent) takes them back. With O(restore_file), a parameter that still has the value which this module gave it
        gets its earlier line back, byte for byte, or is removed when there was none. One that the record does not know,
        or that somebody else has changed since, is left alone and reported in RV(kept).
    type: str
    choices: [present, absent]
    default: present
  restore_file:
    description:
      - Where to keep the record of what was replaced and added. It is JSON, belongs to the user who runs the module,
        has mode 0600, and is deleted when it is empty. Its directory must exist.
      - Use one record for each main.cf.
    type: path
  purge:
    description:
      - With O(state=present) and O(restore_file), also takes back the parameters that the record knows and O(settings)
        no longer has, in the same write.
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
    type: bool
    default: true
notes:
  - The module does not reload Postfix. RV(reload_required) and RV(restart_required) say what is needed.
author:
  - The mailops.filter_stack contributors (@mailops)
seealso:
  - module: mailops.filter_stack.postfix_master
  - name: Postfix manual page postconf(5)
    description: The format of main.cf and all parameters.
    link: https://www.postfix.org/postconf.5.html
"""

EXAMPLES = r"""
- name: Send all mail through the content filter
  mailops.filter_stack.postfix_main:
    settings:
      content_filter: scan:[127.0.0.1]:10024
    restore_file: /var/lib/filter-stack/main.cf.json
  notify: Reload Postfix

- name: Put back what was there before
  mailops.filter_stack.postfix_main:
    state: absent
    names:
      - content_filter
    restore_file: /var/lib/filter-stack/main.cf.json
"""

RETURN = r"""
settings:
  description: What became of each parameter that was named, in the order in which they were given.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: The parameter's name.
      type: str
      sample: content_filter
    action:
      description:
        - One of V(added), V(changed), V(unchanged), V(removed), V(restored) and V(kept).
        - V(kept) is a parameter that should be absent, but is not ours to remove.
      type: str
      sample: added
    before:
      description: The value in the file before, null when the parameter was not there.
      type: str
    after:
      description: The value in the file after, null when the parameter is not there.
      type: str
kept:
  description: The names of the parameters that should be absent, but were left alone.
  returned: success
  type: list
  elements: str
reload_required:
  description: Whether Postfix reads something new in main.cf after a reload.
  returned: success
  type: bool
restart_required:
  description:
    - Whether C(postfix reload) would not be enough, so that Postfix has to be stopped and started. That is so for
      C(inet_interfaces), C(inet_protocols) and C(queue_directory), whose changes C(master(8\)) ignores until then, and
      for C(data_directory), C(mail_owner) and C(maillog_file), which it uses once when it starts.
  returned: success
  type: bool
restart_reason:
  description: Which parameters require the restart.
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
  sample: /etc/postfix/main.cf.4711.2026-08-01@12:00:00~
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mailops.filter_stack.plugins.module_utils import _main_cf, _postconf, _postfix_plan
from ansible_collections.mailops.filter_stack.plugins.module_utils._postfix_file import (
    PostfixFile,
    RestoreFile,
    write_both,
)
from ansible_collections.mailops.filter_stack.plugins.module_utils._postfix_lines import encode


def run(module: AnsibleModule) -> dict[str, object]:
    given = module.params
    path = given["path"]
    file = PostfixFile(module, path)
    # Reading it here names the line of a broken file before anything else is looked at.
    before = _main_cf.parse(file.text, path)
    restore = RestoreFile(module, given["restore_file"], path, _main_cf.parse)
    recording = given["restore_file"] is not None

    edit = _postfix_plan.main(file.text, restore.record, given)
    if not recording:
        edit = edit._replace(record={})

    after = _main_cf.parse(edit.text, path)
    changed_file = edit.text != file.text
    changed_record = restore.differs(edit.record)
    touched = {step.key for step in edit.steps if step.action not in ("unchanged", "kept")}
    restart = sorted(touched & _main_cf.NEEDS_RESTART)
    kept = [step.key for step in edit.steps if step.action == "kept"]
    result: dict[str, object] = {
        "changed": changed_file or changed_record,
        "settings": _postfix_plan.settings(edit),
        "kept": kept,
        "reload_required": [(one.key, one.value) for one in before] != [(one.key, one.value) for one in after],
        "restart_required": bool(restart),
        "record_changed": changed_record,
        "validated": False,
    }
    if restart:
        result["restart_reason"] = f"master(8) reads {', '.join(restart)} only when it starts"
    if module._diff:
        result["diff"] = file.diff(edit.text)
    for name in kept:
        module.warn(f"{path}: {name} is left as it is: {_why_kept(recording, name in restore.record)}")
    if changed_file and given["validate"]:
        result["validated"] = _postconf.validate(module, path, "main.cf", file.content, encode(edit.text))
    if not module.check_mode:
        backup = write_both(file, restore, edit, given["backup"])
        if backup is not None:
            result["backup_file"] = backup
    return result


def _why_kept(recording: bool, known: bool) -> str:
    if known:
        return "somebody else has changed it since this module set it"
    if recording:
        return "the restore file has no record that this module set it"
    return "it holds another value than the one to remove"


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "default": "/etc/postfix/main.cf"},
            "settings": {"type": "dict"},
            "names": {"type": "list", "elements": "str"},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "restore_file": {"type": "path"},
            "purge": {"type": "bool", "default": False},
            "backup": {"type": "bool", "default": False},
            "validate": {"type": "bool", "default": True},
        },
        required_if=[
            ("state", "present", ("settings",)),
            ("state", "absent", ("settings", "names"), True),
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
