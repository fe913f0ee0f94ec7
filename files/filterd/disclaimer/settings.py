# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The configuration of the pipe(8) program: disclaimer.json."""

from __future__ import annotations

import json
from typing import Any, Callable, NamedTuple

from .files import Spool, Trouble
from .load import header, load_rows
from .outline import Outline
from .rows import Options, Row

#: Takes the outline, the message, a row, the sender and the time; returns the message to send. Raises Trouble.
Program = Callable[[Outline, Spool, Row, str, float], Spool]

_DEFAULTS: dict[str, Any] = {
    "program": "bundled",
    "rows": [],
    "hostname": "localhost",
    "header": "",
    "without_text": False,
    "skip_lists": False,
    "text_limit": 4194304,
    "on_damage": "tempfail",
    "directory": "/var/spool/filter",
    "timeout": 300,
    "sendmail": "/usr/sbin/sendmail",
    "altermime": "/usr/bin/altermime",
}


class Settings(NamedTuple):
    """What disclaimer.json says."""

    rows: tuple[Row, ...]
    engine: Options
    program: Program
    directory: str  #: for files under way
    timeout: int  #: seconds for one message
    sendmail: str


def load(path: str) -> Settings:
    """Read the configuration and the texts. Raises Trouble with what is wrong."""
    try:
        with open(path, encoding="utf-8") as file:
            given = json.load(file)
    except OSError as error:
        raise Trouble(f"{path}: cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise Trouble(f"{path}: is not valid JSON: {error}") from None
    if not isinstance(given, dict) or any(type(value) is not type(_DEFAULTS.get(key)) for key, value in given.items()):
        raise Trouble(f"{path}: takes {', '.join(_DEFAULTS)}")
    data = {**_DEFAULTS, **given}
    # The markup was checked when it was deployed.
    loaded = load_rows(data["rows"], "rows", files=True, markup=False)
    field = header(data["header"])
    problems = [*loaded.problems, *([] if field is not None else [f"header: held {data['header']!r}"])]
    if data["program"] not in ("bundled", "altermime") or data["on_damage"] not in ("tempfail", "pass"):
        problems.append("program takes bundled or altermime, on_damage tempfail or pass")
    if problems:
        raise Trouble(f"{path}: {problems[0]}")
    options = Options(data["hostname"], field or ("", ""), data["without_text"], data["skip_lists"], data["text_limit"])
    return Settings(loaded.rows, options, _program(data, options), data["directory"], data["timeout"], data["sendmail"])


def _program(data: dict[str, Any], options: Options) -> Program:
    if data["program"] == "altermime":
        from .altermime import Altermime  # noqa: PLC0415  (only one of them is needed)

        return Altermime(data["altermime"], data["directory"], options, data["on_damage"] == "pass").add
    from .bundled import Bundled  # noqa: PLC0415

    return Bundled(data["directory"], options).add
