# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sending what the filter itself writes, bounces and notices, while the client still waits."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from . import log, quarantine
from .config import Config
from .findings import Finding
from .message import Message
from .reinjection import Reinjection
from .smtp.esmtp import Envelope


class Store:
    """The quarantine as the pipeline uses it: in a thread, since synchronising a disk takes its time."""

    def __init__(self, config: Config, loop: asyncio.AbstractEventLoop) -> None:
        self._directory = config.quarantine_directory
        self._reserve = config.quarantine_reserve
        self._loop = loop

    async def keep(
        self,
        message_id: str,
        envelope: Envelope,
        findings: list[Finding],
        content: Iterable[bytes],
        size: int,
        peer: str,
    ) -> str:
        """The quarantine id, once it is on disk. Raises OSError."""
        details = (message_id, envelope, findings, content, self._reserve, size, peer)
        work = self._loop.run_in_executor(None, quarantine.store, self._directory, *details)
        try:
            return await asyncio.shield(work)
        except asyncio.CancelledError:
            # The content must stay where it is until the thread has read it.
            await asyncio.wait([work])
            raise

    def forget(self, quarantine_id: str) -> None:
        """Remove what was kept for a message that its client will send again."""
        try:
            quarantine.delete(quarantine.find(self._directory, quarantine_id))
        except (OSError, quarantine.QuarantineError) as error:
            log.error(f"{quarantine_id}: a copy too many is left in quarantine: {error}")


class Reports:
    """Hands our own messages to Postfix."""

    def __init__(self, reinjection: Reinjection, store: Store, loop: asyncio.AbstractEventLoop) -> None:
        self._reinjection = reinjection
        self._store = store
        self._loop = loop

    async def bounce(self, message: Message, envelope: Envelope, content: bytes) -> None:
        """Send a bounce, or keep it where somebody finds it. Raises OSError."""
        words = await self._send(message, envelope, content)
        if words:
            findings = [Finding(quarantine.UNDELIVERED_BOUNCE, words, "filter")]
            name, size = message.id + "bounce", len(content)
            quarantine_id = await self._store.keep(name, envelope, findings, [content], size, message.peer)
            log.error(
                f"message id={message.id} no bounce could be sent ({words}): kept in quarantine as {quarantine_id}"
            )

    async def notice(self, message: Message, envelope: Envelope, content: bytes) -> None:
        """Send a notice; when that fails, the log has to do."""
        words = await self._send(message, envelope, content)
        if words:
            log.error(f"message id={message.id} no notice could be sent to {envelope.recipients[0].address}: {words}")

    async def _send(self, message: Message, envelope: Envelope, content: bytes) -> str:
        """Empty when Postfix has taken it before the client's patience ends, else why not."""
        patience = max(0.0, message.timing.deadline - self._loop.time()) / 2
        sending = self._reinjection.of(message.peer).deliver(envelope, [content], len(content), lambda: True)
        try:
            answer = (await asyncio.wait_for(sending, patience))[0]
            return "" if answer.positive else answer.brief()
        except asyncio.TimeoutError:
            return f"no answer within {patience:.1f} s"
