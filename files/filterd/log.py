# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Log lines to standard error, one event a line; systemd adds time, host and unit."""

from __future__ import annotations

import os
import select
import sys
import time

from .smtp.reply import printable

_UNDER_SYSTEMD = "JOURNAL_STREAM" in os.environ
_LEVELS = {"error": 3, "warning": 4, "info": 6, "debug": 7}
_threshold = _LEVELS["info"]
#: Bytes that a pipe takes at once when it is ready at all (PIPE_BUF).
_PIECE = 4096
#: Milliseconds that a line waits for a reader that hangs; after that lines are lost until it reads on, but no mail is.
_PATIENCE = 200
_lost = 0


def set_level(level: str) -> None:
    """The least important level that is written: error, warning, info or debug."""
    global _threshold  # noqa: PLW0603  (one process, one log)
    _threshold = _LEVELS[level]


def _write(level: str, text: str) -> None:
    global _lost  # noqa: PLW0603  (one process, one log)
    if _LEVELS[level] > _threshold:
        return
    if _lost and _put(_line("warning", f"{_lost} log lines were lost because nobody read them"), 0):
        _lost = 0
    if _lost or not _put(_line(level, text), _PATIENCE):
        _lost += 1


def _line(level: str, text: str) -> bytes:
    # Mail content must not be able to forge log lines.
    line = printable(text)
    if _UNDER_SYSTEMD:
        line = f"<{_LEVELS[level]}>{line}\n"
    else:
        line = f"{time.strftime('%Y-%m-%dT%H:%M:%S')} filter-daemon[{os.getpid()}] {level}: {line}\n"
    return line.encode("ascii", "replace")


def _put(line: bytes, patience: int) -> bool:
    """Write a line to a reader that is ready within so many milliseconds; False when it is lost."""
    try:
        for start in range(0, len(line), _PIECE):
            if not _ready(patience):
                return False
            os.write(2, line[start : start + _PIECE])
    except OSError:
        pass  # nothing can be said about not being able to speak; mail goes on
    return True


def _ready(milliseconds: int) -> bool:
    poll = select.poll()
    poll.register(2, select.POLLOUT)
    return bool(poll.poll(milliseconds))


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
