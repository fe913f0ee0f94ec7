# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys for the notices that the filter writes."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class NotificationKeys:
    """Keys for the notices that the filter writes."""
