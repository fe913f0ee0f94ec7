# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The keys for content in the form in which the analysis uses them."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import NamedTuple, Optional

from ..findings import BANNED, Finding
from ..keys.content import ContentKeys
from .flaws import SOURCE
from .names import double_extension, extensions, finding_name
from .types import EXECUTABLE, HTA, Kind

#: Findings of one category that are kept for one message; more say nothing new.
_FINDINGS = 50


class Collection:
    """Findings, each once. A flood of one category never keeps another one out."""

    def __init__(self) -> None:
        self._found: dict[str, dict[Finding, None]] = {}

    def add(self, finding: Optional[Finding]) -> None:
        """One more, unless it is known or there are plenty."""
        if finding is not None:
            found = self._found.setdefault(finding.category, {})
            if len(found) < _FINDINGS:
                found[finding] = None

    def all(self) -> list[Finding]:
        """All findings, by category."""
        return [finding for found in self._found.values() for finding in found]


class Rules(NamedTuple):
    """What is banned, and the limits. Made once from the configuration."""

    keys: ContentKeys
    extensions: frozenset[str]
    types: frozenset[str]
    #: Attachments are decoded to their end while they arrive, because nobody reads them after that.
    decode_all: bool

    @classmethod
    def of(cls, keys: ContentKeys, decode_all: bool = True) -> Rules:
        """From the configuration. `decode_all`: no virus scanner will be asked for sure."""
        return cls(keys, frozenset(keys.banned_extensions), frozenset(keys.banned_types), decode_all)

    def banned_name(self, path: str) -> Optional[Finding]:
        """A finding when a file of this name (the last one of a path in archives) is banned."""
        name = path.rpartition("/")[2]
        if "." not in name:
            return None
        for extension in sorted(extensions(name) & self.extensions):
            return Finding(BANNED, finding_name(extension, path), SOURCE)
        if self.keys.banned_double_extensions and double_extension(name):
            return Finding(BANNED, finding_name("double extension", path), SOURCE)
        return None

    def banned_type(self, kind: Optional[Kind], declared: Iterable[str], path: str) -> Optional[Finding]:
        """A finding when the real or a declared type is banned; what a file really is counts more."""
        if kind is not None and kind.mime in self.types:
            return Finding(BANNED, finding_name(kind.mime, path), SOURCE)
        if kind is not None and kind not in (HTA,) and kind.binary and kind.name not in EXECUTABLE:
            # Browsers of some hosts declare pictures and tables as programs.
            return None
        for mime in declared:
            if mime in self.types:
                return Finding(BANNED, finding_name(mime, path), SOURCE)
        return None


@functools.lru_cache(maxsize=1)
def default_rules() -> Rules:
    """The rules of a configuration that says nothing about content."""
    return Rules.of(ContentKeys())
