# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The pipe(8) program: a message comes on standard input, gets its disclaimer, and goes on by sendmail(1).

Exit status (sysexits.h): 0 when sendmail has taken the message, else 75, so that it stays in Postfix' queue: no failure
of a disclaimer is a reason to return mail. What is under way is in files without a name, which the kernel frees however
the program ends, and sendmail reads a complete file, so that it never takes half a message for a whole one.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from types import FrameType
from typing import NamedTuple, NoReturn, Optional

from . import process, settings
from .files import Spool, Trouble
from .outline import Outline
from .plan import received_from, sender_address
from .rows import Row, choose
from .settings import Settings

EX_TEMPFAIL = 75
DEFAULT_CONFIG = "/etc/postfix/filter/disclaimer.json"
#: So often the message has been through here when it is in a loop; once is as it should be.
_ROUNDS = 3


class Arguments(NamedTuple):
    """The command line."""

    config: str
    sender: str
    recipients: tuple[str, ...]


def _check(words: list[str]) -> None:
    """`--check [--config FILE]`: the configuration, the texts and the working directory. Raises Trouble."""
    config = words[words.index("--config") + 1] if words[:1] == ["--config"] and len(words) == 2 else DEFAULT_CONFIG
    options = settings.load(config)
    with Spool(options.directory) as spool:
        spool.write([b"x"])
    from . import private  # noqa: PLC0415  (mail that the bundled program gets needs it not)

    # What alterMIME has left there, whichever program it is now.
    private.sweep(options.directory)
    if not os.access(options.sendmail, os.X_OK):
        raise Trouble(f"{options.sendmail}: cannot be run")


def arguments(words: list[str]) -> Arguments:
    """`[--config FILE] -f SENDER -- RECIPIENT...` Raises Trouble."""
    config, sender = DEFAULT_CONFIG, None
    words = list(words)
    while words and words[0] != "--":
        option = words.pop(0)
        if option not in ("-f", "--config") or not words:
            raise Trouble(f"usage: add_disclaimer [--config FILE] -f SENDER -- RECIPIENT..., not {option!r}")
        value = words.pop(0)
        config, sender = (value, sender) if option == "--config" else (config, value)
    if sender is None or len(words) < 2:
        raise Trouble("usage: add_disclaimer [--config FILE] -f SENDER -- RECIPIENT...")
    return Arguments(config, "" if sender == "<>" else sender, tuple(words[1:]))


def main(words: list[str], began: float) -> int:
    """Run; never raises. `began`: seconds since 1970."""
    parent = os.getppid()
    try:
        os.umask(0o077)
        if words[:1] == ["--check"]:
            _check(words[1:])
            return 0
        given = arguments(words)
        options = settings.load(given.config)
        signal.signal(signal.SIGALRM, _too_late)
        signal.alarm(options.timeout)
        with Spool(options.directory) as spool:
            spool.fill(sys.stdin.fileno())
            _hand_on(given, options, spool, parent, began)
    except Trouble as trouble:
        return _fail(str(trouble))
    except BaseException as error:
        return _fail(f"{type(error).__name__}: {error}")
    return 0


def _fail(words: str) -> int:
    # pipe(8) puts the last lines of this into the log and into the queue file.
    text = "".join(character if " " <= character <= "~" else "?" for character in words)
    with contextlib.suppress(OSError):
        os.write(2, f"add_disclaimer: {text[:500]}\n".encode("ascii"))
    return EX_TEMPFAIL


def _too_late(_signal: int, _frame: Optional[FrameType]) -> NoReturn:
    raise Trouble("took too long")


def _hand_on(given: Arguments, options: Settings, spool: Spool, parent: int, began: float) -> None:
    outline = Outline(options.engine.text_limit)
    for piece in spool.chunks():
        outline.feed(piece)
    if received_from(outline, os.getuid()) >= _ROUNDS:
        raise Trouble("the message comes here again and again: content_filter leads from sendmail back to this program")
    groups: dict[Optional[Row], list[str]] = {}
    sender = sender_address(given.sender)
    for recipient in given.recipients:
        groups.setdefault(choose(options.rows, sender, sender_address(recipient)), []).append(recipient)
    # All versions are there before the first one leaves: what fails then fails for everybody.
    versions = [
        (options.program(outline, spool, row, sender, began) if row else spool, who) for row, who in groups.items()
    ]
    for version, who in versions:
        if os.getppid() != parent or parent == 1:
            raise Trouble("pipe(8) is gone: the message may not be complete")
        _send(options, version, given.sender, who)


def _send(options: Settings, spool: Spool, sender: str, recipients: list[str]) -> None:
    """Give it to sendmail(1); -G: it is not new mail, -i: a line with one dot does not end it."""
    command = [options.sendmail, "-G", "-i"]
    if not spool.ascii:
        command.append("-B8BITMIME")
    command += ["-f", sender or "<>", "--", *recipients]
    os.lseek(spool.descriptor, 0, os.SEEK_SET)
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"}
    status = process.run(command, environment, [(os.POSIX_SPAWN_DUP2, spool.descriptor, 0)])
    if status:
        raise Trouble(f"{options.sendmail} ended with {_describe(status)}")


def _describe(status: int) -> str:
    if os.WIFSIGNALED(status):
        return f"signal {os.WTERMSIG(status)}"
    return f"exit status {os.WEXITSTATUS(status)}"
