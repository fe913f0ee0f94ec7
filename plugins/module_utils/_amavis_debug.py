# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A debug start of amavisd-new: a process that is ended at a line of its output, as ``run_command`` cannot."""

from __future__ import annotations

import contextlib
import os
import pwd
import signal
import subprocess
import threading
from typing import Any

from ansible_collections.mailops.filter_stack.plugins.module_utils import _amavis_report

#: How long it may take to end after SIGTERM, in seconds, before it is killed.
_PATIENCE = 10


def debug_start(command: list[str], directory: str, timeout: int, account: pwd.struct_passwd) -> tuple[list[str], bool]:
    """Run amavisd-new until it is ready or the time is over: its lines, and whether the time was over."""
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd=directory,
        # a group of its own: it forks, and all of it is to end
        start_new_session=True,
        text=True,
        encoding="utf-8",
        errors="replace",
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C", "HOME": directory},
        **becoming(account),
    )
    late = threading.Event()

    def end_late() -> None:
        late.set()
        end(process, signal.SIGKILL)

    watch = threading.Timer(timeout, end_late)
    watch.start()
    lines: list[str] = []
    ending: threading.Timer | None = None
    try:
        for line in process.stdout:
            lines.append(line)
            if _amavis_report.READY in line and ending is None:
                watch.cancel()
                end(process, signal.SIGTERM)
                ending = threading.Timer(_PATIENCE, end, (process, signal.SIGKILL))
                ending.start()
        process.wait()
    finally:
        watch.cancel()
        if ending is not None:
            ending.cancel()
        end(process, signal.SIGKILL)
    return lines, late.is_set()


def end(process: subprocess.Popen[str], number: int) -> None:
    """Send a signal to everything that the debug start has started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)


def becoming(account: pwd.struct_passwd) -> dict[str, Any]:
    """What subprocess needs to run a program as that user, with its groups."""
    if os.geteuid() == account.pw_uid:
        return {}
    groups = os.getgrouplist(account.pw_name, account.pw_gid)
    return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": groups}
