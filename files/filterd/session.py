# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One client connection: a thin shell around the protocol engine, with limits on time."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Optional

from . import log
from .access import plain
from .message import Message
from .pace import Pace
from .scratch import Budget, ScratchFull, Spool
from .smtp import esmtp
from .smtp.events import (
    Closing,
    Content,
    ContentEnds,
    ContentStarts,
    Event,
    GreetingNeeded,
    TransactionDropped,
)
from .smtp.inbound import InboundSession
from .smtp.reply import Reply
from .values import Address

if TYPE_CHECKING:
    from .net import Worker

#: Events handled before other sessions get their turn.
_TURN = 200
#: Bytes that may wait behind a message that is being scanned before reading stops.
_BACKLOG = 65536

_TOO_LATE = Reply(451, "4.3.0", "Error: the filter did not finish in time, try again later")
_BUSY = Reply(451, "4.3.2", "Error: the filter is busy, try again later")
_NO_SPACE = Reply(452, "4.3.1", "Error: the filter has no space for this message now, try again later")
_TOO_SLOW = Reply(451, "4.4.2", "Error: the message came too slowly while others waited, try again later")
_IDLE = Reply(421, "4.4.2", "Error: timeout exceeded")
#: What a client hears that must wait for the next start.
STOPPING = Reply(421, "4.3.2", "Service stops, try again later")


