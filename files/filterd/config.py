# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The configuration: every key with type, unit, default and range. A wrong one is named in one line."""

from __future__ import annotations

import dataclasses
import difflib
import hashlib
import json
import math
import os
import socket
from fractions import Fraction
from typing import Any

from .keys.content import ContentKeys
from .keys.disclaimer import DisclaimerKeys
from .keys.flow import FlowKeys
from .keys.notification import NotificationKeys
from .keys.operate import OperateKeys
from .keys.policy import PolicyKeys
from .keys.quarantine import QuarantineKeys
from .keys.scanning import ScanningKeys
from .values import SAME_HOST, Address, Wrong


class ConfigError(Exception):
    """The configuration cannot be used. The message names the key, what it held and what it takes."""


# The last of these comes first in the documentation.
@dataclasses.dataclass(frozen=True)
class Config(
    OperateKeys, DisclaimerKeys, NotificationKeys, QuarantineKeys, PolicyKeys, ContentKeys, ScanningKeys, FlowKeys
):
    """All keys of daemon.json. `load` makes it; the metadata feeds the documentation."""

    @property
    def per_message_budget(self) -> int:
        """Bytes of scratch that one message may use: the tmpfs formula for n = 1."""
        return math.floor((1 + Fraction(str(self.expansion_factor))) * self.message_size_limit * Fraction(7, 8))

    @property
    def scratch_bound(self) -> int:
        """Bytes of scratch that are never exceeded: n*(1+f)*message_size_limit*7/8."""
        return self.instances * self.per_message_budget

    @property
    def own_name(self) -> str:
        """The name in greetings."""
        return self.hostname or socket.gethostname() or "localhost"

    def as_json(self) -> dict[str, Any]:
        """The effective configuration in the form of daemon.json."""
        return {field.name: field.metadata["back"](getattr(self, field.name)) for field in dataclasses.fields(self)}

    @property
    def fingerprint(self) -> str:
        """Twelve hexadecimal digits that change when the effective configuration changes."""
        text = json.dumps(self.as_json(), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]


def from_json(data: Any) -> Config:
    """A configuration from the parsed content of daemon.json."""
    if not isinstance(data, dict):
        raise ConfigError(f"the configuration held {json.dumps(data)[:60]}; it takes an object with keys and values")
    fields = {field.name: field for field in dataclasses.fields(Config)}
    given = {}
    for key, value in data.items():
        if key not in fields:
            close = difflib.get_close_matches(key, fields, 1)
            hint = f"did you mean {close[0]}?" if close else "known keys: " + ", ".join(fields)
            name = key if key.isprintable() and len(key) <= 60 else _held(key)
            raise ConfigError(f"{name}: unknown key, it held {_held(value)}; {hint}")
        try:
            given[key] = fields[key].metadata["check"](value)
        except Wrong as wrong:
            words = _with_unit(wrong, fields[key].metadata["unit"])
            raise ConfigError(f"{key}: held {_held(value)}; it takes {words}") from None
    config = Config(**given)
    _check_together(config)
    return config


def accepted(key: str) -> str:
    """What a key takes, in words."""
    metadata = {field.name: field.metadata for field in dataclasses.fields(Config)}[key]
    try:
        # No key takes null: the refusal says what it takes.
        metadata["check"](None)
    except Wrong as wrong:
        return _with_unit(wrong, metadata["unit"])
    raise AssertionError(f"{key} takes null")


def _with_unit(wrong: Wrong, unit: str) -> str:
    return f"{wrong} ({unit})" if unit and unit not in str(wrong) else str(wrong)


def _held(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 120 else text[:117] + "..."


def _reaches(target: Address, listening: Address) -> bool:
    """Whether a connection to `target` from this machine ends at the listener, as far as can be told without asking."""
    if target.port != listening.port:
        return False
    names = {"localhost": "127.0.0.1"}
    host, here = names.get(target.host, target.host), names.get(listening.host, listening.host)
    return host == here or (target.loopback and here in ("0.0.0.0", "::"))


def _check_together(config: Config) -> None:
    if config.reinject.host == SAME_HOST and any(address.port == config.reinject.port for address in config.listen):
        raise ConfigError(f"reinject: held {config.reinject}; it takes another port than listen, or mail would loop")
    if any(_reaches(config.reinject, address) for address in config.listen):
        raise ConfigError(f"reinject: held {config.reinject}; it takes another address than listen, or mail would loop")
    outside = [address for address in config.listen if not address.loopback]
    if outside and not config.allowed_clients:
        raise ConfigError(
            f"listen: held {outside[0]}, which is not loopback; it takes allowed_clients (a list of networks) as well"
        )
    scratch, quarantine = config.scratch_directory, config.quarantine_directory
    if os.path.commonpath([scratch, quarantine]) == scratch:
        raise ConfigError(
            f"quarantine_directory: held {quarantine}; it takes a directory outside scratch_directory ({scratch}), "
            "whose content does not survive a restart"
        )


def load(path: str) -> Config:
    """Read and check a configuration file. Raises ConfigError with one line, starting with the file's name."""

    def no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        keys = [key for key, _ in pairs]
        for key in keys:
            if keys.count(key) > 1:
                raise ConfigError(f"{path}: {key}: given more than once; it takes one value")
        return dict(pairs)

    try:
        with open(path, encoding="utf-8") as file:
            data = json.load(file, object_pairs_hook=no_duplicates)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path}: is not valid JSON: {error}") from None
    try:
        return from_json(data)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None
