# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rows of texts as they stand in a configuration: checked, with file and line of what is wrong.

A row is an object with `senders`, `recipients` (lists of patterns), `text` or `text_file`, `html` or `html_file`.
"""

from __future__ import annotations

import json
import re
from typing import Any, NamedTuple, Optional

from ..patterns import FORMS, valid
from .rows import Row
from .text import Text, compile_text

_KEYS = ("senders", "recipients", "text", "text_file", "html", "html_file")
#: A field name (RFC 5322 section 2.2) and a value that fits one line.
_HEADER = re.compile(r"([!-9;-~]{1,70}):[ \t]*([ -~]{1,800})\Z")
#: Fields that mean something else to everybody, or to this program.
_TAKEN = ("from", "to", "cc", "bcc", "sender", "subject", "date", "message-id", "received", "return-path", "reply-to")


class Loaded(NamedTuple):
    """Rows, and everything that is wrong with them."""

    rows: tuple[Row, ...]
    problems: tuple[str, ...]  #: each begins with what it is about, a file and a line where there is one


def load_rows(value: Any, label: str, files: bool, markup: bool = True) -> Loaded:
    """Read rows; `label` is their name in messages, `files` allows text_file and html_file, `markup` checks HTML."""
    if not isinstance(value, list):
        return Loaded((), (f"{label}: held {_held(value)}; it takes a list of rows",))
    rows, problems = [], []
    for index, item in enumerate(value):
        row, wrong = _row(item, f"{label}[{index}]", files, markup)
        rows.append(row)
        problems += wrong
    return Loaded(tuple(rows), tuple(problems))


def _row(item: Any, label: str, files: bool, markup: bool) -> tuple[Row, list[str]]:
    empty = Row((), (), None, None)
    if not isinstance(item, dict):
        return empty, [f"{label}: held {_held(item)}; it takes an object"]
    known = [key for key in _KEYS if files or not key.endswith("_file")]
    problems = [
        f"{label}: has the unknown key {key!r}; it takes {', '.join(known)}" for key in item if key not in known
    ]
    patterns = []
    for key in ("senders", "recipients"):
        held = item.get(key, [])
        wanted = f"a list of addresses and domains, like {FORMS}"
        if not isinstance(held, list) or not all(valid(one) for one in held):
            problems.append(f"{label}.{key}: held {_held(held)}; it takes {wanted}")
            held = []
        patterns.append(tuple(one.lower() for one in held))
    texts = []
    for key, is_html in (("text", False), ("html", True)):
        text, wrong = _text(item, key, f"{label}.{key}", is_html, markup)
        texts.append(text)
        problems += wrong
    return Row(patterns[0], patterns[1], *texts), problems


def _text(item: dict[str, Any], key: str, label: str, is_html: bool, markup: bool) -> tuple[Optional[Text], list[str]]:
    inline, path = item.get(key, ""), item.get(key + "_file", "")
    if not isinstance(inline, str) or not isinstance(path, str):
        return None, [f"{label}: held {_held(inline if path == '' else path)}; it takes a text"]
    if inline and path:
        return None, [f"{label}: there is also {key}_file; it takes one of them"]
    data = _bytes(inline)
    if path:
        label = path
        try:
            with open(path, "rb") as file:
                data = file.read(1048576)
        except OSError as error:
            return None, [f"{path}: cannot be read: {error.strerror}"]
    if not data.strip():
        return None, [f"{path}: is empty"] if path else []
    text, problems = compile_text(data, is_html, markup)
    return text, [f"{label}:{problem.line}: {problem.words}" for problem in problems]


def _bytes(text: str) -> bytes:
    """As it came: what was no UTF-8 in a file that Ansible read is a surrogate for each byte (PEP 383)."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")


def header(value: Any) -> Optional[tuple[str, str]]:
    """Name and value of a header field written as "Name: value"; ("", "") for nothing, None for what is none."""
    if value == "":
        return "", ""
    match = _HEADER.match(value) if isinstance(value, str) else None
    if match is None or match.group(1).lower() in _TAKEN or match.group(1).lower().startswith("content-"):
        return None
    return match.group(1), match.group(2)


def _held(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 80 else text[:77] + "..."
