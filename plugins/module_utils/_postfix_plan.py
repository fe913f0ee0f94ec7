# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the options of postfix_main and postfix_master ask for, as an edit of a file's text, and what it says of itself.

No I/O, so that the modules do it on the host, and a filter on the controller says whether there is anything to do.
Every function raises ValueError with a message for a user.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.mailops.filter_stack.plugins.module_utils import (
    _main_cf,
    _master_cf,
    _master_overlay,
    _postfix_edit,
)
from ansible_collections.mailops.filter_stack.plugins.module_utils._master_fragment import keys_of, wanted_services
from ansible_collections.mailops.filter_stack.plugins.module_utils._postfix_edit import Edit, Record


def master(text: str, record: Record, given: Mapping[str, Any]) -> Edit:
    """What the options of postfix_master ask for, applied to the text of master.cf."""
    recording = given["restore_file"] is not None
    parse = _master_cf.parse
    if given["state"] == "absent":
        keys = keys_of(given["fragment"], given["services"])
        if recording:
            return _postfix_edit.retract(text, parse, [one.key for one in keys], record)
        return _postfix_edit.remove(text, parse, [one._replace(value=None) for one in keys])
    overlays = _master_overlay.checked(given["overlays"] or [])
    # Ansible takes an option that is null for one that is given.
    if given["fragment"] is None and not overlays:
        raise ValueError("fragment: None is wrong, it takes services in master.cf syntax")
    if given["purge"] and not recording:
        raise ValueError("purge: true takes a restore_file, which says what to take out")
    wanted = wanted_services(given["fragment"]) if given["fragment"] is not None else []
    both = {one.key for one in wanted} & {one.key for one in overlays}
    if both:
        raise ValueError(
            f"overlays: {', '.join(sorted(both))} is in the fragment too, it takes services of one of them"
        )
    changed, untouched = _master_overlay.wanted(overlays, parse(text, given["path"]), record, given["path"])
    wanted += changed
    names = {one.key for one in wanted} | set(untouched)
    stale = [key for key in record if key not in names] if given["purge"] else []
    # Taken back by the record, so that its bytes are as they were.
    stale += [key for key in untouched if key in record]
    return _purged_and_merged(text, parse, stale, wanted, record, recording)


def main(text: str, record: Record, given: Mapping[str, Any]) -> Edit:
    """What the options of postfix_main ask for, applied to the text of main.cf."""
    recording = given["restore_file"] is not None
    # Ansible takes an option that is null for one that is given.
    settings = given["settings"] or {}
    parse = _main_cf.parse
    if given["state"] == "absent":
        unwanted = _main_cf.unwanted_settings(settings, given["names"] or [])
        if recording:
            return _postfix_edit.retract(text, parse, [one.key for one in unwanted], record)
        return _postfix_edit.remove(text, parse, unwanted)
    wanted = _main_cf.wanted_settings(settings)
    names = {one.key for one in wanted}
    stale = [key for key in record if key not in names] if given["purge"] else []
    return _purged_and_merged(text, parse, stale, wanted, record, recording)


def _purged_and_merged(
    text: str,
    parse: _postfix_edit.Parser,
    stale: Sequence[str],
    wanted: Sequence[_postfix_edit.Wanted],
    record: Record,
    recording: bool,
) -> Edit:
    purged = _postfix_edit.retract(text, parse, stale, record)
    merged = _postfix_edit.merge(purged.text, parse, wanted, purged.record, recording)
    return merged._replace(steps=merged.steps + purged.steps)


def services(edit: Edit) -> list[dict[str, str]]:
    """What an edit of master.cf does with each service, as postfix_master returns it."""
    return [{**dict(zip(("name", "type"), step.key.rsplit("/", 1))), "action": step.action} for step in edit.steps]


def settings(edit: Edit) -> list[dict[str, object]]:
    """What an edit of main.cf does with each parameter, as postfix_main returns it."""
    return [
        {"name": step.key, "action": step.action, "before": step.before, "after": step.after} for step in edit.steps
    ]
