#!/usr/bin/python
# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: host_files
short_description: Bring directories and small files to their content, owner and mode in one visit
version_added: "0.1.0"
description:
  - Makes directories and writes files from contents that the controller has, in the order given, all in one visit to
    the host, where C(file), C(copy) and C(template) pay up to five visits for each file. A role that keeps ten files
    is through in the time of one.
  - A file is replaced as a whole and at once (rename(2)), and only when its content differs. It never has wider rights
    than it shall have in the end, so that a secret in it is not readable for a moment.
  - A file that is refused by its own O(files[].validate) is not replaced, and nothing that comes after it is touched.
extends_documentation_fragment:
  - mailops.filter_stack.attributes
attributes:
  check_mode:
    support: full
    details:
      - What O(files[].validate) would say is not asked in check mode, because its program may not be there yet.
  diff_mode:
    support: full
options:
  directories:
    description:
      - Directories that shall be there, parents first. They are made before the files are written.
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: The directory. A symbolic link to one is followed.
        type: path
        required: true
      owner:
        description: The user to whom it shall belong. Without, it is left as it is.
        type: str
      group:
        description: The group to which it shall belong. Without, it is left as it is.
        type: str
      mode:
        description: Its mode, as an octal number in quotes. Without, it is left as it is, and a new one gets V(0755).
        type: str
  files:
    description:
      - Files that shall be there, with this content. Each takes O(files[].content) or O(files[].data).
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: The file. A symbolic link in its place is replaced by a file.
        type: path
        required: true
      content:
        description: What it shall hold, as text, which is written in UTF-8.
        type: str
      data:
        description: What it shall hold, as a dictionary. It is written as JSON, indented by 4, with sorted keys.
        type: dict
      owner:
        description: The user to whom it shall belong.
        type: str
        required: true
      group:
        description: The group to which it shall belong.
        type: str
        required: true
      mode:
        description: Its mode, as an octal number in quotes.
        type: str
        required: true
      replace:
        description: With V(false), a file that is there is left as it is, whatever it holds, belongs to and may.
        type: bool
        default: true
      validate:
        description:
          - A command that judges the new file before it replaces the old one. C(%s) stands for its name.
        type: str
      show:
        description: With V(false), the content is not shown in diff mode.
        type: bool
        default: true
author:
  - The mailops.filter_stack contributors (@mailops)
seealso:
  - module: ansible.builtin.copy
  - module: ansible.builtin.file
"""

EXAMPLES = r"""
- name: Write the daemon's configuration and its unit
  mailops.filter_stack.host_files:
    directories:
      - {path: /etc/filter-stack, owner: root, group: vscan, mode: "0750"}
    files:
      - path: /etc/filter-stack/daemon.json
        data: "{{ configuration }}"
        owner: root
        group: vscan
        mode: "0640"
        validate: filter-daemon check --configuration-only --config %s
      - path: /etc/systemd/system/filter-daemon.service
        content: "{{ lookup('ansible.builtin.template', 'filter-daemon.service.j2') }}"
        owner: root
        group: root
        mode: "0644"
  register: files

- name: Tell systemd about the unit
  ansible.builtin.systemd_service:
    daemon_reload: true
  when: "'/etc/systemd/system/filter-daemon.service' in files.paths"
"""

RETURN = r"""
paths:
  description: The directories and files that were made or changed, or would be in check mode, as they were given.
  returned: success
  type: list
  elements: str
  sample: ["/etc/filter-stack/daemon.json"]
