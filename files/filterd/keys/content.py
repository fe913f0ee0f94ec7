# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys for the content of messages: file names and types, archives."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class ContentKeys:
    """Keys for the content of messages: file names and types, archives."""
