# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Another program, started without a shell, that does not outlive the work that it is for."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping, Sequence
from typing import Any

#: file_actions of posix_spawn(3), as os.posix_spawn takes them.
Actions = Sequence[tuple[Any, ...]]


def run(command: list[str], environment: Mapping[str, str], actions: Actions) -> int:
    """Run it and return its status as waitpid(2) has it. Raises OSError when it cannot be started."""
    child = os.posix_spawn(command[0], command, environment, file_actions=actions)
    try:
        _, status = os.waitpid(child, 0)
    except BaseException:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        raise
    return status
