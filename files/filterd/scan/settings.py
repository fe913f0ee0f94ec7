# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The list of scanners in the configuration: the types, what each takes, and a value for each."""

from __future__ import annotations

import json
from typing import Any, Callable, NamedTuple, Union

from ..content.streams import MODES
from ..values import Address, Check, Wrong, choice, next_hop, number, path


class ClamdSettings(NamedTuple):
    """clamd by its local socket or by TCP. Times in seconds."""

    socket: str
    address: Union[Address, None]
    timeout: float
    content: str = "auto"  #: what it is given of a message, one of content.streams.MODES

    @property
    def name(self) -> str:
        """How logs call it."""
        return f"clamd at {self.address or self.socket}"


Scanner = ClamdSettings


class _Type(NamedTuple):
    """What the objects of one type take."""

    keys: dict[str, Check]
    make: Callable[[dict[str, Any]], Scanner]
    back: Callable[[Any], dict[str, Any]]


def _clamd(given: dict[str, Any]) -> ClamdSettings:
    if ("socket" in given) == ("address" in given):
        raise Wrong('either "socket" (an absolute path) or "address" (host:port)')
    return ClamdSettings(
        given.get("socket", ""), given.get("address"), given.get("timeout", 60), given.get("content", "auto")
    )


def _clamd_back(scanner: ClamdSettings) -> dict[str, Any]:
    place = {"address": str(scanner.address)} if scanner.address else {"socket": scanner.socket}
    return {"type": "clamd", **place, "timeout": scanner.timeout, "content": scanner.content}


_TYPES: dict[str, _Type] = {
    "clamd": _Type(
        {"socket": path, "address": next_hop, "timeout": number(0.1, 3600), "content": choice(*MODES)},
        _clamd,
        _clamd_back,
    ),
}


def scanners(value: Any) -> tuple[Scanner, ...]:
    """The list in the configuration."""
    if not isinstance(value, list):
        raise Wrong('a list, like [{"type": "clamd", "socket": "/run/clamav/clamd.ctl"}]')
    return tuple(_scanner(index, item) for index, item in enumerate(value))


def _scanner(index: int, value: Any) -> Scanner:
    if not isinstance(value, dict):
        raise Wrong(f"objects; item {index} held {json.dumps(value)[:60]}")
    kind = value.get("type")
    if not isinstance(kind, str) or kind not in _TYPES:
        raise Wrong(f'type "{", ".join(_TYPES)}"; item {index} held {json.dumps(kind)[:60]}')
    keys = _TYPES[kind].keys
    unknown = sorted(set(value) - {"type", *keys})
    if unknown:
        raise Wrong(f"the keys type, {_and(list(keys))}; item {index} held {json.dumps(unknown[0])[:60]}")
    try:
        given = {key: check(value[key]) for key, check in keys.items() if key in value}
        return _TYPES[kind].make(given)
    except Wrong as wrong:
        raise Wrong(f"{wrong} in item {index}") from None


def _and(words: list[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]])


def back(found: tuple[Scanner, ...]) -> list[dict[str, Any]]:
    """The form that the list has in the configuration, with all defaults."""
    return [_TYPES["clamd"].back(scanner) for scanner in found]
