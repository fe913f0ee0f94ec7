# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How the code and configuration that run differ from those on disk and those of the playbook. Pure functions."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

#: What stands for a key that one of them does not know, since its code is another one.
_UNKNOWN = object()
_MOST = 160  #: characters of a value that are told


def drift(running: Mapping[str, Any], on_disk: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[str]:
    """One line for each difference, none when all three are the same.

    `running` is what a daemon tells of itself, empty when it tells nothing; the others are what `filter-daemon check
    --json` says on the host and on the controller. `wanted` may have an `error` in place of all else.
    """
    if "error" in wanted:
        return [f"the daemon does not take what would be deployed: {wanted['error']}"]
    if not on_disk:
        return ["what is on disk cannot be told: the daemon's own check does not run"]
    codes = [_code(one) for one in (running or on_disk, on_disk, wanted)]
    found = [f"code: {_words(codes)}"] if len(set(codes)) > 1 else []
    configurations = [one["configuration"] for one in (running or on_disk, on_disk, wanted)]
    for key in sorted({key for one in configurations for key in one}):
        values = [one.get(key, _UNKNOWN) for one in configurations]
        if any(value != values[0] for value in values):
            found.append(f"{key}: {_words([_shown(value) for value in values])}")
    return found


def _code(report: Mapping[str, Any]) -> str:
    # `check` names the directory behind it.
    return str(report["code"]).split(maxsplit=1)[0]


def _shown(value: Any) -> str:
    return "no such key" if value is _UNKNOWN else json.dumps(value)[:_MOST]


def _words(values: Sequence[str]) -> str:
    running, on_disk, wanted = values
    words = [f"{running} runs"]
    words += [f"{on_disk} is on disk"] if on_disk != running else []
    words += [f"{wanted} would be deployed"] if wanted != running else []
    return ", ".join(words)
