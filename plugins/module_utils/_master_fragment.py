# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a user hands to the module postfix_master: services in master.cf syntax, or only their names and types.

Every function raises ValueError with a message that names the option, the line and what it takes.
"""

from __future__ import annotations

from collections.abc import Iterable

from ansible_collections.mailops.filter_stack.plugins.module_utils import _master_cf
from ansible_collections.mailops.filter_stack.plugins.module_utils._postfix_edit import Wanted
from ansible_collections.mailops.filter_stack.plugins.module_utils._postfix_lines import (
    SPACE,
    is_content,
    physical_lines,
)


def wanted_services(fragment: str) -> list[Wanted]:
    """The services of a fragment, each with the comment lines that stand directly above it."""
    services = _master_cf.parse_unique(fragment, "fragment")
    _master_cf.check_own(services, "fragment")
    return [_wanted(fragment, service) for service in services]


def keys_of(fragment: str | None, services: Iterable[str] | None) -> list[Wanted]:
    """The services that a fragment and a list of names name; a fragment may hold lines of just name/type."""
    found: dict[str, Wanted] = {}
    names = []
    entries = []
    for line in physical_lines(fragment or ""):
        # A line of just name/type has to be told from an entry, which has eight fields.
        only_name = is_content(line) and line[0] not in SPACE and len(line.split()) == 1
        if only_name:
            names.append(line.strip())
        # Something stays in its place, so that the numbers of the other lines are right in messages.
        entries.append("\n" if only_name else line)
    text = "".join(entries)
    whole = _master_cf.parse(text, "fragment")
    _master_cf.refuse_duplicates(whole, "fragment")
    for service in whole:
        found[service.key] = _wanted(text, service)
    for name in [*names, *(services or [])]:
        key = _master_cf.parse_key(name, "services")
        found.setdefault(key, Wanted(key, (), "", ""))
    if not found:
        raise ValueError("services: they name no service; it takes names and types, such as scan/unix")
    return list(found.values())


def _wanted(text: str, service: _master_cf.Service) -> Wanted:
    above = physical_lines(text[: service.start])
    comment: list[str] = []
    while above and above[-1].lstrip(SPACE).startswith("#"):
        comment.insert(0, above.pop())
    lines = text[service.start : service.end]
    return Wanted(service.key, service.value, "".join(comment), lines if lines.endswith("\n") else lines + "\n")
