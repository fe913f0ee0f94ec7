# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Patterns of mail addresses, in the forms of access(5): user@domain, domain, .domain (its sub-domains), user@.

The pipe(8) program for disclaimers takes this file along with its package: it imports nothing else of the daemon.
"""

from __future__ import annotations

import re

FORMS = "bob@example.com, example.com, .example.com (its sub-domains) or bob@"
_PATTERN = re.compile(r"(?:[^@\s]+@)?\.?[^@\s.]+(?:\.[^@\s.]+)*\Z|[^@\s]+@\Z")


def valid(pattern: object) -> bool:
    """Whether it is one of them."""
    return isinstance(pattern, str) and _PATTERN.match(pattern) is not None


def matches(pattern: str, address: str) -> bool:
    """Whether the address is meant by the pattern, which is in lower case; an extension after + may be left out."""
    user, _, domain = address.lower().rpartition("@")
    if pattern.startswith("."):
        return domain.endswith(pattern)
    if "@" not in pattern:
        return domain == pattern
    wanted, _, place = pattern.rpartition("@")
    return place in ("", domain) and wanted in (user, user.split("+")[0])
