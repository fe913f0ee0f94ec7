# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Postfix' files and their restore records, out of what the module host_info has read. No I/O."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

from ansible_collections.mailops.filter_stack.plugins.module_utils import _restore_record
from ansible_collections.mailops.filter_stack.plugins.module_utils._postfix_edit import Parser, Record
from ansible_collections.mailops.filter_stack.plugins.module_utils._postfix_lines import decode


def text(seen: Mapping[str, Any], path: str) -> str:
    """A file's text; ValueError when it was not there."""
    if path not in seen["contents"]:
        raise ValueError(f"{path} does not exist; it takes the configuration file of an installed Postfix")
    return decode(base64.b64decode(seen["contents"][path]))


def record(seen: Mapping[str, Any], path: str | None, about: str, parse: Parser) -> Record:
    """What the record says of the file ``about``; one that is not there says nothing. ValueError when it is broken."""
    if path not in seen["contents"]:
        return {}
    try:
        return _restore_record.loads(base64.b64decode(seen["contents"][path]).decode(), about, parse)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
