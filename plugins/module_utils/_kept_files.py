# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Directories and files as the module host_files takes them, and whether a host that host_info saw has them already."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any


def is_mode(mode: object) -> bool:
    """Whether this is an octal mode in text, such as ``0640``."""
    return isinstance(mode, str) and re.match("[0-7]{3,4}$", mode) is not None


def content(wanted: Mapping[str, Any]) -> bytes:
    """What a file shall hold: its ``data`` as JSON, or else its ``content``."""
    data = wanted.get("data")
    if data is not None:
        return (json.dumps(data, indent=4, sort_keys=True) + "\n").encode()
    return str(wanted["content"]).encode()


def differing(
    directories: Sequence[Mapping[str, Any]], files: Sequence[Mapping[str, Any]], seen: Mapping[str, Any]
) -> list[str]:
    """The paths of those that the host has not, or not as they shall be. What is in doubt differs: the module knows.

    :param seen: ``paths`` of all, and ``contents`` of the files, as host_info returns them
    :raises KeyError: when something was not looked at
    """
    paths = [one["path"] for one in directories if not _is_so(one, seen["paths"][one["path"]], "directory")]
    for one in files:
        there = seen["paths"][one["path"]]
        if there.get("kind") == "file" and not one.get("replace", True):
            continue
        held = seen["contents"].get(one["path"])
        if held is None or base64.b64decode(held) != content(one) or not _is_so(one, there, "file"):
            paths.append(one["path"])
    return paths


def _is_so(wanted: Mapping[str, Any], there: Mapping[str, Any], kind: str) -> bool:
    if there.get("kind") != kind or any(wanted.get(name) not in (None, there[name]) for name in ("owner", "group")):
        return False
    mode = wanted.get("mode")
    return mode is None or (is_mode(mode) and int(mode, 8) == int(there["mode"], 8))
