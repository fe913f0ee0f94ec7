# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter `deployment_drift`."""

from __future__ import annotations

DOCUMENTATION = r"""
name: deployment_drift
short_description: How the daemon that runs differs from what is on disk and what a playbook would deploy
version_added: 0.1.0
author: The mailops.filter_stack contributors
description:
  - Compares the code's fingerprint and each key of the effective configuration, and says in words what differs.
positional: _input, on_disk, wanted
options:
  _input:
    description: What C(filter-daemon status --json) has as C(running); empty for a daemon that tells nothing.
    type: dict
    required: true
  on_disk:
    description: What C(filter-daemon check --json) says on the host; empty when it does not run there.
    type: dict
    required: true
  wanted:
    description: The same on the controller, of the configuration that would be deployed, or C(error) with the reason.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Show what is not as the playbook would deploy it
  ansible.builtin.debug:
    msg: "{{ status.running | mailops.filter_stack.deployment_drift(check, filter_daemon_wanted) }}"
"""

RETURN = r"""
_value:
  description: >-
    One line for each difference, such as C(instances: 4 runs, 5 is on disk), none without any.
  type: list
  elements: str
"""

from collections.abc import Mapping
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.mailops.filter_stack.plugins.plugin_utils import _drift


def deployment_drift(running: Mapping[str, Any], on_disk: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[str]:
    """The lines, or an error that says that the data are not as they should be."""
    try:
        return _drift.drift(running, on_disk, wanted)
    except (KeyError, TypeError, AttributeError, IndexError) as error:
        raise AnsibleFilterError(f"deployment_drift: these are not reports of the daemon: {error!r}") from error


class FilterModule:
    """What Ansible loads."""

    def filters(self) -> dict[str, Any]:
        """By name."""
        return {"deployment_drift": deployment_drift}
