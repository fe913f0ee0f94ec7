# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The services of a master.cf as the module postfix_master_info returns them. No I/O."""

from __future__ import annotations

from ansible_collections.mailops.filter_stack.plugins.module_utils import _master_cf, _master_overlay
from ansible_collections.mailops.filter_stack.plugins.module_utils._postfix_edit import Record


def described(text: str, record: Record, path: str) -> list[dict[str, object]]:
    """Each service, in the order of the file; ValueError for a file that Postfix would not read."""
    services = _master_cf.parse_unique(text, path)
    return [_described(service, services, record) for service in services]


def _described(service: _master_cf.Service, services: list[_master_cf.Service], record: Record) -> dict[str, object]:
    trace = record.get(service.key)
    # What somebody else has written over ours since is theirs.
    known = trace is not None and _master_cf.parse(trace.text)[0].value == service.value
    before = _master_overlay.base(services, service.key, record) or service
    return {
        "key": service.key,
        "name": service.name,
        "type": service.type,
        "chroot": service.value[4],
        "maxproc": service.value[6],
        "command": service.value[7],
        "options": _options(service),
        "line": service.line,
        "ours": "" if trace is None or not known else "added" if trace.original is None else "changed",
        "before": {"maxproc": before.value[6], "options": _options(before)},
    }


def _options(service: _master_cf.Service) -> dict[str, str]:
    settings, _rest = _master_overlay.split_arguments(service.value[8:])
    pairs = (setting.partition("=") for flag, setting in settings if flag == "-o" and setting is not None)
    return {name: value for name, _equals, value in pairs}
