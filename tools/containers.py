# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fresh Debian hosts in Docker, with systemd, for the programs that try out what the documentation says."""

from __future__ import annotations

import os
import subprocess
import time

#: Begins the names of the containers, so that two checkouts can be tried on one machine.
PREFIX = os.environ.get("FILTER_STACK_TEST_PREFIX", "filter-stack")
#: Made by tools/base-images.sh.
IMAGE = "filter-stack-base:bookworm"
#: What systemd needs to mount and to make control groups, less than --privileged.
OPTIONS = (
    "--cap-add=SYS_ADMIN",
    "--security-opt=seccomp=unconfined",
    "--security-opt=apparmor=unconfined",
    "--cgroupns=host",
    "--tmpfs=/run:exec",
    "--tmpfs=/run/lock",
    "--volume=/sys/fs/cgroup:/sys/fs/cgroup:rw",
)


class Failed(Exception):
    """What was written is not so; in words."""


def docker(*arguments: str, check: bool = True) -> str:
    """Docker's client; its standard output. Raises Failed with its own words when it fails and check is set."""
    done = subprocess.run(["docker", *arguments], check=False, capture_output=True, text=True)
    if check and done.returncode:
        raise Failed(f"docker {arguments[0]}: {done.stderr.strip()}")
    return done.stdout


def run(name: str, hostname: str, *options: str) -> None:
    """Start a container. Raises Failed."""
    docker("run", "--detach", f"--name={name}", f"--hostname={hostname}", *OPTIONS, *options, IMAGE)


def wait(name: str) -> None:
    """Until systemd in it is up. Raises Failed after a minute."""
    deadline = time.monotonic() + 60
    while docker("exec", name, "systemctl", "is-system-running", check=False).strip() not in {"running", "degraded"}:
        if time.monotonic() > deadline:
            raise Failed(f"{name}: systemd has not started within a minute")
        time.sleep(0.25)
