# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The configuration: every key with type, unit, default and range. A wrong one is named in one line."""

from __future__ import annotations

import dataclasses
import difflib
import hashlib
import ipaddress
import json
import math
import os
import re
import socket
from fractions import Fraction
from typing import Any, Callable, NamedTuple, Union

from .content.streams import MODES


class ConfigError(Exception):
    """The configuration cannot be used. The message names the key, what it held and what it takes."""


class Address(NamedTuple):
    """A TCP address. `host` is an IP address or a name, without brackets."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach it."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False


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


Check = Callable[[Any], Any]
# Labels of at most 63 characters: what the resolver would stumble over is refused here.
_HOST = re.compile(r"(?=.{1,253}\Z)[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,62})(?:\.[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,62}))*\Z")


class _Wrong(Exception):
    """What a value should have been."""


def _integer(low: int, high: int) -> Check:
    def check(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise _Wrong(f"a whole number from {low} to {high}")
        return value

    return check


def _number(low: float, high: float) -> Check:
    def check(value: Any) -> float:
        # The comparison is exact for whole numbers of any length, and false for what is not a number.
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
            raise _Wrong(f"a number from {low:g} to {high:g}")
        return value

    return check


def _choice(*words: str) -> Check:
    def check(value: Any) -> str:
        if not isinstance(value, str) or value not in words:
            raise _Wrong("one of " + ", ".join(words))
        return value

    return check


def _path(value: Any) -> str:
    if not isinstance(value, str) or not value.startswith("/") or value.strip("/") == "" or not value.isprintable():
        raise _Wrong("an absolute path")
    return os.path.normpath(value)


def _hostname(value: Any) -> str:
    if not isinstance(value, str) or (value and not _HOST.match(value)):
        raise _Wrong("a host name, or an empty string for this machine's own")
    return value


def _address(value: Any) -> Address:
    wanted = _Wrong("host:port, like 127.0.0.1:10024 or [::1]:10024")
    if not isinstance(value, str):
        raise wanted
    host, colon, port = value.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    host = host[1:-1] if bracketed else host
    if not colon or not (port.isascii() and port.isdigit()) or len(port) > 5 or int(port) > 65535:
        raise wanted
    if bracketed:
        try:
            ipaddress.ip_address(host)
        except ValueError:
            raise wanted from None
    elif not _HOST.match(host):
        raise wanted
    return Address(host, int(port))


def _next_hop(value: Any) -> Address:
    address = _address(value)
    if address.port == 0:
        raise _Wrong("host:port with a port from 1 to 65535")
    return address


def _listen(value: Any) -> tuple[Address, ...]:
    if not isinstance(value, list) or not value:
        raise _Wrong('a list of addresses, like ["127.0.0.1:10024"]')
    addresses = []
    for item in value:
        address = _address(item)
        try:
            ipaddress.ip_address(address.host)
        except ValueError:
            if address.host != "localhost":
                raise _Wrong("a list of IP addresses with port (names are not looked up for listening)") from None
        addresses.append(address)
    if len(set(addresses)) != len(addresses):
        raise _Wrong("a list without repetition")
    return tuple(addresses)


def _scanners(value: Any) -> tuple[ClamdSettings, ...]:
    if not isinstance(value, list):
        raise _Wrong('a list, like [{"type": "clamd", "socket": "/run/clamav/clamd.ctl"}]')
    return tuple(_scanner(index, item) for index, item in enumerate(value))


def _scanner(index: int, value: Any) -> ClamdSettings:
    if not isinstance(value, dict):
        raise _Wrong(f"objects; item {index} held {json.dumps(value)[:60]}")
    if value.get("type") != "clamd":
        raise _Wrong(f'type "clamd"; item {index} held {json.dumps(value.get("type"))[:60]}')
    unknown = sorted(set(value) - {"type", "socket", "address", "timeout", "content"})
    if unknown:
        raise _Wrong(
            f"the keys type, socket, address, timeout and content; item {index} held {json.dumps(unknown[0])[:60]}"
        )
    if ("socket" in value) == ("address" in value):
        raise _Wrong(f'either "socket" (an absolute path) or "address" (host:port) in item {index}')
    try:
        path = _path(value["socket"]) if "socket" in value else ""
        address = _next_hop(value["address"]) if "address" in value else None
        timeout = _number(0.1, 3600)(value.get("timeout", 60))
        content = _choice(*MODES)(value.get("content", "auto"))
    except _Wrong as wrong:
        raise _Wrong(f"{wrong} in item {index}") from None
    return ClamdSettings(path, address, timeout, content)


def _key(default: Any, check: Check, unit: str, meaning: str) -> Any:
    # A dataclass field with what the documentation and the checks need.
    return dataclasses.field(default=default, metadata={"check": check, "unit": unit, "meaning": meaning})


@dataclasses.dataclass(frozen=True)
class Config:
    """The keys of daemon.json. `load` makes it; the metadata feeds the documentation."""

    listen: tuple[Address, ...] = _key(
        (Address("127.0.0.1", 10024),), _listen, "host:port", "where Postfix hands mail in, SMTP and LMTP on each"
    )
    reinject: Address = _key(  # noqa: RUF009  (a field, not a shared value)
        Address("127.0.0.1", 10025), _next_hop, "host:port", "the smtpd that takes clean mail back"
    )
    instances: int = _key(4, _integer(1, 10000), "messages", "n: messages in the filter at the same time")
    workers: int = _key(2, _integer(1, 256), "processes", "worker processes; more than processors is no use")
    expansion_factor: float = _key(
        2, _number(0, 1000), "", "f: room for unpacked content, as a multiple of message_size_limit"
    )
    message_size_limit: int = _key(
        10240000, _integer(1, 2**40), "bytes", "largest message that is taken; Postfix' parameter of the same name"
    )
    message_deadline: float = _key(
        90, _number(0.1, 86400), "seconds", "from the end of data to the answer; must be below the client's patience"
    )
    scratch_directory: str = _key("/var/spool/vscan", _path, "", "where large messages are kept while scanned (tmpfs)")
    quarantine_directory: str = _key("/var/lib/vscan/quarantine", _path, "", "where quarantined messages are kept")
    scanners: tuple[ClamdSettings, ...] = _key(
        (ClamdSettings("/run/clamav/clamd.ctl", None, 60),),
        _scanners,
        "",
        "virus scanners, all asked for each message; the EICAR test pattern is always found",
    )
    on_virus: str = _key(
        "discard",
        _choice("discard", "reject", "tempfail"),
        "",
        "an infected message is quarantined, and then discarded, rejected (554) or deferred (451)",
    )
    on_unchecked: str = _key(
        "quarantine",
        _choice("pass", "quarantine", "reject", "tempfail"),
        "",
        "what becomes of a message that a scanner gave up on because of its own limits",
    )
    on_scanner_failure: str = _key(
        "tempfail", _choice("tempfail", "pass"), "", "what becomes of a message that a scanner did not answer for"
    )
    hostname: str = _key("", _hostname, "", "the name in greetings; empty for this machine's own")
    max_connections: int = _key(
        1000, _integer(1, 100000), "connections", "per worker; beyond it the one that is idle longest is closed"
    )
    max_recipients: int = _key(1000, _integer(100, 100000), "recipients", "per transaction (RFC 5321: at least 100)")
    max_errors: int = _key(100, _integer(1, 100000), "commands", "refused commands before a session is closed")
    max_received_headers: int = _key(100, _integer(10, 10000), "headers", "more Received headers than this are a loop")
    command_timeout: float = _key(300, _number(1, 86400), "seconds", "longest silence between commands")
    data_timeout: float = _key(180, _number(1, 86400), "seconds", "longest silence inside a message")
    message_receive_timeout: float = _key(
        3600, _number(1, 86400), "seconds", "longest time from DATA to the end of data"
    )
    memory_per_message: int = _key(
        262144, _integer(4096, 2**30), "bytes", "of a message kept in memory; what is beyond goes to scratch"
    )
    memory_total: int = _key(
        67108864, _integer(1048576, 2**40), "bytes", "of messages kept in memory per worker; beyond it scratch is used"
    )
    reinject_connect_timeout: float = _key(
        30, _number(0.1, 3600), "seconds", "to connect to the reinjecting smtpd and to be greeted"
    )
    reinject_reply_timeout: float = _key(
        60, _number(0.1, 3600), "seconds", "to wait for one reply of the reinjecting smtpd"
    )
    reinject_idle_timeout: float = _key(
        20, _number(0, 3600), "seconds", "an idle reinjection connection is kept this long; 0 for a new one each time"
    )
    drain_timeout: float = _key(
        100, _number(0, 86400), "seconds", "for messages under way when the service stops or reloads"
    )

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
        values: dict[str, Any] = {}
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if field.name == "scanners":
                value = [_scanner_json(scanner) for scanner in value]
            elif field.name == "listen":
                value = [str(address) for address in value]
            elif isinstance(value, Address):
                value = str(value)
            values[field.name] = value
        return values

    @property
    def fingerprint(self) -> str:
        """Twelve hexadecimal digits that change when the effective configuration changes."""
        text = json.dumps(self.as_json(), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]


def _scanner_json(scanner: ClamdSettings) -> dict[str, Any]:
    place = {"address": str(scanner.address)} if scanner.address else {"socket": scanner.socket}
    return {"type": "clamd", **place, "timeout": scanner.timeout, "content": scanner.content}


def from_json(data: Any) -> Config:
    """A configuration from the parsed content of daemon.json."""
    if not isinstance(data, dict):
        raise ConfigError(f"the configuration held {json.dumps(data)[:60]}; it takes an object with keys and values")
    fields = {field.name: field for field in dataclasses.fields(Config)}
    values = {}
    for key, value in data.items():
        if key not in fields:
            close = difflib.get_close_matches(key, fields, 1)
            hint = f"did you mean {close[0]}?" if close else "known keys: " + ", ".join(fields)
            name = key if key.isprintable() and len(key) <= 60 else _held(key)
            raise ConfigError(f"{name}: unknown key, it held {_held(value)}; {hint}")
        try:
            values[key] = fields[key].metadata["check"](value)
        except _Wrong as wrong:
            words = _with_unit(wrong, fields[key].metadata["unit"])
            raise ConfigError(f"{key}: held {_held(value)}; it takes {words}") from None
    config = Config(**values)
    _check_together(config)
    return config


def accepted(key: str) -> str:
    """What a key takes, in words."""
    metadata = {field.name: field.metadata for field in dataclasses.fields(Config)}[key]
    try:
        # No key takes null: the refusal says what it takes.
        metadata["check"](None)
    except _Wrong as wrong:
        return _with_unit(wrong, metadata["unit"])
    raise AssertionError(f"{key} takes null")


def _with_unit(wrong: _Wrong, unit: str) -> str:
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
    if any(_reaches(config.reinject, address) for address in config.listen):
        raise ConfigError(f"reinject: held {config.reinject}; it takes another address than listen, or mail would loop")
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
