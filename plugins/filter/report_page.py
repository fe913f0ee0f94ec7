# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter `report_page`."""

from __future__ import annotations

DOCUMENTATION = r"""
name: report_page
short_description: The report on all filter hosts as one HTML page
version_added: 0.1.0
author: The mailops.filter_stack contributors
description:
  - Makes one self-contained HTML page of what the role P(mailops.filter_stack.filter_report#role) collects.
positional: _input
options:
  _input:
    description: One dictionary for each host.
    type: list
    elements: dict
    required: true
  now:
    description: The time of the report in seconds since 1970.
    type: float
    required: true
"""

EXAMPLES = r"""
- name: Write the report
  ansible.builtin.copy:
    content: "{{ hosts_that_were_looked_at | mailops.filter_stack.report_page(now=now().timestamp()) }}"
    dest: ./filter-report.html
    mode: "0600"
"""

RETURN = r"""
_value:
  description: The page.
  type: str
"""

import time
from collections.abc import Sequence
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.mailops.filter_stack.plugins.plugin_utils import _report_page


def report_page(hosts: Sequence[dict[str, Any]], now: float | None = None) -> str:
    """The page, or an error that says which host's data were not as they should be."""
    try:
        return _report_page.page(hosts, time.time() if now is None else float(now))
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise AnsibleFilterError(
            f"report_page: the data of a host are not as filter_report collects them: {error!r}"
        ) from error


class FilterModule:
    """What Ansible loads."""

    def filters(self) -> dict[str, Any]:
        """By name."""
        return {"report_page": report_page}
