# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The scanner for each item of the configuration's list."""

from __future__ import annotations

import asyncio

from . import Scanner, settings
from .clamd import Clamd
from .command import Command
from .rspamd import Rspamd
from .spamd import Spamd


def scanner(given: settings.Scanner, scratch_directory: str, loop: asyncio.AbstractEventLoop) -> Scanner:
    """The scanner that these settings describe. It opens nothing before it is asked."""
    if isinstance(given, settings.CommandSettings):
        return Command(given, scratch_directory, loop)
    if isinstance(given, settings.SpamdSettings):
        return Spamd(given, loop)
    if isinstance(given, settings.RspamdSettings):
        return Rspamd(given, loop)
    return Clamd(given, loop)
