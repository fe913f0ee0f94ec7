# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The entries of master.cf, checked as strictly as master(8) and postconf(1) do, in a form that can be compared.

Two entries are equal when Postfix would start the same service for both: spacing, continuation lines, comments
and the ways to write an option ("-o name=value", "-oname=value", "-o { name = value }") do not count.
See master(5). Every function raises ValueError with a message that names the line, its text and what it takes.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from ansible_collections.mailops.filter_stack.plugins.module_utils._postfix_lines import (
    BLANKS,
    SPACE,
    LogicalLine,
    logical_lines,
    shown,
)

SERVICE_TYPES = ("inet", "unix", "unix-dgram", "fifo", "pass")
_FIELDS = ("service", "type", "private", "unprivileged", "chroot", "wakeup", "maxproc", "command")
_BOOLEANS = ("private", "unprivileged", "chroot")
_WAKEUP = re.compile(r"-|[0-9]+\??")
_MAXPROC = re.compile(r"-|[0-9]+")
_PARAMETER = re.compile(r"[A-Za-z0-9_]+")


class Service(NamedTuple):
    """One entry of master.cf."""

    #: The service's name and type, "scan/unix": what identifies it.
    key: str
    #: The eight fields and the arguments in postconf's canonical form; equal means the same service.
    value: tuple[str, ...]
    line: int
    #: Where the entry stands in the text, without comments above it.
    start: int
    end: int

    @property
    def name(self) -> str:
        return self.value[0]

    @property
    def type(self) -> str:
        return self.value[1]


def parse(text: str, what: str = "master.cf") -> list[Service]:
    """All entries in the text of the file that `what` names."""
    return [_service(line, what) for line in logical_lines(text, what)]


def parse_unique(text: str, what: str = "master.cf") -> list[Service]:
    """All entries; refuses a text without any, and a service that is there twice (Postfix would use the last)."""
    services = parse(text, what)
    if not services:
        raise ValueError(
            f"{what}: there is no entry in it; it takes at least one service in master.cf syntax, see master(5)"
        )
    refuse_duplicates(services, what)
    return services


def refuse_duplicates(services: list[Service], what: str) -> None:
    """Raise ValueError when a service is defined more than once, naming the lines."""
    lines: dict[str, int] = {}
    for service in services:
        if service.key in lines:
            raise ValueError(
                f"{what}, line {service.line}: the service {service.key} is already defined in line "
                f"{lines[service.key]}; it takes each service once (Postfix would silently use the last one), so "
                "remove one of them"
            )
        lines[service.key] = service.line


def check_own(services: list[Service], what: str) -> None:
    """Refuse what Postfix would notice only when the service is used: an option -o without name=value."""
    for service in services:
        arguments = list(service.value[len(_FIELDS) :])
        while arguments and arguments[0].startswith("-") and arguments[0] != "--":
            option = arguments.pop(0)
            if option != "-o":
                continue
            setting = arguments.pop(0) if arguments else ""
            name, equals, _value = setting.partition("=")
            if not equals or not _PARAMETER.fullmatch(name):
                raise ValueError(
                    f"{what}, line {service.line}: {service.key}: -o {shown(setting)} is wrong, it takes name=value "
                    "without spaces, or { name = value } with them"
                )


def parse_key(text: str, what: str) -> str:
    """Check a "name/type" and give it back."""
    name, slash, service_type = text.strip().rpartition("/")
    if not slash or not name or service_type not in SERVICE_TYPES or any(blank in name for blank in SPACE + "\n"):
        raise ValueError(
            f"{what}: {shown(text)} is wrong, it takes the name and type of a service, such as scan/unix or "
            f"127.0.0.1:10025/inet; types are {', '.join(SERVICE_TYPES)}"
        )
    return f"{name}/{service_type}"


def _service(line: LogicalLine, what: str) -> Service:
    try:
        value = _canonical(line.joined)
    except ValueError as error:
        raise ValueError(f"{what}, line {line.line}: {shown(line.joined)}: {error}") from None
    return Service(f"{value[0]}/{value[1]}", value, line.line, line.start, line.end)


def _canonical(joined: str) -> tuple[str, ...]:
    words = split_words(joined)
    if len(words) < len(_FIELDS):
        raise ValueError(f"{len(words)} fields, it takes 8 or more: {' '.join(_FIELDS)} and the command's arguments")
    field = dict(zip(_FIELDS, words))
    if field["type"] not in SERVICE_TYPES:
        raise ValueError(f"type {shown(field['type'])} is wrong, it takes one of {', '.join(SERVICE_TYPES)}")
    for name in _BOOLEANS:
        if field[name] not in ("y", "n", "-"):
            raise ValueError(f"{name} {shown(field[name])} is wrong, it takes y, n or -")
    if field["type"] == "inet" and field["private"] != "n":
        raise ValueError(f"private {shown(field['private'])} is wrong, a service of type inet takes n")
    if not _WAKEUP.fullmatch(field["wakeup"]):
        raise ValueError(f"wakeup {shown(field['wakeup'])} is wrong, it takes seconds, seconds followed by ?, or -")
    if not _MAXPROC.fullmatch(field["maxproc"]):
        raise ValueError(f"maxproc {shown(field['maxproc'])} is wrong, it takes a number of processes or -")
    if field["command"] == "-":
        raise ValueError("command '-' is wrong, it has no default")
    return (*words[: len(_FIELDS)], *_canonical_arguments(words[len(_FIELDS) :]))


def split_words(text: str) -> list[str]:
    """Split at blanks that are not inside braces, as Postfix' mystrtokq(3) does."""
    words: list[str] = []
    word: list[str] = []
    depth = 0
    for character in text:
        if character == "{":
            depth += 1
        elif character == "}" and depth:
            depth -= 1
        elif depth == 0 and character in BLANKS:
            if word:
                words.append("".join(word))
                word = []
            continue
        word.append(character)
    if word:
        words.append("".join(word))
    return words


def _canonical_arguments(words: list[str]) -> list[str]:
    """Daemon arguments in the one form that postconf(1) prints: -o and name=value apart, no braces around them."""
    arguments: list[str] = []
    rest = list(words)
    while rest and rest[0].startswith("-") and rest[0] != "--":
        option = rest.pop(0)
        letter = option.find("o", 1)
        if letter < 0:
            arguments.append(option)
            continue
        if letter > 1:
            # "-vo" means "-v -o".
            arguments.append(option[:letter])
        arguments.append("-o")
        setting = option[letter + 1 :]
        if not setting and rest:
            setting = rest.pop(0)
        if setting.startswith("{"):
            name, equals, value = _without_braces(setting).partition("=")
            setting = name.rstrip(SPACE) + equals + value.lstrip(SPACE)
        if setting:
            arguments.append(setting)
    for word in rest:
        arguments.append(_without_braces(word) if word.startswith("{") else word)
    return arguments


def _without_braces(word: str) -> str:
    """The text inside {}, without blanks at its ends; what master(8) gives up on is refused."""
    depth = 0
    for position, character in enumerate(word):
        depth += {"{": 1, "}": -1}.get(character, 0)
        if depth == 0:
            if position != len(word) - 1:
                raise ValueError(f"there is text after the closing brace in {shown(word)}, it takes a blank there")
            return word[1:-1].strip(SPACE)
    raise ValueError(f"the opening brace in {shown(word)} is never closed")
