# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Log lines to standard error, one event a line; systemd adds time, host and unit."""

from __future__ import annotations

import contextlib
import os
import sys
import time

from .smtp.reply import printable

_UNDER_SYSTEMD = "JOURNAL_STREAM" in os.environ
_LEVELS = {"error": 3, "warning": 4, "info": 6, "debug": 7}
_threshold = _LEVELS["info"]


def set_level(level: str) -> None:
    """The least important level that is written: error, warning, info or debug."""
    global _threshold  # noqa: PLW0603  (one process, one log)
    _threshold = _LEVELS[level]


def _write(level: str, text: str) -> None:
    if _LEVELS[level] > _threshold:
        return
    # Mail content must not be able to forge log lines.
    line = printable(text)
    if _UNDER_SYSTEMD:
        line = f"<{_LEVELS[level]}>{line}\n"
    else:
        line = f"{time.strftime('%Y-%m-%dT%H:%M:%S')} filter-daemon[{os.getpid()}] {level}: {line}\n"
    # Nothing can be said about not being able to speak; mail goes on.
    with contextlib.suppress(OSError):
        os.write(2, line.encode("ascii", "replace"))


def error(text: str) -> None:
    """Something failed that an administrator must see to."""
    _write("error", text)


def warning(text: str) -> None:
    """Something went wrong and was dealt with, or will go wrong."""
    _write("warning", text)


def info(text: str) -> None:
    """What became of a message, and what the service does."""
    _write("info", text)


def debug(text: str) -> None:
    """Details for a search."""
    _write("debug", text)


def usage_error(text: str) -> None:
    """One plain line for the person who called the command."""
    sys.stderr.write(text.rstrip("\n") + "\n")