class Session(asyncio.BufferedProtocol):
    """One client connection."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._engine = InboundSession(worker.hostname, worker.limits)
        self._transport: Optional[asyncio.Transport] = None
        self._listen: Optional[Address] = None
        self._peer = ""
        self._message: Optional[Message] = None
        self._admitting: Optional[asyncio.Task[None]] = None
        self._handling: Optional[asyncio.Task[None]] = None
        self._timer: Optional[asyncio.TimerHandle] = None
        self._started = 0.0
        self._pace = Pace(worker.config.min_data_rate)
        self._paused = False
        self._blocked = False
        self._closing = False
        self._ended = False  # the client has closed its sending side
        self._turn_planned = False
        self.expires = worker.loop.time() + worker.config.command_timeout

    # What the transport tells

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        name = transport.get_extra_info("sockname")
        self._listen = Address(name[0], name[1]) if isinstance(name, tuple) else None
        peer = transport.get_extra_info("peername")
        self._peer = plain(peer[0]) if isinstance(peer, tuple) else ""
        self._reinjector = self._worker.reinjection.of(self._peer)
        self._worker.sessions[self] = None
        if self._worker.stopping:
            self.end(STOPPING)
            return
        self._flush()
        self._worker.make_room()

    def get_buffer(self, sizehint: int) -> memoryview:
        # One for all sessions: what is in it is taken out before the next one reads.
        return self._worker.received

    def buffer_updated(self, nbytes: int) -> None:
        self._engine.receive(self._worker.received[:nbytes])
        self._run()

    def eof_received(self) -> bool:
        if self._handling is not None and not self._engine.quit_follows():
            self._gone()
            return False
        # What came before the end is answered, then the connection is closed.
        self._ended = True
        self._plan_turn()
        return True

    def connection_lost(self, exc: Optional[Exception]) -> None:
        self._closing = True
        self._worker.sessions.pop(self, None)
        self._forget()

    def pause_writing(self) -> None:
        # A client that does not read its replies is not read either.
        self._blocked = True
        self._regulate()

    def resume_writing(self) -> None:
        self._blocked = False
        self._regulate()
        self._plan_turn()

    # What the worker tells

    def is_idle(self) -> bool:
        """Whether no transaction has been begun."""
        return not self._engine.in_transaction and not self._closing

    def is_over(self) -> bool:
        """Whether the last reply has been given, and the client has yet to take it."""
        return self._closing

    def is_incomplete(self) -> bool:
        """Whether the message, if there is one, has not come whole: the client will send it again."""
        return self._handling is None and not self._closing

    def end(self, reply: Reply) -> None:
        """Say goodbye and close; at once when goodbye has been said before."""
        if not self._closing:
            self._engine.shut_down(reply)
            self._close()
        elif self._transport is not None:
            self._transport.abort()

    def expire(self) -> None:
        """The client was silent for too long."""
        if self._handling is None:
            self.end(_IDLE)
        else:
            self.expires = float("inf")

    def hurry(self) -> None:
        """Others wait: keep the pace, or give the place up."""
        message = self._message
        if message is None or message.place is None or self._handling is not None:
            return
        slow = self._pace.too_slow(self._worker.loop.time(), message.spool.size)
        if slow:
            log.warning(f"message id={message.id} refused with 451: {slow}")
            self._drop()
            self._engine.refuse_content(_TOO_SLOW)

    def stop(self) -> None:
        """End as soon as nothing is under way."""
        if not self._engine.in_transaction:
            self.end(STOPPING)

    # The turn of this session

    def _run(self) -> None:
        for _ in range(_TURN):
            if self._closing or self._blocked or self._admitting is not None:
                break
            event = self._engine.next_event()
            if event is None:
                break
            self._handle(event)
        else:
            self._plan_turn()
        self._touch()
        self._flush()
        self._regulate()
        if self._ended and not self._busy:
            self._close()

    def _plan_turn(self) -> None:
        if not self._turn_planned:
            self._turn_planned = True
            self._worker.loop.call_soon(self._next_turn)

    def _next_turn(self) -> None:
        self._turn_planned = False
        self._run()

    @property
    def _busy(self) -> bool:
        """Whether something is still to be done about what has come so far."""
        return self._blocked or self._turn_planned or self._admitting is not None or self._engine.waiting

    def _touch(self) -> None:
        if self._closing:
            return
        config = self._worker.config
        now = self._worker.loop.time()
        if self._handling is not None:
            self.expires = float("inf")
        elif self._message is not None or self._engine.in_data:
            silence = min(config.data_timeout, self._worker.patience)
            self.expires = min(now + silence, self._started + config.message_receive_timeout)
        else:
            self.expires = now + min(config.command_timeout, self._worker.patience)
        if self in self._worker.sessions:
            # To the end of the row: the first one is the one that is idle longest.
            del self._worker.sessions[self]
            self._worker.sessions[self] = None

    def _regulate(self) -> None:
        if self._transport is None or self._ended or self._transport.is_closing():
            return
        pause = (self._busy and self._engine.buffered > _BACKLOG) or self._admitting is not None
        if pause != self._paused:
            self._paused = pause
            if pause:
                self._transport.pause_reading()
            else:
                self._transport.resume_reading()

    def _flush(self) -> None:
        data = self._engine.take_output()
        if data and self._transport is not None:
            self._transport.write(data)

    def _close(self) -> None:
        if self._closing:
            return
        self._flush()
        self._closing = True
        self.expires = self._worker.loop.time() + self._worker.config.farewell_timeout
        self._forget()
        if self._transport is not None:
            self._transport.close()

    # Events

    def _handle(self, event: Event) -> None:
        if isinstance(event, Content):
            self._content(event.data)
        elif isinstance(event, GreetingNeeded):
            self._greet()
        elif isinstance(event, ContentStarts):
            worker = self._worker
            budget = Budget(worker.config.per_message_budget)
            spool = Spool(worker.config.scratch_directory, worker.head_limit, worker.memory, budget)
            self._message = Message(event.envelope, spool, worker.rules, self._peer, self._listen)
            self._started = worker.loop.time()
            self._pace = Pace(worker.config.min_data_rate)
            if worker.memory.used >= worker.memory.limit:
                # Not even the first piece is read before it has a place to go.
                self._admitting = worker.start(self._admit_large(self._message, b""))
        elif isinstance(event, ContentEnds):
            self._content_ends(event)
        elif isinstance(event, TransactionDropped):
            self._drop()
        elif isinstance(event, Closing):
            self._close()

    def _greet(self) -> None:
        known = self._reinjector.known_extensions()
        if known is not None:
            self._announce(known)
        else:
            self._worker.start(self._ask_extensions())

    async def _ask_extensions(self) -> None:
        extensions = await self._reinjector.extensions()
        if not self._closing and self._engine.waiting:
            self._announce(extensions)
            self._run()

    def _announce(self, extensions: esmtp.Extensions) -> None:
        self._engine.greet(esmtp.announced(extensions, self._worker.config.message_size_limit))

    def _content(self, data: bytes) -> None:
        message = self._message
        if message is None:
            return
        if message.place is None and message.spool.wants_scratch(len(data)):
            self._admitting = self._worker.start(self._admit_large(message, data))
            return
        self._append(message, data)

    def _append(self, message: Message, data: bytes) -> None:
        try:
            message.spool.append(data)
        except ScratchFull as full:
            log.error(f"message id={message.id} refused with 452: {full}")
            self._drop()
            self._engine.refuse_content(_NO_SPACE)
            return
        message.analysis.feed(data)

    async def _admit_large(self, message: Message, data: bytes) -> None:
        """The message is too large for memory: wait for a place before it uses scratch."""
        worker = self._worker
        worker.memory.used += len(data)
        try:
            place = await asyncio.wait_for(worker.admission.enter(receiving=True), worker.config.message_deadline)
        except asyncio.TimeoutError:
            self._admitting = None
            self._drop()
            self._engine.refuse_content(_BUSY)
        else:
            self._admitting = None
            if self._message is not message:
                place.leave()
                return
            message.place = place
        finally:
            worker.memory.used -= len(data)
        if message.place is not None and data:
            self._append(message, data)
        self._run()

    def _content_ends(self, event: ContentEnds) -> None:
        message = self._message
        assert message is not None
        if self._ended and not self._engine.quit_follows():
            self._gone()
            return
        if event.bare_newlines:
            log.info(f"message id={message.id} had bare CR or LF, which became line ends and spaces")
        message.dots = event.dots
        message.received(self._worker.loop.time(), self._worker.config.message_deadline)
        self._handling = self._worker.start(self._process(message))
        # Also for a task that is cancelled before its first step.
        self._handling.add_done_callback(lambda _: message.release())
        self._timer = self._worker.loop.call_at(message.timing.deadline, self._deadline, message)

    # The complete message

    async def _process(self, message: Message) -> None:
        if message.place is None:
            message.place = await self._worker.admission.enter(receiving=False)
        else:
            message.place.complete()
        replies = await self._worker.pipeline.handle(message)
        message.release()
        if message is self._message:
            self._answer(replies)

    def _answer(self, replies: list[Reply]) -> None:
        self._stop_timer()
        self._message = None
        self._handling = None
        self._engine.finish(replies)
        if self._worker.stopping:
            self.end(STOPPING)
            return
        self._run()

    def _deadline(self, message: Message) -> None:
        if self._message is not message:
            return
        log.warning(
            f"message id={message.id} front={message.front_queue_id} answered with 451: the deadline has passed"
        )
        envelope = message.envelope
        handling = self._handling
        self._answer([_TOO_LATE] * (len(envelope.recipients) if envelope.lmtp else 1))
        self._withdraw(message, handling, "deadline")

    def _withdraw(self, message: Message, handling: Optional[asyncio.Task[None]], reason: str) -> None:
        message.withdrawn = True
        if handling is not None and not message.committed:
            handling.cancel()
            self._worker.pipeline.given_up(message, reason)

    def _gone(self) -> None:
        """The client has closed before it had its answer, and will come again: nothing may be reinjected now."""
        self._forget()
        self._close()

    def _forget(self) -> None:
        """The client is gone: stop what can be stopped."""
        self._stop_timer()
        message, handling = self._message, self._handling
        self._handling = None
        if handling is not None and message is not None:
            self._message = None
            if not message.committed:
                log.info(f"message id={message.id} front={message.front_queue_id} given up: the client closed")
            self._withdraw(message, handling, "client")
        self._drop()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _drop(self) -> None:
        """A message that is not complete will not come."""
        message, self._message = self._message, None
        if message is not None:
            message.release()
        if self._admitting is not None:
            self._admitting.cancel()
            self._admitting = None
