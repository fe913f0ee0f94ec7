# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The engine of this package as the program that the pipe(8) filter runs."""

from __future__ import annotations

from .edits import apply
from .files import Spool
from .outline import Outline
from .plan import planned
from .rows import Options, Row


class Bundled:
    """Adds the text to a message in a file."""

    def __init__(self, directory: str, options: Options) -> None:
        self._directory = directory
        self._options = options

    def add(self, outline: Outline, spool: Spool, row: Row, sender: str, now: float) -> Spool:
        """The message with the text, or the same one when it is left as it is. Raises Trouble."""
        found = planned(outline, row, self._options, sender, now)
        if not found.edits:
            return spool
        changed = Spool(self._directory)
        changed.write(apply(found.edits, spool.chunks()))
        return changed
