# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is decided beforehand: which text a sender's mail to a recipient gets, and what else is added."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, Optional

from ..patterns import matches
from .text import Text, normal

#: A message that has this field has its disclaimer.
MARK = "X-Filter-Disclaimer"


class Row(NamedTuple):
    """Texts, and whose mail gets them. A condition that is not given is met by all. Without texts: none is added."""

    senders: tuple[str, ...]  #: patterns in lower case; see patterns.py
    recipients: tuple[str, ...]
    text: Optional[Text]
    html: Optional[Text]

    @property
    def marks(self) -> tuple[str, ...]:
        """How mail is known that has one of the texts already."""
        marks = {item.mark for item in (self.text, self.html) if item is not None and item.mark}
        return tuple(sorted(normal(mark) for mark in marks))


class Options(NamedTuple):
    """What holds for all rows."""

    hostname: str = "localhost"  #: for the mark
    header: tuple[str, str] = ("", "")  #: name and value of one more field; an empty name: none
    without_text: bool = False  #: a message without text gets one
    skip_lists: bool = False  #: mail of mailing lists is left alone
    text_limit: int = 4194304  #: bytes of text in a message


def choose(rows: Iterable[Row], sender: str, recipient: str) -> Optional[Row]:
    """The first row that fits, if it has a text. Mail without sender (`<>`) is sent by programs and gets none."""
    for row in rows if sender else ():
        if (not row.senders or any(matches(pattern, sender) for pattern in row.senders)) and (
            not row.recipients or any(matches(pattern, recipient) for pattern in row.recipients)
        ):
            return row if row.text is not None or row.html is not None else None
    return None
