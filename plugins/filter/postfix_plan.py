# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
name: postfix_plan
short_description: What a change would do to a main.cf and a master.cf that were read before
version_added: "0.1.0"
description:
  - Says what M(mailops.filter_stack.postfix_master) and M(mailops.filter_stack.postfix_main) would do, of files that
    M(mailops.filter_stack.host_info) has read, so that their visits are spared when there is nothing to do.
  - It does not ask postconf(1) whether it takes the result, as the modules do.
author:
  - The mailops.filter_stack contributors (@mailops)
positional: master, main
options:
  _input:
    description: What M(mailops.filter_stack.host_info) returned. It was told to read the files and their records.
    type: dict
    required: true
  master:
    description:
      - The options C(path), C(fragment), C(overlays), C(restore_file) and C(purge) of
        M(mailops.filter_stack.postfix_master).
    type: dict
    required: true
  main:
    description:
      - The options C(path), C(settings), C(restore_file) and C(purge) of M(mailops.filter_stack.postfix_main).
    type: dict
    required: true
seealso:
  - plugin: mailops.filter_stack.master_cf_services
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Look at the host
  mailops.filter_stack.host_info:
    read: [/etc/postfix/master.cf, /etc/postfix/main.cf, /var/lib/filter-stack/main.cf.json]
  register: host

- name: Set the filter, if it is not set
  mailops.filter_stack.postfix_main: "{{ wanted }}"
  when: >-
    (host | mailops.filter_stack.postfix_plan({'fragment': fragment}, wanted)).settings
    | rejectattr('action', 'equalto', 'unchanged') | length > 0
  vars:
    wanted:
      path: /etc/postfix/main.cf
      settings: {content_filter: 'scan:[127.0.0.1]:10024'}
      restore_file: /var/lib/filter-stack/main.cf.json
"""

RETURN = r"""
_value:
  description: What would be done.
  type: dict
  contains:
    services:
      description: As P(mailops.filter_stack.postfix_master#module) returns them; none when there is an error.
      type: list
      elements: dict
    settings:
      description: As P(mailops.filter_stack.postfix_main#module) returns them; none when there is an error.
      type: list
      elements: dict
    error:
      description: Why it cannot be done, with option, service or line; else empty.
      type: str
"""

from collections.abc import Mapping
from typing import Any

from ansible_collections.mailops.filter_stack.plugins.module_utils import (
    _inet_endpoints,
    _main_cf,
    _master_cf,
    _postfix_plan,
)
from ansible_collections.mailops.filter_stack.plugins.plugin_utils import _seen_postfix

#: The modules' own defaults.
_DEFAULTS = {"state": "present", "restore_file": None, "purge": False}
_MASTER = {**_DEFAULTS, "path": "/etc/postfix/master.cf", "fragment": None, "overlays": []}
_MAIN = {**_DEFAULTS, "path": "/etc/postfix/main.cf", "settings": {}}


def postfix_plan(seen: Mapping[str, Any], master: Mapping[str, Any], main: Mapping[str, Any]) -> dict[str, Any]:
    """What the modules would do, or the error that they would fail with."""
    try:
        return {"services": _services(seen, master), "settings": _settings(seen, main), "error": ""}
    except ValueError as error:
        return {"services": [], "settings": [], "error": str(error)}


def _services(seen: Mapping[str, Any], asked: Mapping[str, Any]) -> list[dict[str, str]]:
    given = {**_MASTER, **asked}
    path = given["path"]
    text = _seen_postfix.text(seen, path)
    _master_cf.parse_unique(text, path)
    edit = _postfix_plan.master(text, _seen_postfix.record(seen, given["restore_file"], path, _master_cf.parse), given)
    after = _master_cf.parse_unique(edit.text, path)
    _inet_endpoints.refuse_same_endpoint(after, [step.key for step in edit.steps], path)
    return _postfix_plan.services(edit)


def _settings(seen: Mapping[str, Any], asked: Mapping[str, Any]) -> list[dict[str, object]]:
    given = {**_MAIN, **asked}
    path = given["path"]
    text = _seen_postfix.text(seen, path)
    _main_cf.parse(text, path)
    record = _seen_postfix.record(seen, given["restore_file"], path, _main_cf.parse)
    return _postfix_plan.settings(_postfix_plan.main(text, record, given))


class FilterModule:
    """What Ansible loads."""

    def filters(self) -> dict[str, Any]:
        """By name."""
        return {"postfix_plan": postfix_plan}
