# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host that had no Postfix is a filtering mail host after the first run."""

from __future__ import annotations

import time
import uuid

import pytest
from testinfra.host import Host


def test_postfix_was_installed_and_hands_mail_to_the_filter(host: Host) -> None:
    assert host.service("postfix").is_running
    assert host.check_output("postconf -h content_filter") == "scan:[127.0.0.1]:10024"


@pytest.mark.parametrize("unit", ["filter-daemon.socket", "filter-daemon.service", "clamav-daemon.service"])
def test_what_the_chain_needs_is_up_and_starts_with_the_host(host: Host, unit: str) -> None:
    service = host.service(unit)
    assert service.is_running
    assert service.is_enabled


def test_a_message_goes_through_the_filter_into_the_mailbox(host: Host) -> None:
    token = uuid.uuid4().hex
    given = f"printf 'Subject: {token}\\n\\nHello.\\n' | sendmail -f root postmaster"
    host.run_expect([0], given)
    deadline = time.monotonic() + 30
    while not host.run("grep -rqs %s /var/mail /var/spool/mail", token).succeeded:
        assert time.monotonic() < deadline, host.check_output("journalctl --no-pager -n 60")
        time.sleep(0.5)
    log = host.check_output("journalctl --no-pager -u filter-daemon")
    assert "verdict=clean" in log
