# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The scratch tmpfs: its size to the page, its options, and that it comes back after a reboot."""

from __future__ import annotations

import pytest
from mailhost import MailHost
from testinfra.host import Host

PATH = "/var/spool/vscan"
#: n*(1+f)*limit*7/8, and what the kernel makes of it: whole pages of 4096 bytes.
SIZES = {
    # n=5, f=2, Postfix' limit set to 10000000
    "debian12": (131250000, 131252224),
    # all defaults: n=4, f=2, Postfix' own 10240000
    "debian13": (107520000, 107520000),
}


def test_the_live_size_is_the_formula_to_the_page(host: Host, mail: MailHost) -> None:
    assert int(host.check_output(f"df -B1 --output=size {PATH} | tail -n 1")) == SIZES[mail.name][1]


def test_the_live_mount_has_every_option(host: Host) -> None:
    mount = host.mount_point(PATH)
    assert mount.filesystem == "tmpfs"
    uid, gid = host.check_output("id -u vscan"), host.check_output("id -g vscan")
    assert {"rw", "nosuid", "nodev", "noexec", f"uid={uid}", f"gid={gid}", "mode=750"} <= set(mount.options)


def test_fstab_says_the_same_by_numbers(host: Host, mail: MailHost) -> None:
    lines = [line.split() for line in host.file("/etc/fstab").content_string.splitlines() if PATH in line]
    uid, gid = host.check_output("id -u vscan"), host.check_output("id -g vscan")
    options = f"size={SIZES[mail.name][0]},mode=0750,uid={uid},gid={gid},nosuid,nodev,noexec"
    assert lines == [["tmpfs", PATH, "tmpfs", options, "0", "0"]]


def test_systemd_mounts_it_at_boot_before_the_daemon(host: Host) -> None:
    unit = host.check_output(f"systemd-escape --path --suffix=mount {PATH}")
    assert host.check_output(f"systemctl show -P FragmentPath {unit}").startswith("/run/systemd/generator/")
    assert unit in host.check_output("systemctl show -P Requires filter-daemon.service").split()
    assert unit in host.check_output("systemctl show -P After filter-daemon.service").split()


@pytest.mark.parametrize("user", ["nobody", "postfix", "alice"])
def test_nobody_else_looks_into_it(host: Host, user: str) -> None:
    assert host.run(f"runuser -u {user} -- ls {PATH}").rc != 0
