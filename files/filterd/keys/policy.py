# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys for what becomes of a message, by what was found in it."""

from __future__ import annotations

import dataclasses

from .. import values
from ..values import key


@dataclasses.dataclass(frozen=True)
class PolicyKeys:
    """Keys for what becomes of a message, by what was found in it."""

    on_virus: str = key(
        "discard",
        values.choice("discard", "reject", "tempfail"),
        "",
        "an infected message is quarantined, and then discarded, rejected (554) or deferred (451)",
    )
    on_unchecked: str = key(
        "quarantine",
        values.choice("pass", "quarantine", "reject", "tempfail"),
        "",
        "what becomes of a message that a scanner gave up on because of its own limits",
    )
