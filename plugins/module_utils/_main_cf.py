# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The parameters of main.cf, read as Postfix reads them, and the checks for new ones.

See postconf(5) for the format. Every function raises ValueError with a message that names the parameter or the
line, what it held and what it takes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from ansible_collections.mailops.filter_stack.plugins.module_utils._postfix_edit import Wanted
from ansible_collections.mailops.filter_stack.plugins.module_utils._postfix_lines import (
    SPACE,
    LogicalLine,
    logical_lines,
    shown,
)

_NAME = re.compile(r"[A-Za-z0-9_]+(?:[-.][A-Za-z0-9_]+)*")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")

#: master(8) ignores a change of these until Postfix is stopped and started again: master_ent.c for inet_interfaces,
#: the watch table of master_vars.c for the others. MAILLOG_README stops Postfix around a change of maillog_file.
#: data_directory holds master(8)'s lock, which it takes once, as mail_owner.
NEEDS_RESTART = frozenset(
    {"inet_interfaces", "inet_protocols", "queue_directory", "data_directory", "mail_owner", "maillog_file"}
)


class Parameter(NamedTuple):
    """One parameter as it stands in main.cf."""

    key: str
    #: The value with each line break and the indentation after it as one space, so that folding does not count.
    value: str
    line: int
    start: int
    end: int


def parse(text: str, what: str = "main.cf") -> list[Parameter]:
    """All parameters of the file that `what` names, in order; a name may be there more than once (the last counts)."""
    return [_parameter(line, what) for line in logical_lines(text, what)]


def render(name: str, value: str) -> str:
    """The line that sets a parameter."""
    return f"{name} = {value}\n" if value else f"{name} =\n"


def check_name(name: object) -> str:
    """Check a parameter's name and give it back."""
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ValueError(
            f"settings: {shown(str(name))} is no parameter name, it takes letters, digits and _ (and - or . inside, "
            "for the parameters of a transport with such a name)"
        )
    return name


def check_value(name: str, value: object) -> str:
    """Check a new value and give it back as Postfix would read it; booleans become yes and no."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return str(value)
    if not isinstance(value, str):
        raise ValueError(
            f"settings: {name}: {repr(value)[:80]} is wrong, it takes a string or a whole number ('' sets an empty "
            "value)"
        )
    value = value.strip(SPACE)
    if _CONTROL.search(value):
        raise ValueError(
            f"settings: {name}: {shown(value)} holds a line break or control character, it takes one line of text"
        )
    return value


def wanted_settings(settings: Mapping[object, object]) -> list[Wanted]:
    """The parameters that shall be set, checked."""
    found = []
    for given_name, given_value in settings.items():
        name = check_name(given_name)
        value = check_value(name, given_value)
        found.append(Wanted(name, value, "", render(name, value)))
    return found


def unwanted_settings(settings: Mapping[object, object], names: Iterable[object]) -> list[Wanted]:
    """The parameters that shall be gone: those with a value only when they hold it, the others whatever they hold."""
    found: dict[str, Wanted] = {}
    for given_name, given_value in settings.items():
        name = check_name(given_name)
        value = None if given_value is None else check_value(name, given_value)
        found[name] = Wanted(name, value, "", "")
    for given_name in names:
        name = check_name(given_name)
        found[name] = Wanted(name, None, "", "")
    if not found:
        raise ValueError("settings: it names no parameter; it takes a dictionary of names and values")
    return list(found.values())


def _parameter(line: LogicalLine, what: str) -> Parameter:
    name, equals, _value = line.joined.partition("=")
    name = name.rstrip(SPACE)
    if not equals or not name or any(blank in name for blank in SPACE):
        raise ValueError(f"{what}, line {line.line}: {shown(line.joined)} is wrong, it takes name = value")
    folded = " ".join(part.strip(SPACE) for part in line.parts)
    return Parameter(name, folded.partition("=")[2].strip(SPACE), line.line, line.start, line.end)
