# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Python that the daemon runs on: one, or of several one for each test."""

from __future__ import annotations

import os
import sys
import zlib


def interpreter() -> str:
    """The path of the interpreter for the test that runs now, always the same one for a test.

    ``FILTER_DAEMON_PYTHON`` names one, or several with colons between them, over which the tests are spread by their
    names; without it, the daemon runs on what the tests run on.
    """
    paths = os.environ.get("FILTER_DAEMON_PYTHON", sys.executable).split(":")
    # pytest has the test's name in it, and behind a blank what it is doing with it
    test = os.environ.get("PYTEST_CURRENT_TEST", "").rpartition(" ")[0]
    return paths[zlib.crc32(test.encode()) % len(paths)]
