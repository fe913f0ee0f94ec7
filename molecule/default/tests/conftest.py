# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixtures of the scenario's tests."""

from __future__ import annotations

import pytest
from mailhost import MailHost
from testinfra.host import Host


@pytest.fixture
def mail(host: Host) -> MailHost:
    """The host as a mail host."""
    return MailHost(host)
