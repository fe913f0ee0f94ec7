# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The mail host of the default scenario's tests, for this one."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from testinfra.host import Host

sys.path.insert(0, str(Path(__file__).parents[2] / "default" / "tests"))

from mailhost import MailHost


@pytest.fixture
def mail(host: Host) -> MailHost:
    """The host as a mail host."""
    return MailHost(host)
