# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A message as scanners see it, without a daemon around it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from filterd.content.analysis import Analysis
from filterd.scratch import Budget
from filterd.smtp.esmtp import Envelope, Recipient

#: As in the daemon: pieces of a message come in this size.
PIECE = 65536


class Message:
    """Content with an envelope. The budget is generous unless it is given."""

    def __init__(
        self,
        content: bytes,
        budget: int = 1 << 30,
        sender: str = "alice@example.com",
        recipients: Iterable[str] = ("bob@example.com",),
        xforward: dict[str, str] | None = None,
        client: str = "192.0.2.1",
    ) -> None:
        self.id = "0123456789"
        self.envelope = Envelope(sender, {}, [Recipient(item, {}) for item in recipients], xforward or {}, True, "c")
        self.client = client
        self.size = len(content)
        self.budget = Budget(budget)
        self._content = content
        self._analysis = Analysis()
        for piece in self.content():
            self._analysis.feed(piece)
        self._analysis.finish()

    def content(self) -> Iterable[bytes]:
        """The whole message, any number of times."""
        return [self._content[start : start + PIECE] for start in range(0, len(self._content), PIECE)]

    def streams(self, mode: str) -> Iterator[Iterable[bytes]]:
        """As the pipeline gives them."""
        return self._analysis.streams(mode, self.content(), self.size)
