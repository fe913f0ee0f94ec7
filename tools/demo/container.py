# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The demo's mail host: one container with systemd, and how to reach into it."""

from __future__ import annotations

import subprocess
import time

NAME = "filter-stack-demo"
IMAGE = "filter-stack-base:bookworm"
HOSTNAME = "mail.demo.example"

# What systemd needs to mount and to make control groups, less than --privileged.
RUN_OPTIONS = (
    "--cap-add=SYS_ADMIN",
    "--security-opt=seccomp=unconfined",
    "--security-opt=apparmor=unconfined",
    "--cgroupns=host",
    "--tmpfs=/run:exec",
    "--tmpfs=/run/lock",
    "--volume=/sys/fs/cgroup:/sys/fs/cgroup:rw",
)


class DemoError(Exception):
    """Something that ends the demo, in words for the person who started it."""


def docker(*arguments: str, check: bool = True) -> str:
    """Run Docker's client and return its standard output.

    Raises DemoError with the client's own words when it fails and check is set.
    """
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False)
    if check and done.returncode != 0:
        raise DemoError(f"docker {' '.join(arguments)} ended with {done.returncode}: {done.stderr.strip()}")
    return done.stdout


def state() -> str:
    """Docker's word for the container's state ("running", "exited", ...), or "absent"."""
    return docker("container", "inspect", "-f", "{{.State.Status}}", NAME, check=False).strip() or "absent"


def start(*, create: bool) -> None:
    """Have the container running and systemd in it started; make it if told to.

    An existing container is kept as it is, with all that was done to it.
    Raises DemoError when there is none and create is not set, or when systemd is
    not up within a minute.
    """
    found = state()
    if found == "absent":
        if not create:
            raise DemoError(f"there is no container {NAME}; `make demo` makes it")
        docker("run", "--detach", f"--name={NAME}", f"--hostname={HOSTNAME}", *RUN_OPTIONS, IMAGE)
    elif found != "running":
        docker("start", NAME)
    deadline = time.monotonic() + 60
    while (system := inside("systemctl", "is-system-running", check=False).strip()) not in ("running", "degraded"):
        if time.monotonic() > deadline:
            raise DemoError(f"systemd in {NAME} says {system!r} after a minute, not 'running'; see docker logs {NAME}")
        time.sleep(0.25)


def inside(*command: str, check: bool = True) -> str:
    """Run a command in the container and return its standard output."""
    return docker("exec", NAME, *command, check=check)


def inside_bytes(*command: str) -> bytes:
    """As inside(), for output that is not text."""
    return subprocess.run(["docker", "exec", NAME, *command], capture_output=True, check=True).stdout


def address() -> str:
    """The IP address by which this machine reaches the container."""
    found = docker("inspect", "-f", "{{range .NetworkSettings.Networks}}{{.IPAddress}} {{end}}", NAME).split()
    if not found:
        raise DemoError(f"{NAME} has no address on a Docker network")
    return found[0]


def remove() -> bool:
    """Remove the container; say whether there was one."""
    if state() == "absent":
        return False
    docker("rm", "--force", "--volumes", NAME)
    return True