"""

import errno
import grp
import os
import pwd
import re
import tempfile

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mailops.filter_stack.plugins.module_utils import _kept_files

NEW_DIRECTORY = 0o755


class Kept:
    """One path: what it is, and what it shall be."""

    def __init__(self, module: AnsibleModule, wanted: dict[str, object]) -> None:
        self.module = module
        self.wanted = wanted
        self.path = str(wanted["path"])
        if wanted["mode"] is not None and not _kept_files.is_mode(wanted["mode"]):
            self.refuse(f"has mode {wanted['mode']!r}: it takes an octal number in quotes, such as '0640'")

    def attributes_differ(self, path: str) -> bool:
        """Whether owner, group and mode differ from what is wanted; they are put right outside check mode."""
        changed = False
        for name, look, change in (
            ("owner", pwd.getpwnam, self.module.set_owner_if_different),
            ("group", grp.getgrnam, self.module.set_group_if_different),
        ):
            value = self.wanted[name]
            if value is None:
                continue
            if self.module.check_mode and not _is_known(look, str(value)):
                # Who is made by a task before this one is not there in a check run.
                changed = True
            else:
                changed = change(path, value, changed)
        # Last: chown(2) takes the set-id bits away.
        if self.wanted["mode"] is not None:
            changed = self.module.set_mode_if_different(path, self.wanted["mode"], changed)
        return changed

    def refuse(self, why: str) -> None:
        self.module.fail_json(msg=f"{self.path} {why}", path=self.path)


class Directory(Kept):
    def bring(self) -> tuple[bool, dict[str, str]]:
        """Make it, or put it right; whether that was, or would be, a change, and what diff mode shows."""
        if os.path.isdir(self.path):
            return self.attributes_differ(os.path.realpath(self.path)), {}
        if os.path.lexists(self.path):
            self.refuse("is there and is no directory: it takes one, or nothing")
        if not self.module.check_mode:
            try:
                os.mkdir(self.path)
                if self.wanted["mode"] is None:
                    os.chmod(self.path, NEW_DIRECTORY)
            except OSError as error:
                self.refuse(f"could not be made: {error.strerror}")
            self.attributes_differ(self.path)
        return True, {"before": "absent\n", "after": "directory\n"}


class File(Kept):
    def bring(self) -> tuple[bool, dict[str, str]]:
        """The same for a file."""
        before = self.read()
        if before is not None and not self.wanted["replace"]:
            return False, {}
        after = _kept_files.content(self.wanted)
        if before == after:
            return self.attributes_differ(self.path), {}
        if not self.module.check_mode:
            self.write(after)
            self.attributes_differ(self.path)
        return True, self.diff(before, after)

    def read(self) -> bytes | None:
        """What is there; None when that is nothing, or a link, which is to be replaced."""
        if os.path.isdir(self.path) and not os.path.islink(self.path):
            self.refuse("is a directory: it takes a file, or nothing")
        if os.path.islink(self.path):
            return None
        try:
            with open(self.path, "rb") as stream:
                return stream.read()
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENOTDIR):
                return None
            self.refuse(f"could not be read: {error.strerror}")
            raise

    def write(self, content: bytes) -> None:
        handle, temporary = tempfile.mkstemp(dir=self.module.tmpdir)
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
        self.module.add_cleanup_file(temporary)
        if self.wanted["validate"]:
            self.validate(temporary)
        if os.path.islink(self.path):
            os.unlink(self.path)
        self.module.atomic_move(temporary, self.path)

    def validate(self, temporary: str) -> None:
        status, said, complaint = self.module.run_command(str(self.wanted["validate"]).replace("%s", temporary))
        if status:
            words = re.sub(r"\s+", " ", f"{complaint} {said}".replace(temporary, "it")).strip()
            self.refuse(f"is left as it was, because its new content failed to validate: {words}")

    def diff(self, before: bytes | None, after: bytes) -> dict[str, str]:
        if not self.wanted["show"]:
            return {"before": "", "after": "(the content is not shown)\n"}
        return {"before": (before or b"").decode(errors="replace"), "after": after.decode(errors="replace")}


def _is_known(look: object, name: str) -> bool:
    try:
        return name.isdigit() or bool(look(name))  # type: ignore[operator]
    except KeyError:
        return False


def run(module: AnsibleModule) -> dict[str, object]:
    given = module.params
    # Until a new file has got its own mode it is its owner's alone.
    os.umask(0o077)
    paths: list[str] = []
    diffs: list[dict[str, str]] = []
    kept = [Directory(module, one) for one in given["directories"]] + [File(module, one) for one in given["files"]]
    for one in kept:
        changed, diff = one.bring()
        if changed:
            paths.append(one.path)
        if diff:
            diffs.append({"before_header": one.path, "after_header": one.path, **diff})
    return {"changed": bool(paths), "paths": paths, "diff": diffs}


def main() -> None:
    place = {"path": {"type": "path", "required": True}}
    module = AnsibleModule(
        argument_spec={
            "directories": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {**place, **{name: {"type": "str"} for name in ("owner", "group", "mode")}},
            },
            "files": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {
                    **place,
                    **{name: {"type": "str", "required": True} for name in ("owner", "group", "mode")},
                    "content": {"type": "str"},
                    "data": {"type": "dict"},
                    "replace": {"type": "bool", "default": True},
                    "validate": {"type": "str"},
                    "show": {"type": "bool", "default": True},
                },
                "mutually_exclusive": [("content", "data")],
                "required_one_of": [("content", "data")],
            },
        },
        supports_check_mode=True,
        # the system's log is no place for what is in the files
        no_log=True,
    )
    module.exit_json(**run(module))


if __name__ == "__main__":
    main()
