# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Single options and the process limit of services that stand in a master.cf already, set over what they hold. No I/O.

A service that is somebody else's keeps all that is not named. The options are always put over the service as it was
before the first change, which the restore record knows, so that an option that is not wanted any more goes away.
Every function raises ValueError with a message that names the service and what it takes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ansible_collections.mailops.filter_stack.plugins.module_utils import _master_cf
from ansible_collections.mailops.filter_stack.plugins.module_utils._postfix_edit import Record, Wanted

_FIELDS = 8
_MAXPROC = 6
_PARAMETER = re.compile(r"[A-Za-z0-9_]+")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class Overlay(NamedTuple):
    """What shall hold for one service."""

    key: str
    #: The process limit; None leaves it as it is.
    maxproc: str | None
    #: Options -o and their values; None takes the option away.
    options: Mapping[str, str | None]


def checked(given: Sequence[Mapping[str, Any]]) -> list[Overlay]:
    """The overlays that a user gave, checked."""
    found: dict[str, Overlay] = {}
    for item in given:
        key = _master_cf.parse_key(str(item.get("service")), "overlays")
        maxproc = item.get("maxproc")
        if maxproc is not None and not re.fullmatch(r"-|[0-9]+", str(maxproc)):
            raise ValueError(f"overlays: {key}: maxproc {maxproc!r} is wrong, it takes a number of processes or -")
        if key in found:
            raise ValueError(f"overlays: {key} is there twice, it takes each service once")
        options = {_name(key, name): _value(key, name, value) for name, value in (item.get("options") or {}).items()}
        found[key] = Overlay(key, None if maxproc is None else str(maxproc), options)
    return list(found.values())


def base(services: Sequence[_master_cf.Service], key: str, record: Record) -> _master_cf.Service | None:
    """The service as it is without our change: from the record, if what stands there is still what we wrote."""
    current = next((service for service in reversed(services) if service.key == key), None)
    trace = record.get(key)
    if current is None or trace is None or trace.original is None:
        return current
    ours = _master_cf.parse(trace.text)[0].value == current.value
    return _master_cf.parse(trace.original)[-1] if ours else current


def wanted(
    overlays: Sequence[Overlay], services: Sequence[_master_cf.Service], record: Record, what: str
) -> tuple[list[Wanted], list[str]]:
    """The services with their overlays, and the keys of those that are right without any change of ours."""
    changed = []
    untouched = []
    for overlay in overlays:
        below = base(services, overlay.key, record)
        if below is None:
            raise ValueError(f"overlays: {what} has no service {overlay.key}, it takes one that is there")
        value = put_over(below.value, overlay)
        if value == below.value:
            untouched.append(overlay.key)
        else:
            changed.append(Wanted(overlay.key, value, "", render(value)))
    return changed, untouched


def put_over(value: tuple[str, ...], overlay: Overlay) -> tuple[str, ...]:
    """A service's fields and arguments with an overlay; an option that holds the value already stays where it is."""
    fields = list(value[:_FIELDS])
    if overlay.maxproc is not None:
        fields[_MAXPROC] = overlay.maxproc
    missing = {name: setting for name, setting in overlay.options.items() if setting is not None}
    options: list[str] = []
    settings, rest = split_arguments(value[_FIELDS:])
    for flag, setting in settings:
        name = (setting or "").partition("=")[0]
        if flag == "-o" and name in overlay.options:
            if missing.get(name) != (setting or "").partition("=")[2]:
                continue
            del missing[name]
        options += [flag] if setting is None else [flag, setting]
    for name, setting in missing.items():
        options += ["-o", f"{name}={setting}"]
    return (*fields, *options, *rest)


def split_arguments(arguments: Sequence[str]) -> tuple[list[tuple[str, str | None]], list[str]]:
    """Options, each with its setting if it is -o, and what stands behind them."""
    rest = list(arguments)
    options: list[tuple[str, str | None]] = []
    while rest and rest[0].startswith("-") and rest[0] != "--":
        flag = rest.pop(0)
        options.append((flag, rest.pop(0) if flag == "-o" and rest else None))
    return options, rest


def render(value: tuple[str, ...]) -> str:
    """The lines of a service, one option a line."""
    lines = ["{:<9} {:<5} {:<7} {:<7} {:<7} {:<7} {:<7} {}".format(*value[:_FIELDS])]
    options, rest = split_arguments(value[_FIELDS:])
    lines += [f"  {flag}" if setting is None else f"  {flag} {_braced(setting)}" for flag, setting in options]
    lines += [f"  {_braced(word)}" for word in rest]
    text = "\n".join(lines) + "\n"
    if _master_cf.parse(text)[0].value != value:
        raise ValueError(f"overlays: {value[0]}/{value[1]} cannot be written in master.cf's syntax: {value!r}")
    return text


def _braced(word: str) -> str:
    return f"{{ {word} }}" if not word or any(blank in word for blank in " \t") or word.startswith("{") else word


def _name(key: str, name: object) -> str:
    if not isinstance(name, str) or not _PARAMETER.fullmatch(name):
        raise ValueError(f"overlays: {key}: {name!r} is no parameter name, it takes letters, digits and _")
    return name


def _value(key: str, name: object, value: object) -> str | None:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None or isinstance(value, int):
        return None if value is None else str(value)
    if not isinstance(value, str) or _CONTROL.search(value):
        raise ValueError(
            f"overlays: {key}: {name}: {value!r} is wrong, it takes one line of text, a whole number or null, which "
            "takes the option away"
        )
    return value.strip()
