#!/usr/bin/env python3
# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The content-filter daemon of mailops.filter_stack: finds its package beside itself and calls the command line."""

import os
import sys

if sys.version_info < (3, 9):  # noqa: UP036  (said here, because an older parser fails on the package)
    sys.exit("filter_daemon.py: Python 3.9 or newer is needed, this is " + sys.version.split()[0])

# The code directory belongs to root: who puts the code there compiles it, and no run by root leaves anything in it.
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))

from filterd.cli import main  # noqa: E402  (the path must be set first)

if __name__ == "__main__":
    sys.exit(main())
