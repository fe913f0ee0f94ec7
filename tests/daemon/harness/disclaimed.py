# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The disclaimer's engine without any program: a message in, plan and outcome out."""

from __future__ import annotations

import email
import re
from email.message import Message

from filterd.disclaimer.edits import apply
from filterd.disclaimer.plan import Plan, plan
from filterd.disclaimer.rows import Options, Row
from filterd.disclaimer.text import compile_text

WORDS = "Dies gehört zur Nachricht \u2013 vertraulich.\nMuster GmbH, Köln"
MARKUP = '<p class="d">Dies gehört zur <b>Nachricht</b> \u2013 vertraulich.<br>\nMuster GmbH, Köln</p>'
PLAIN = "This letter is confidential.\nExample Ltd"


def row(words: str = WORDS, markup: str = MARKUP) -> Row:
    """A row for everybody with these texts."""
    texts = []
    for source, html in ((words, False), (markup, True)):
        text, problems = compile_text(source.encode(), html)
        assert not problems
        texts.append(text if source else None)
    return Row((), (), *texts)


BOTH = row()


def change(content: bytes, which: Row = BOTH, step: int = 0, **options: object) -> tuple[Plan, bytes]:
    """Plan and outcome; the content comes in pieces of `step` bytes."""
    pieces = [content[at : at + step] for at in range(0, len(content), step)] if step else [content]
    found = plan(pieces, which, Options(**options), "anna@example.com", 0.0)
    outcome = b"".join(apply(found.edits, pieces))
    assert len(outcome) == len(content) + found.growth
    if not found.edits:
        assert found.reason
        assert outcome == content
    else:
        head = re.split(rb"\r?\n\r?\n", outcome, maxsplit=1)[0]
        assert found.header == head
    return found, outcome


def parts(content: bytes) -> list[Message]:
    """All parts, by the standard library."""
    return list(email.message_from_bytes(content).walk())


def text_of(part: Message) -> str:
    """The decoded text of a part."""
    return part.get_payload(decode=True).decode(part.get_content_charset() or "us-ascii")


def only_text(content: bytes) -> str:
    """The text of the only part that has one."""
    return text_of(next(part for part in parts(content) if part.get_content_maintype() == "text"))


def reason(content: bytes, **options: object) -> str:
    """Why the message is left alone; empty when it is not."""
    return change(content, **options)[0].reason
