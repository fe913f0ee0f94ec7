# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The restore record as a JSON text: what an edit of a Postfix file did, and how to undo it. No I/O.

JSON's escapes carry any byte of the original file, whatever its encoding. Every function raises ValueError with a
message that says what is wrong with the record.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ansible_collections.mailops.filter_stack.plugins.module_utils._postfix_edit import Parser, Trace

_VERSION = 1


def dumps(record: Mapping[str, Trace], path: str) -> str:
    """The record of edits to the file `path`; the same record always gives the same text."""
    entries = {key: trace._asdict() for key, trace in record.items()}
    return json.dumps({"version": _VERSION, "path": path, "entries": entries}, indent=2, sort_keys=True) + "\n"


def loads(text: str, path: str, parse: Parser) -> dict[str, Trace]:
    """Read a record back; it must be about the file `path`, and everything in it must make sense to `parse`."""
    try:
        content = json.loads(text)
    except ValueError as error:
        raise ValueError(f"it is not JSON: {error}") from None
    if (
        not isinstance(content, dict)
        or content.get("version") != _VERSION
        or not isinstance(content.get("entries"), dict)
    ):
        raise ValueError(f"it takes a record of version {_VERSION} that this module wrote")
    if content.get("path") != path:
        raise ValueError(
            f"it is about {content.get('path')!r}, not about {path!r}; each file takes a record of its own"
        )
    return {key: _trace(key, entry, parse) for key, entry in content["entries"].items()}


def _trace(key: str, entry: Any, parse: Parser) -> Trace:
    kinds: dict[str, tuple[type, ...]] = {
        "comment": (str,),
        "text": (str,),
        "original": (str, type(None)),
        "blank": (bool,),
        "unterminated": (str, type(None)),
    }
    if not isinstance(entry, dict) or set(entry) != set(kinds):
        raise ValueError(f"{key}: it takes the keys {', '.join(kinds)}")
    for name, types in kinds.items():
        if not isinstance(entry[name], types):
            raise ValueError(f"{key}: {name}: {entry[name]!r} is of the wrong type")
    trace = Trace(**entry)
    for name, text in (("text", trace.text), ("original", trace.original)):
        if text is not None and [found.key for found in parse(text)] != [key]:
            raise ValueError(f"{key}: {name}: {text!r} takes one entry {key}")
    return trace
