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
