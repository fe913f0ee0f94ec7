# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The list of scanners in the configuration: the types, what each takes, and a value for each."""

from __future__ import annotations

import json
import re
from typing import Any, Callable, NamedTuple, Optional, Union

from ..content.streams import MODES
from ..values import Address, Check, Wrong, choice, integer, next_hop, number, path
from . import SPAM_SCORER, VIRUS_SCANNER

#: In an argument of a command: the directory with all files to scan, and the file with the whole message.
FILES, MESSAGE = "{}", "{message}"
#: The shell's own: limits that cannot be set, not executable, not found.
_SHELL_CODES = range(125, 128)


class ClamdSettings(NamedTuple):
    """clamd by its local socket or by TCP. Times in seconds."""

    socket: str
    address: Optional[Address]
    timeout: float
    content: str = "auto"  #: what it is given of a message, one of content.streams.MODES
    backup: bool = False

    @property
    def name(self) -> str:
        """How logs call it."""
        return f"clamd at {self.address or self.socket}"


class CommandSettings(NamedTuple):
    """A command-line scanner. Times in seconds, limits in bytes."""

    argv: tuple[str, ...]
    clean: tuple[int, ...]  #: exit codes
    infected: tuple[int, ...]
    unchecked: tuple[int, ...]
    pattern: str  #: its first group is the name of what was found; empty for none
    timeout: float
    cpu_limit: int
    memory_limit: int
    file_limit: int
    concurrency: int  #: of one worker
    content: str
    backup: bool

    @property
    def name(self) -> str:
        """How logs call it."""
        return f"command {self.argv[0]}"

    @property
    def as_message(self) -> bool:
        """Whether the program is given the whole message as one file, and nothing else."""
        return any(MESSAGE in word for word in self.argv)


class SpamdSettings(NamedTuple):
    """SpamAssassin's spamd. Times in seconds, sizes in bytes."""

    socket: str
    address: Optional[Address]
    timeout: float
    user: str  #: whose preferences spamd uses; empty for its own
    size_limit: int
    threshold: Optional[float]  #: None: what spamd says
    backup: bool

    @property
    def name(self) -> str:
        """How logs call it."""
        return f"spamd at {self.address or self.socket}"


class RspamdSettings(NamedTuple):
    """rspamd's normal or proxy worker. Times in seconds, sizes in bytes."""

    socket: str
    address: Optional[Address]
    timeout: float
    password_file: str  #: empty for none
    size_limit: int
    threshold: Optional[float]  #: None: what rspamd says
    backup: bool

    @property
    def name(self) -> str:
        """How logs call it."""
        return f"rspamd at {self.address or self.socket}"


Scanner = Union[ClamdSettings, CommandSettings, SpamdSettings, RspamdSettings]


# Checks


def _boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise Wrong("true or false")
    return value


def _argv(value: Any) -> tuple[str, ...]:
    words = value if isinstance(value, list) and len(value) <= 200 else []
    if all(isinstance(word, str) and word.isprintable() for word in words):
        places = {place for word in words[1:] for place in (FILES, MESSAGE) if place in word}
        if len(places) == 1 and words[0].startswith("/"):
            return tuple(words)
    raise Wrong(
        "a list of words: the program's absolute path, then arguments, at least one with {} (the directory with the "
        "files to scan), or else {message} (the whole message as one file)"
    )


def _exit_codes(value: Any) -> tuple[int, ...]:
    for code in value if isinstance(value, list) else [None]:
        if isinstance(code, bool) or not isinstance(code, int) or not 0 <= code <= 255 or code in _SHELL_CODES:
            raise Wrong("a list of exit codes from 0 to 255 (125 to 127 are the shell's)")
    return tuple(value)


def _pattern(value: Any) -> str:
    wanted = Wrong("a regular expression with a group for the name, or an empty string")
    if not isinstance(value, str):
        raise wanted
    try:
        groups = re.compile(value).groups if value else 1
    except (re.error, RecursionError, OverflowError):
        raise wanted from None
    if not groups:
        raise wanted
    return value


def _user(value: Any) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"[\x21-\x7e]{0,256}", value):
        raise Wrong("a user's name in printable ASCII without blanks, or an empty string")
    return value


_PLACE: dict[str, Check] = {"socket": path, "address": next_hop}
_COMMON: dict[str, Check] = {"timeout": number(0.1, 3600), "backup": _boolean}
_SCORER: dict[str, Check] = {
    **_PLACE,
    **_COMMON,
    "size_limit": integer(1024, 1 << 40),
    "threshold": number(-1000, 1000),
}


# Types


class _Type(NamedTuple):
    """What the objects of one type take."""

    kind: str
    keys: dict[str, Check]
    settings: type[Any]
    make: Callable[[dict[str, Any]], Scanner]


def _placed(given: dict[str, Any]) -> tuple[str, Optional[Address]]:
    if ("socket" in given) == ("address" in given):
        raise Wrong('either "socket" (an absolute path) or "address" (host:port)')
    return given.get("socket", ""), given.get("address")


def _clamd(given: dict[str, Any]) -> ClamdSettings:
    rest = given.get("timeout", 60), given.get("content", "auto"), given.get("backup", False)
    return ClamdSettings(*_placed(given), *rest)


