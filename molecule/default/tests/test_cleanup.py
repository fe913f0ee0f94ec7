# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The daily job that removes stale scratch files, and what the quarantine does not keep any longer."""

from __future__ import annotations

import pytest
from testinfra.host import Host

ENTRY = "/etc/cron.d/filter-stack"
COMMANDS = ("clean --older-than 86400", "quarantine expire --quiet")


def job(host: Host, command: str) -> str:
    lines = [line for line in host.file(ENTRY).content_string.splitlines() if line and line[0].isdigit()]
    assert len(lines) == len(COMMANDS)
    [found] = [line for line in lines if line.endswith(f"/usr/local/sbin/filter-daemon {command}")]
    return found


@pytest.mark.parametrize("command", COMMANDS)
def test_it_runs_once_a_day_as_the_filters_user(host: Host, command: str) -> None:
    assert job(host, command).split(None, 6)[:6] == ["25", "4", "*", "*", "*", "vscan"]
    assert "MAILTO=root" in host.file(ENTRY).content_string.splitlines()


@pytest.mark.parametrize("command", COMMANDS)
def test_the_very_command_works_and_says_nothing_when_there_is_nothing_to_do(host: Host, command: str) -> None:
    command = job(host, command).split(None, 6)[6]
    run = host.run("runuser -u vscan -- /bin/sh -c %s", command)
    assert (run.rc, run.stdout, run.stderr) == (0, "", "")


def test_stale_files_go_and_one_in_use_stays(host: Host) -> None:
    # Given a file and a directory that nobody uses, and a file that a process of the filter's user has open
    script = """
set -eu
cd /var/spool/vscan
echo x > stale-file
mkdir stale-directory
echo x > stale-directory/part
echo x > in-use
sleep 60 < in-use &
sleeper=$!
sleep 2
# when the job's command comes by
/usr/local/sbin/filter-daemon clean --older-than 1
ls
kill $sleeper
rm in-use
"""
    run = host.run("runuser -u vscan -- /bin/sh -c %s", script)
    assert run.succeeded, run.stderr
    # then only the one in use is still there
    removed = {"removed /var/spool/vscan/stale-file", "removed /var/spool/vscan/stale-directory"}
    assert set(run.stdout.splitlines()) == removed | {"in-use"}
