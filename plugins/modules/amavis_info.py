#!/usr/bin/python
# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: amavis_info
short_description: What amavisd-new says of itself in a debug start, as data
version_added: "0.1.0"
description:
  - Starts amavisd-new a second time, in debug mode, with the configuration that it has, and ends it as soon as it is
    ready. That start listens only on a UNIX socket in a private directory and has process file, lock, scratch directory
    and databases of its own, so an amavisd-new that runs meanwhile is not touched and no mail can reach this one.
  - What it logs (versions, Perl modules, unpackers, scanners, each found or missing) is returned as data. The module
    fails, with what amavisd-new said, when it does not become ready.
  - The addresses on which the one that runs listens are returned too.
extends_documentation_fragment:
  - mailops.filter_stack.attributes
  - mailops.filter_stack.attributes.reads
options:
  user:
    description:
      - The user to start it as, the one that it runs as. It takes root's rights to be another one.
    type: str
    default: vscan
  program:
    description:
      - Its program.
    type: path
    default: /usr/sbin/amavisd
  config_files:
    description:
      - Configuration files to read, in place of those that it reads by itself.
    type: list
    elements: path
    default: []
  timeout:
    description:
      - How many seconds it may take until it is ready.
    type: int
    default: 60
author:
  - The mailops.filter_stack contributors (@mailops)
"""

EXAMPLES = r"""
- name: Ask amavisd-new about itself
  mailops.filter_stack.amavis_info:
  register: report

- name: Say what it cannot take apart
  ansible.builtin.debug:
    msg: "{{ report.unpackers.missing }}"
"""

RETURN = r"""
version:
  description: The version of amavisd-new.
  returned: success
  type: str
  sample: 2.13.0
perl:
  description: The version of Perl.
  returned: success
  type: str
  sample: 5.36.0
hostname:
  description: The name that it gives itself.
  returned: success
  type: str
  sample: filter1.example.com
user:
  description: The user that it was started as.
  returned: success
  type: str
  sample: vscan
uid:
  description: The number of that user, as it says itself.
  returned: success
  type: int
gid:
  description: The number of its group, as it says itself.
  returned: success
  type: int
listening:
  description: Addresses on which an amavisd-new that runs listens; empty when none does, or ss(8) is not there.
  returned: success
  type: list
  elements: str
  sample: ["127.0.0.1:10024"]
config_files:
  description: The configuration files that it read, in their order.
  returned: success
  type: list
  elements: str
modules:
  description: Perl modules.
  returned: success
  type: dict
  contains:
    loaded:
      description: Name and version.
      type: dict
    missing:
      description: Optional ones that it looked for and did not find.
      type: list
      elements: str
    not_used:
      description: Parts of amavisd-new that this configuration does not need.
      type: list
      elements: str
unpackers:
  description: What takes archives apart, by the file type that it is for.
  returned: success
  type: dict
  contains:
    found:
      description: Type and program.
      type: dict
    internal:
      description: Types for which a Perl module is used.
      type: list
      elements: str
    missing:
      description: Types that it cannot take apart.
      type: list
      elements: str
    programs_missing:
      description: Type, and programs that were looked for in vain; another one may have been found.
      type: dict
scanners:
  description: Virus scanners.
  returned: success
  type: dict
  contains:
    found:
      description: Those that will be asked.
      type: list
      elements: dict
      contains:
        name:
          description: Its name in the configuration.
          type: str
        tier:
          description: V(primary), or V(secondary) for one that is asked when all primary ones have failed.
          type: str
        program:
          description: Its program; null for one that is asked by socket.
          type: str
    missing:
      description: Those whose program is not there.
      type: list
      elements: str
spam_scanners:
  description: Spam scanners, by name, found and missing.
  returned: success
  type: dict
complaints:
  description: Lines in which amavisd-new, or a program that its configuration runs, complains.
  returned: success
  type: list
  elements: str
"""

import os
import pwd
import re
import shutil
import subprocess
import tempfile

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mailops.filter_stack.plugins.module_utils import _amavis_debug, _amavis_report


def listening(module: AnsibleModule, account: pwd.struct_passwd) -> list[str]:
    """The TCP addresses on which processes of amavisd-new listen, as ss(8) shows them.

    Asked as their own user: in a container root may not look into other users' processes.
    """
    ss = module.get_bin_path("ss", opt_dirs=["/usr/sbin", "/sbin"])
    if ss is None:
        return []
    found = subprocess.run(
        [ss, "-Hltnp"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        check=False,
        **_amavis_debug.becoming(account),
    )
    addresses = [line.split()[3] for line in found.stdout.splitlines() if re.search(r'"(?:/usr/sbin/)?amavi', line)]
    return sorted(set(addresses))


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "user": {"type": "str", "default": "vscan"},
            "program": {"type": "path", "default": "/usr/sbin/amavisd"},
            "config_files": {"type": "list", "elements": "path", "default": []},
            "timeout": {"type": "int", "default": 60},
        },
        supports_check_mode=True,
    )
    given = module.params
    if given["timeout"] < 1:
        module.fail_json(msg=f"timeout: {given['timeout']} is wrong, it takes a number of seconds, 1 or more")
    if not os.access(given["program"], os.X_OK):
        module.fail_json(msg=f"program: {given['program']} is not there, it takes amavisd-new's program")
    try:
        account = pwd.getpwnam(given["user"])
    except KeyError:
        module.fail_json(msg=f"user: there is no user {given['user']}")
    directory = tempfile.mkdtemp(prefix="filter-stack-report-", dir="/run" if os.geteuid() == 0 else None)
    try:
        if os.geteuid() == 0:
            os.chown(directory, account.pw_uid, account.pw_gid)
        command = [given["program"]]
        for path in given["config_files"]:
            command += ["-c", path]
        # one socket that nobody knows; everything that the one that runs has too, somewhere else; no databases
        command += ["-p", f"{directory}/socket", "-P", f"{directory}/pid", "-L", f"{directory}/lock", "-T", directory]
        command += ["-D", "", "-m", "1", "debug"]
        lines, late = _amavis_debug.debug_start(command, directory, given["timeout"], account)
    except OSError as error:
        module.fail_json(msg=f"{given['program']} could not be started as {given['user']}: {error}")
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    report = _amavis_report.parse(lines)
    if not report.pop("ready"):
        words = " | ".join([line.strip() for line in lines if line.strip()][-5:]) or "nothing"
        what = f"was not ready within {given['timeout']} seconds" if late else "ended before it was ready"
        module.fail_json(msg=f"amavisd-new {what}; it said last: {words}", output=lines)
    del report["would_bind"]
    module.exit_json(changed=False, user=given["user"], listening=listening(module, account), **report)


if __name__ == "__main__":
    main()
