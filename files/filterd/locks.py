# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether somebody works on a file or directory: who does holds a lock on it (flock(2)) for as long as it runs."""

from __future__ import annotations

import fcntl
import os


def is_locked(path: str) -> bool:
    """Whether somebody holds a lock on it. True also when that cannot be told. Raises OSError: it cannot be opened."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False
