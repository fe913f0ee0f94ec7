# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""alterMIME as the program that the pipe(8) filter runs, with its failures noticed.

alterMIME 0.3.10 exits 0 whatever happens, ends with a signal when a text is missing, and works on a file with a name:
so it gets a private directory (private.py), and what it made is compared.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from . import header_edits, private, process
from .edits import apply
from .eligible import Left
from .fields import Irregular
from .files import Spool, Trouble
from .outline import Outline, Part, TooLarge
from .plan import chosen, field_lines, texts_of
from .rows import Options, Row
from .verify import damage

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
        changed = self._run(self._marked(root, spool), words, page)
        wrong = damage(outline, spool, changed, _HEADERS + parts * 4 * (len(words) + len(page)))
        if not wrong:
            return changed
        if self._pass_damaged:
            return spool
        raise Trouble(f"{self._command} damaged the message: {wrong}")

    def _marked(self, root: Part, spool: Spool) -> Iterator[bytes]:
        """The message with the header fields, of which alterMIME adds one at most."""
        lines = field_lines(self._options)
        return apply(header_edits.add_first(root, lines, b"\n"), spool.chunks())

    def _run(self, content: Iterator[bytes], words: str, page: str) -> Spool:
        try:
            with private.directory(self._directory) as directory:
                return self._run_in(directory, content, words, page)
        except OSError as error:
            raise Trouble(f"{error.filename or self._directory}: {error.strerror}") from None

    def _run_in(self, directory: str, content: Iterator[bytes], words: str, page: str) -> Spool:
        paths = [os.path.join(directory, name) for name in ("message", "text", "html")]
        for path, pieces in zip(paths, (content, [words.encode() + b"\n"], [page.encode() + b"\n"])):
            with open(path, "wb") as file:
                file.writelines(pieces)
        command = [self._command, f"--input={paths[0]}", f"--disclaimer={paths[1]}", f"--disclaimer-html={paths[2]}"]
        quiet = (os.POSIX_SPAWN_OPEN, 1, "/dev/null", os.O_WRONLY, 0)
        environment = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TMPDIR": directory, "TMP": directory}
        status = process.run(command, environment, [quiet])
        if status:
            raise Trouble(f"{self._command} ended with status {status}")
        changed = Spool(self._directory)
        with open(paths[0], "rb") as file:
            changed.write(iter(lambda: file.read(262144), b""))
        return changed