def _command(given: dict[str, Any]) -> CommandSettings:
    if "argv" not in given:
        raise Wrong('"argv" (a list of words: the program\'s absolute path, then arguments)')
    found = CommandSettings(
        given["argv"],
        given.get("clean", (0,)),
        given.get("infected", (1,)),
        given.get("unchecked", ()),
        given.get("pattern", ""),
        given.get("timeout", 60),
        given.get("cpu_limit", 60),
        given.get("memory_limit", 2 << 30),
        given.get("file_limit", 256 << 20),
        given.get("concurrency", 1),
        given.get("content", "whole" if any(MESSAGE in word for word in given["argv"]) else "both"),
        given.get("backup", False),
    )
    codes = [*found.clean, *found.infected, *found.unchecked]
    if not found.clean or not found.infected or len(set(codes)) != len(codes):
        raise Wrong('at least one exit code in "clean" and in "infected", and each in one list only,')
    if found.as_message and found.content != "whole":
        raise Wrong('"whole" as content where argv has {message},')
    return found


def _spamd(given: dict[str, Any]) -> SpamdSettings:
    return SpamdSettings(
        *_placed(given),
        given.get("timeout", 30),
        given.get("user", ""),
        given.get("size_limit", 512 << 10),
        given.get("threshold"),
        given.get("backup", False),
    )


def _rspamd(given: dict[str, Any]) -> RspamdSettings:
    return RspamdSettings(
        *_placed(given),
        given.get("timeout", 30),
        given.get("password_file", ""),
        given.get("size_limit", 50 << 20),
        given.get("threshold"),
        given.get("backup", False),
    )


_TYPES: dict[str, _Type] = {
    "clamd": _Type(VIRUS_SCANNER, {**_PLACE, **_COMMON, "content": choice(*MODES)}, ClamdSettings, _clamd),
    "command": _Type(
        VIRUS_SCANNER,
        {
            **_COMMON,
            "argv": _argv,
            "clean": _exit_codes,
            "infected": _exit_codes,
            "unchecked": _exit_codes,
            "pattern": _pattern,
            "cpu_limit": integer(1, 86400),
            "memory_limit": integer(16 << 20, 1 << 44),
            "file_limit": integer(4096, 1 << 44),
            "concurrency": integer(1, 1000),
            "content": choice(*MODES),
        },
        CommandSettings,
        _command,
    ),
    "spamd": _Type(SPAM_SCORER, {**_SCORER, "user": _user}, SpamdSettings, _spamd),
    "rspamd": _Type(SPAM_SCORER, {**_SCORER, "password_file": path}, RspamdSettings, _rspamd),
}


# The list


def scanners(value: Any) -> tuple[Scanner, ...]:
    """The list in the configuration."""
    if not isinstance(value, list):
        raise Wrong('a list, like [{"type": "clamd", "socket": "/run/clamav/clamd.ctl"}]')
    found = tuple(_scanner(index, item) for index, item in enumerate(value))
    for kind, words in ((VIRUS_SCANNER, "virus scanner"), (SPAM_SCORER, "spam scorer")):
        roles = [item.backup for item in found if kind_of(item) == kind]
        if roles and all(roles):
            index = next(number for number, item in enumerate(found) if kind_of(item) == kind)
            raise Wrong(f'a {words} without "backup" where there is one with it; item {index} held "backup": true')
    return found


def kind_of(scanner: Scanner) -> str:
    """VIRUS_SCANNER or SPAM_SCORER."""
    return _type_of(scanner)[1].kind


def _type_of(scanner: Scanner) -> tuple[str, _Type]:
    return next((name, item) for name, item in _TYPES.items() if isinstance(scanner, item.settings))


def _scanner(index: int, value: Any) -> Scanner:
    if not isinstance(value, dict):
        raise Wrong(f"objects; item {index} held {json.dumps(value)[:60]}")
    name = value.get("type")
    if not isinstance(name, str) or name not in _TYPES:
        raise Wrong(f"a type of {', '.join(_TYPES)}; item {index} held {json.dumps(name)[:60]}")
    keys = _TYPES[name].keys
    unknown = sorted(set(value) - {"type", *keys})
    if unknown:
        raise Wrong(f"the keys type, {_and(list(keys))}; item {index} held {json.dumps(unknown[0])[:60]}")
    given = {}
    for key, check in keys.items():
        if key in value:
            try:
                given[key] = check(value[key])
            except Wrong as wrong:
                held = json.dumps(value[key])[:60]
                raise Wrong(f"{wrong} in item {index}, whose {key} held {held}") from None
    try:
        return _TYPES[name].make(given)
    except Wrong as wrong:
        raise Wrong(f"{wrong} in item {index}") from None


def _and(words: list[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]])


def back(found: tuple[Scanner, ...]) -> list[dict[str, Any]]:
    """The form that the list has in the configuration, with all defaults."""
    return [_back(scanner) for scanner in found]


def _back(scanner: Scanner) -> dict[str, Any]:
    data: dict[str, Any] = {"type": _type_of(scanner)[0]}
    for key, value in scanner._asdict().items():
        if key in ("socket", "password_file") and not value:
            continue
        if value is not None:
            data[key] = str(value) if isinstance(value, Address) else list(value) if isinstance(value, tuple) else value
    return data
