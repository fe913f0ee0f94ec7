#!/usr/bin/python3 -I
# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Removes amavisd-new's stale scratch directories: those that are old and that no process uses.

Each of amavisd-new's processes keeps one directory (amavis-DATE-PID-RANDOM) for as long as it lives, with an open file
in it, however old it gets. What is left behind when one is killed belongs to nobody, and only that is removed.
"""

from __future__ import annotations

import argparse
import os
import shutil
import stat
import sys
import time

PREFIX = "amavis-"


class CannotTell(Exception):
    """A process of this user could not be looked at, so that nothing can be called unused."""


def effective_user(process: str) -> int:
    """The user that a process runs as, from its directory in /proc; that directory may belong to root all the same."""
    with open(os.path.join(process, "status"), encoding="ascii", errors="replace") as file:
        for line in file:
            if line.startswith("Uid:"):
                return int(line.split()[2])
    raise CannotTell(f"{process}/status names no user")


def in_use(processes: str = "/proc") -> set[str]:
    """Every path that a process of this user has as its working directory, or has open.

    Raises CannotTell when one of them cannot be looked at. Processes of other users have nothing of ours open: they may
    not write here.
    """
    paths: set[str] = set()
    for name in os.listdir(processes):
        if not name.isdigit():
            continue
        process = os.path.join(processes, name)
        try:
            if effective_user(process) != os.geteuid():
                continue
            links = [os.path.join(process, "cwd")]
            links += [os.path.join(process, "fd", number) for number in os.listdir(os.path.join(process, "fd"))]
        except (FileNotFoundError, ProcessLookupError):
            # it has ended
            continue
        except PermissionError as error:
            raise CannotTell(f"process {name} could not be looked at: {error}") from None
        for link in links:
            try:
                paths.add(os.readlink(link))
            except (FileNotFoundError, ProcessLookupError):
                continue
            except PermissionError as error:
                raise CannotTell(f"process {name} could not be looked at: {error}") from None
    return paths


def youngest(directory: str) -> float:
    """When anything in a directory was last changed, in seconds since the epoch."""
    times = [os.lstat(directory).st_mtime]
    for parent, directories, files in os.walk(directory):
        for name in (*directories, *files):
            try:
                times.append(os.lstat(os.path.join(parent, name)).st_mtime)
            except FileNotFoundError:
                continue
    return max(times)


def stale(scratch: str, older_than: float, now: float) -> list[str]:
    """The directories in `scratch` that may go: older than `older_than` seconds, and used by nobody."""
    old = []
    for entry in sorted(os.listdir(scratch)):
        path = os.path.join(scratch, entry)
        try:
            # a link is never followed, and never ours
            ours = entry.startswith(PREFIX) and stat.S_ISDIR(os.lstat(path).st_mode)
            if ours and now - youngest(path) > older_than:
                old.append(path)
        except FileNotFoundError:
            continue
    if not old:
        return []
    # Looked at last: a directory is used from its beginning on or never, so one that nobody uses now stays unused.
    used = in_use()
    return [path for path in old if not any(item == path or item.startswith(path + "/") for item in used)]


def main() -> int:
    parser = argparse.ArgumentParser(description="Removes amavisd-new's stale scratch directories.")
    parser.add_argument("--directory", default="/var/spool/vscan", help="where they are (default: %(default)s)")
    parser.add_argument(
        "--older-than", type=float, default=86400, metavar="SECONDS", help="least age (default: %(default)s)"
    )
    options = parser.parse_args()
    failed = 0
    try:
        for path in stale(options.directory, options.older_than, time.time()):
            try:
                shutil.rmtree(path)
                print(f"removed {path}")
            except OSError as error:
                failed = 1
                print(f"{path} could not be removed: {error}", file=sys.stderr)
    except (CannotTell, OSError) as error:
        print(f"nothing removed: {error}", file=sys.stderr)
        return 1
    return failed


if __name__ == "__main__":
    sys.exit(main())
