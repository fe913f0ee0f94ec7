# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The clients of one worker process: what their sessions share, and limits on their number."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from .admission import Admission
from .config import Config
from .content.rules import Rules
from .pipeline import Pipeline
from .reinjection import Reinjection
from .scratch import MemoryAccount, head_limit
from .session import STOPPING, Session
from .smtp.inbound import Limits
from .smtp.reply import Reply

#: Bytes that are read from a client at a time. More do not stay in the processor's cache while they are looked at.
_READ = 131072
_EVICTED = Reply(421, "4.3.2", "Error: too many connections, idle ones are closed")


class Worker:
    """What all sessions of one worker process share."""

    def __init__(
        self,
        config: Config,
        pipeline: Pipeline,
        reinjection: Reinjection,
        admission: Admission,
        loop: asyncio.AbstractEventLoop,
        max_connections: int,
    ) -> None:
        self.config = config
        self.pipeline = pipeline
        self.reinjection = reinjection
        self.admission = admission
        self.loop = loop
        self.max_connections = max_connections
        self.memory = MemoryAccount(config.memory_total)
        self.received = memoryview(bytearray(_READ))  # from whichever session reads
        self.hostname = config.own_name
        self.limits = Limits(config.message_size_limit, config.max_recipients, errors=config.max_errors)
        self.head_limit = head_limit(config.memory_per_message, config.message_size_limit, config.per_message_budget)
        self.rules = Rules.of(config, decode_all=not config.attachments_are_scanned)
        self.sessions: dict[Session, None] = {}  # in the order in which they became idle
        self.stopping = False
        self.patience = float("inf")  # seconds of silence that are borne, where the configuration allows more
        self._tasks: set[asyncio.Task[Any]] = set()

    def session(self) -> Session:
        """A session for a new connection."""
        return Session(self)

    def start(self, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run a coroutine and keep a reference to it: the loop alone does not."""
        task = self.loop.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def make_room(self) -> None:
        """Close the session that has been silent longest when there are too many."""
        if len(self.sessions) <= self.max_connections:
            return
        *others, newest = self.sessions
        for harmless in (Session.is_over, Session.is_idle, Session.is_incomplete):
            for session in others:
                if harmless(session):
                    session.end(_EVICTED)
                    return
        # All of them wait for their answer: the newest has to try again later.
        newest.end(_EVICTED)

    def sweep(self) -> None:
        """Once a second: close what has been silent for too long."""
        now = self.loop.time()
        for session in [session for session in self.sessions if session.expires <= now]:
            session.expire()

    def stop(self) -> None:
        """Take nothing new; what is under way is finished."""
        self.stopping = True
        for session in list(self.sessions):
            session.stop()

    def lose_patience(self) -> None:
        """Clients wait for the next start of the service: do not let a silent one keep them waiting."""
        self.patience = self.config.stop_silence
        end = self.loop.time() + self.patience
        for session in self.sessions:
            session.expires = min(session.expires, end)

    def hurry(self) -> None:
        """About once a second while messages wait for a place: those that come too slowly give theirs up."""
        for session in list(self.sessions):
            session.hurry()

    async def abandon(self) -> None:
        """Time is up: close everything. Clients without an answer will send again."""
        for session in list(self.sessions):
            session.end(STOPPING)
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=1)

    @property
    def idle(self) -> bool:
        """Whether no message is under way."""
        return not self._tasks and not self.sessions
