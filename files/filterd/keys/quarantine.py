# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys for the quarantine."""

from __future__ import annotations

import dataclasses

from .. import values
from ..values import key


@dataclasses.dataclass(frozen=True)
class QuarantineKeys:
    """Keys for the quarantine."""

    quarantine_directory: str = key("/var/lib/vscan/quarantine", values.path, "", "where quarantined messages are kept")
    quarantine_reserve: int = key(
        104857600,
        values.integer(0, 2**60),
        "bytes",
        "of its file system that quarantined messages leave free; a message that would touch them is deferred (451)",
    )
    quarantine_max_age: int = key(
        2592000,
        values.integer(0, 3153600000),
        "seconds",
        "that a message is kept; `quarantine expire`, which runs every day, removes older ones; 0 for ever",
    )
    quarantine_max_size: int = key(
        0,
        values.integer(0, 2**60),
        "bytes",
        "of all messages together; `quarantine expire` removes the oldest beyond it; 0 for no limit",
    )
