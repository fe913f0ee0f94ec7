# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Users, groups, and who may do what with which file."""

from __future__ import annotations

import pytest
from testinfra.host import Host

#: path: (owner, group, mode)
PATHS = {
    "/etc/cron.d/filter-stack": ("root", "root", 0o644),
    "/etc/filter-stack": ("root", "vscan", 0o750),
    "/etc/filter-stack/daemon.json": ("root", "vscan", 0o640),
    "/etc/postfix": ("root", "root", 0o755),
    "/etc/postfix/filter": ("root", "filter", 0o770),
    "/etc/postfix/main.cf": ("root", "root", 0o644),
    "/etc/postfix/master.cf": ("root", "root", 0o644),
    "/etc/systemd/system/filter-daemon.service": ("root", "root", 0o644),
    "/etc/systemd/system/filter-daemon.socket": ("root", "root", 0o644),
    "/usr/local/lib/filter-stack": ("root", "root", 0o755),
    "/usr/local/lib/filter-stack/filter_daemon.py": ("root", "root", 0o755),
    "/usr/local/sbin/filter-daemon": ("root", "root", 0o755),
    "/var/lib/filter-stack": ("root", "root", 0o700),
    "/var/lib/filter-stack/main.cf.json": ("root", "root", 0o600),
    "/var/lib/filter-stack/master.cf.json": ("root", "root", 0o600),
    "/var/lib/vscan": ("vscan", "vscan", 0o750),
    "/var/lib/vscan/quarantine": ("vscan", "vscan", 0o750),
    "/var/lib/vscan/ledger": ("vscan", "vscan", 0o750),
    "/var/spool/vscan": ("vscan", "vscan", 0o750),
}


@pytest.mark.parametrize(("name", "home"), [("vscan", "/var/lib/vscan"), ("filter", "/etc/postfix/filter")])
def test_a_system_user_that_nobody_can_log_in_as(host: Host, name: str, home: str) -> None:
    user = host.user(name)
    assert user.shell == "/usr/sbin/nologin"
    assert user.home == home
    assert user.group == name
    assert user.groups == [name]
    assert 0 < user.uid < 1000
    assert user.password.startswith("!")


def test_every_owner_group_and_mode(host: Host) -> None:
    answer = host.check_output("stat -c '%n %U %G %a' " + " ".join(PATHS))
    found = {}
    for line in answer.splitlines():
        path, owner, group, mode = line.split()
        found[path] = (owner, group, int(mode, 8))
    assert found == PATHS


def test_code_that_only_root_can_change(host: Host) -> None:
    wrong = host.check_output("find /usr/local/lib/filter-stack ! -user root -o ! -group root -o -perm /022")
    assert wrong == ""


def test_the_code_is_compiled_and_nothing_else_is_beside_it(host: Host) -> None:
    files = host.check_output("find /usr/local/lib/filter-stack ! -type d -printf '%f\n'").splitlines()
    code = sorted(name[: -len(".py")] for name in files if name.endswith(".py"))
    compiled = sorted(name.split(".")[0] for name in files if not name.endswith(".py"))
    assert compiled == code
    assert "filter_daemon" in code


def test_only_root_reads_what_removal_needs(host: Host) -> None:
    assert host.run("runuser -u vscan -- ls /var/lib/filter-stack").rc != 0
