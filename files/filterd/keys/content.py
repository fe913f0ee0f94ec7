# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys for the content of messages: file names and types, archives."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

from .. import values
from ..values import Wrong, key

#: What Windows starts when it is opened, and what no correspondent sends on purpose: programs, installers, shortcuts,
#: scripts of the Windows Script Host, and help files, which can hold scripts. Scripts of other systems do not start by
#: being opened and are sent between people who write them.
BANNED_EXTENSIONS = (
    *("bat", "chm", "cmd", "com", "cpl", "exe", "hta", "js", "jse", "lnk", "msc", "msi", "msp", "pif", "ps1", "scr"),
    *("sct", "shb", "vb", "vbe", "vbs", "wsc", "wsf", "wsh"),
)
BANNED_TYPES = (
    "application/hta",
    "application/vnd.microsoft.portable-executable",
    "application/x-dosexec",
    "application/x-ms-shortcut",
    "application/x-msdos-program",
    "application/x-msdownload",
)

_EXTENSION = re.compile(r"[^\s./\\:]{1,20}\Z")
_TYPE = re.compile(r"[a-z0-9!#$&^_.+-]{1,127}/[a-z0-9!#$&^_.+-]{1,127}\Z")


def _words(pattern: re.Pattern[str], wanted: str, value: Any) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise Wrong(wanted)
    words = [item.lower() if isinstance(item, str) else "" for item in value]
    for item, word in zip(value, words):
        if not pattern.match(word):
            raise Wrong(f"{wanted}; one item held {str(item)[:40]!r}")
    return tuple(dict.fromkeys(words))


def _extensions(value: Any) -> tuple[str, ...]:
    return _words(_EXTENSION, 'a list of extensions without dot, like ["exe", "scr"]', value)


def _types(value: Any) -> tuple[str, ...]:
    return _words(_TYPE, 'a list of MIME types, like ["application/x-msdownload"]', value)


def _boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise Wrong("true or false")
    return value


@dataclasses.dataclass(frozen=True)
class ContentKeys:
    """Keys for the content of messages: file names and types, archives."""

    banned_extensions: tuple[str, ...] = key(
        BANNED_EXTENSIONS,
        _extensions,
        "",
        "names of files that are banned, also inside archives; the default is what Windows runs when it is opened",
        list,
    )
    banned_types: tuple[str, ...] = key(
        BANNED_TYPES,
        _types,
        "",
        "MIME types that are banned, declared or seen by the first bytes, also inside archives",
        list,
    )
    banned_double_extensions: bool = key(
        True, _boolean, "", "a program that is named like a document first (invoice.pdf.exe) is banned"
    )
    max_parts: int = key(
        1000, values.integer(1, 100000), "parts", "MIME parts of one message that are looked at one by one"
    )
    max_mime_depth: int = key(
        100, values.integer(1, 10000), "levels", "multiparts and messages inside each other before it is unchecked"
    )
    unpack_levels: int = key(8, values.integer(0, 100), "levels", "archives inside each other that are opened")
    unpack_files: int = key(1500, values.integer(1, 1000000), "files", "in all archives of one message")
    unpack_ratio: float = key(
        300, values.number(1, 1000000), "", "unpacked size divided by packed size, counted from 1 MiB unpacked on"
    )
    unpack_size: int = key(
        536870912,
        values.integer(1048576, 2**40),
        "bytes",
        "unpacked from one message, most of it in passing; what must be kept for that is bounded by its share of "
        "scratch",
    )
    unpack_timeout: float = key(30, values.number(0.1, 3600), "seconds", "for all archives of one message")
    unpack_helper_memory: int = key(
        536870912,
        values.integer(16777216, 2**40),
        "bytes",
        "address space of an archive program (bsdtar, 7z)",
    )
