# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixtures of the scenario's tests, and what they share with the other scenarios."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from testinfra.host import Host

MOLECULE = Path(__file__).parents[2]
sys.path[:0] = [str(MOLECULE / place) for place in ("default/tests", "resources/tests", "before_queue/tests")]

from mailhost import MailHost  # noqa: E402


@pytest.fixture
def mail(host: Host) -> MailHost:
    """The host as a mail host."""
    return MailHost(host)
