# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""alterMIME as the program that the pipe(8) filter runs, with its failures noticed.

alterMIME 0.3.10 exits 0 whatever happens, ends with a signal when a text is missing, and works on a file with a name:
so it gets a private directory, which a guardian removes however this program ends, and what it made is compared.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import time
from collections.abc import Iterator

from .eligible import Left
from .fields import Irregular
from .files import Spool, Trouble
from .outline import Outline, TooLarge
from .plan import chosen, texts_of
from .rows import MARK, Options, Row
from .verify import damage

_TRIES = 100
#: Bytes that it may add besides the texts: two header fields, line ends.
_HEADERS = 4096


class Altermime:
    """Adds the text to a message in a file."""

    def __init__(self, command: str, directory: str, options: Options, pass_damaged: bool) -> None:
        """`pass_damaged`: what alterMIME would damage goes on without a disclaimer, instead of staying in the queue."""
        self._command = command
        self._directory = directory
        self._options = options
        self._pass_damaged = pass_damaged

    def add(self, outline: Outline, spool: Spool, row: Row, sender: str, now: float) -> Spool:
        """The message with the text, or the same one when it is left as it is. Raises Trouble."""
        try:
            root, choice = chosen(outline, row, self._options)
            parts = len(choice.parts)
            if not parts:
                return spool
            words, page = texts_of(root, row, sender, now)
        except (Left, Irregular, TooLarge):
            return spool
        changed = self._run(spool, words, page)
        wrong = damage(outline, spool, changed, _HEADERS + parts * 4 * (len(words) + len(page)))
        if not wrong:
            return changed
        if self._pass_damaged:
            return spool
        raise Trouble(f"{self._command} damaged the message: {wrong}")

    def _run(self, spool: Spool, words: str, page: str) -> Spool:
        try:
            directory = os.path.join(self._directory, "altermime." + secrets.token_hex(8))
            guard = _guardian(directory)
            try:
                os.mkdir(directory, 0o700)
                return self._run_in(directory, spool, words, page)
            finally:
                shutil.rmtree(directory, ignore_errors=True)
                os.close(guard)
        except OSError as error:
            raise Trouble(f"{error.filename or self._directory}: {error.strerror}") from None

    def _run_in(self, directory: str, spool: Spool, words: str, page: str) -> Spool:
        paths = [os.path.join(directory, name) for name in ("message", "text", "html")]
        for path, pieces in zip(paths, (spool.chunks(), [words.encode() + b"\n"], [page.encode() + b"\n"])):
            with open(path, "wb") as file:
                file.writelines(pieces)
        command = [self._command, f"--input={paths[0]}", f"--disclaimer={paths[1]}", f"--disclaimer-html={paths[2]}"]
        for name, value in ((MARK, f"added by filter-stack at {self._options.hostname}"), self._options.header):
            if name:
                command.append(f"--xheader={name}: {value}")
        quiet = (os.POSIX_SPAWN_OPEN, 1, "/dev/null", os.O_WRONLY, 0)
        environment = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TMPDIR": directory, "TMP": directory}
        child = os.posix_spawn(self._command, command, environment, file_actions=[quiet])
        try:
            _, status = os.waitpid(child, 0)
        except BaseException:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            raise
        if status:
            raise Trouble(f"{self._command} ended with status {status}")
        changed = Spool(self._directory)
        with open(paths[0], "rb") as file:
            changed.write(iter(lambda: file.read(262144), b""))
        return changed


def _guardian(directory: str) -> int:
    """A process that removes the directory when the returned descriptor is closed, by the death of this one too."""
    reading, writing = os.pipe()
    child = os.fork()
    if child:
        os.close(reading)
        return writing
    try:
        os.setsid()
        os.close(writing)
        signal.alarm(0)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        for descriptor in _others(reading):
            os.close(descriptor)
        os.read(reading, 1)
        for _ in range(_TRIES):
            shutil.rmtree(directory, ignore_errors=True)
            if not os.path.exists(directory):
                break
            time.sleep(0.1)  # alterMIME may still be writing into it
    finally:
        os._exit(0)


def _others(keep: int) -> Iterator[int]:
    for name in os.listdir("/proc/self/fd"):
        if int(name) not in (keep,) and os.path.exists(f"/proc/self/fd/{name}"):
            yield int(name)
