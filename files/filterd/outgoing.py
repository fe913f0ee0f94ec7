# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Disclaimers in the daemon: which mail is outgoing, and what becomes of its content."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Optional

from . import log
from .access import inside, took
from .config import Config
from .disclaimer import load
from .disclaimer.edits import Edit, apply
from .disclaimer.outline import Outline
from .disclaimer.plan import Plan, planned, sender_address
from .disclaimer.rows import Options, Row, choose
from .message import Message
from .values import Address

#: Bytes of content after which others get their turn, and of text that are worked on in a thread.
_TURN = 524288
_THREAD = 16384


class Edited:
    """Changed content that can be read again from its beginning."""

    def __init__(self, edits: Sequence[Edit], content: Iterable[bytes]) -> None:
        self._edits = edits
        self._content = content

    def __iter__(self) -> Iterator[bytes]:
        return apply(self._edits, self._content)


class Outgoing:
    """The disclaimers of one worker."""

    def __init__(self, config: Config, loop: asyncio.AbstractEventLoop) -> None:
        self._config = config
        self._loop = loop
        self._options = Options(
            config.own_name,
            load.header(config.disclaimer_header) or ("", ""),
            config.disclaimer_without_text,
            config.disclaimer_skip_lists,
            config.disclaimer_text_limit,
        )

    def by_text(self, message: Message, numbers: list[int]) -> list[tuple[Optional[Row], list[int]]]:
        """The recipients (by their numbers) in groups that get the same text, or none."""
        if not self._config.disclaimers or not self._is_outgoing(message.client, message.listen):
            return [(None, numbers)]
        envelope = message.envelope
        sender = sender_address(envelope.sender)
        groups: dict[Optional[Row], list[int]] = {}
        for number in numbers:
            recipient = sender_address(envelope.recipients[number].address)
            groups.setdefault(choose(self._config.disclaimers, sender, recipient), []).append(number)
        return list(groups.items())

    def _is_outgoing(self, client: str, listen: Optional[Address]) -> bool:
        config = self._config
        return any(took(address, listen) for address in config.disclaimer_listen) or inside(
            client, config.disclaimer_clients
        )

    async def plan(self, message: Message, row: Row, content: Iterable[bytes]) -> Plan:
        """What becomes of the content. Raises ScratchFull when it cannot be read."""
        outline = Outline(self._options.text_limit)
        turn = 0
        for piece in content:
            outline.feed(piece)
            turn += len(piece)
            if turn >= _TURN:
                turn = 0
                await asyncio.sleep(0)
        arguments = (outline, row, self._options, message.envelope.sender, time.time())
        if outline.text_size > _THREAD:
            found = await self._loop.run_in_executor(None, planned, *arguments)
        else:
            found = planned(*arguments)
        if found.reason:
            log.info(f"message id={message.id} gets no disclaimer: {found.reason}")
        return found
