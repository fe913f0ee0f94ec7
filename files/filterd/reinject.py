# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Connections to the reinjecting smtpd: kept, checked, and opened again once when one went stale.

A connection that the server closed (or answered 421 on) while it was idle says nothing about the message,
so the delivery is repeated once on a new connection, unless the final dot may have been seen.
"""

from __future__ import annotations

import asyncio
import functools
import socket
from collections import deque
from collections.abc import Iterable
from typing import Callable, NamedTuple, Optional

from . import log
from .config import Config
from .connect import connected
from .smtp.esmtp import ALL_EXTENSIONS, Envelope, Extensions
from .smtp.framing import DataEncoder
from .smtp.outbound import Delivery, Step, temporary
from .smtp.reply import ProtocolViolation, Reply, ReplyParser
from .values import Address

#: Seconds after which the server's extensions are asked for again.
EXTENSIONS_AGE = 60.0
#: Seconds that a client's EHLO waits for a server that has not been seen yet.
EXTENSIONS_PATIENCE = 3.0
#: Seconds after which a kept connection is closed, so that a reloaded Postfix is talked to with its new settings.
CONNECTION_AGE = 300.0

Commit = Callable[[], bool]


class _Sending(NamedTuple):
    """What a delivery sends, and who is asked before it counts as sent."""

    chunks: Iterable[bytes]
    dots: bool  #: a line may begin with a dot
    commit: Commit


class _Broken(Exception):
    """The connection ended or made no sense."""


class _Goodbye(_Broken):
    """The server closed the connection, or said 421."""


class _Stale(_Broken):
    """The server closed a kept connection; another one may work."""


class _Connection(asyncio.Protocol):
    def __init__(self, loop: asyncio.AbstractEventLoop, reply_timeout: float) -> None:
        self._loop = loop
        self._reply_timeout = reply_timeout
        self._parser = ReplyParser()
        self._replies: deque[Reply] = deque()
        self._waiter: Optional[asyncio.Future[None]] = None
        self._writable: Optional[asyncio.Future[None]] = None
        self.transport: Optional[asyncio.Transport] = None
        self._socket: Optional[socket.socket] = None
        self.lost = ""
        self._closed_by_server = False
        self.extensions = Extensions({})
        self.opened = loop.time()
        self.idle_since = 0.0  # when it was last given back; 0 for a new one

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self._socket = transport.get_extra_info("socket")
        self._acknowledge_at_once()

    def data_received(self, data: bytes) -> None:
        self._acknowledge_at_once()
        try:
            # One line at a time: what was said properly before the violation counts.
            for line in data.splitlines(keepends=True):
                self._replies.extend(self._parser.feed(line))
        except ProtocolViolation as violation:
            self.abort(str(violation))
            return
        if len(self._replies) > 10000:
            self.abort("more replies than commands")
        self._wake()

    def connection_lost(self, exc: Optional[Exception]) -> None:
        if not self.lost:
            self.lost = f"connection lost ({exc})" if exc else "connection closed"
            self._closed_by_server = True
        self._wake()
        self.resume_writing()

    def pause_writing(self) -> None:
        self._writable = self._loop.create_future()

    def resume_writing(self) -> None:
        writable, self._writable = self._writable, None
        if writable is not None and not writable.done():
            writable.set_result(None)

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def abort(self, words: str) -> None:
        self.lost = self.lost or words
        if self.transport is not None:
            self.transport.abort()
        self._wake()
        self.resume_writing()

    def quit(self) -> None:
        if self.transport is not None and not self.lost:
            self.transport.write(b"QUIT\r\n")
            self.transport.close()

    @property
    def reusable(self) -> bool:
        return not self.lost and not self._replies and self._parser.empty

    def expect_silence(self) -> None:
        """Raise _Broken when the server has said something before it was asked.

        It would be taken for the answer to what is sent next, in the worst case for the one to the final dot.
        """
        if self.reusable:
            return
        if not self._replies:
            raise self._end() if self.lost else _Broken("half an answer to nothing")
        words = self._replies[0].brief()
        raise _Goodbye(words) if self._replies[0].code == 421 else _Broken(f"an answer to nothing: {words}")

    def _end(self) -> _Broken:
        return _Goodbye(self.lost) if self._closed_by_server else _Broken(self.lost)

    def _acknowledge_at_once(self) -> None:
        # A server that writes each of its pipelined replies by itself waits for the ACK of the one before
        # (Nagle's algorithm), which the kernel would delay by 40 ms. The option lasts for one exchange.
        if self._socket is not None:
            try:
                self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
            except OSError:
                self._socket = None  # the connection is going; its end will be told

    def write(self, data: bytes) -> None:
        if self.transport is not None and not self.lost:
            self.transport.write(data)

    async def drain(self) -> None:
        if self._writable is None:
            return
        timer = self._loop.call_later(self._reply_timeout, self.abort, f"took no data for {self._reply_timeout:g} s")
        try:
            while self._writable is not None and not self.lost:
                await self._writable
        finally:
            timer.cancel()

    async def reply(self) -> Reply:
        """The next reply. Raises _Broken."""
        if not self._replies and not self.lost:
            timer = self._loop.call_later(self._reply_timeout, self.abort, f"no reply within {self._reply_timeout:g} s")
            self._waiter = self._loop.create_future()
            try:
                await self._waiter
            finally:
                timer.cancel()
                self._waiter = None
        if self._replies:
            return self._replies.popleft()
        raise self._end()


class Reinjector:
    """Hands messages to the reinjecting smtpd of one worker."""

    def __init__(self, config: Config, loop: asyncio.AbstractEventLoop, target: Optional[Address] = None) -> None:
        self._config = config
        self._target = target or config.reinject
        self._loop = loop
        self._idle: deque[_Connection] = deque()
        self._extensions: Optional[Extensions] = None
        self._extensions_time = 0.0
        self._asking: Optional[asyncio.Task[None]] = None

    # What the server has

    def known_extensions(self) -> Optional[Extensions]:
        """What the server announced not long ago, or None when it must be asked."""
        if self._extensions is None or self._loop.time() - self._extensions_time > EXTENSIONS_AGE:
            return None
        return self._extensions

    async def extensions(self) -> Extensions:
        """What the server announces; the last known, or all that Postfix has, when it does not answer soon."""
        if self._asking is None or self._asking.done():
            self._asking = self._loop.create_task(self._ask())
        await asyncio.wait([self._asking], timeout=EXTENSIONS_PATIENCE)
        return self._extensions or ALL_EXTENSIONS

    async def _ask(self) -> None:
        try:
            self._keep(await self._open())
        except _Broken as broken:
            log.warning(f"reinjection to {self._target} is not possible now: {broken}")

    # Deliveries

    async def deliver(
        self,
        envelope: Envelope,
        chunks: Iterable[bytes],
        size: int,
        commit: Commit,
        strict: bool = False,
        dots: bool = True,
    ) -> list[Reply]:
        """One reply for each recipient: the server's own 2xx, or what the client must be told instead.

        `commit` is asked right before the final dot is sent; when it says no, the dot is not sent. With `strict` the
        message goes to all recipients or to none. `dots`: a line of the content may begin with a dot.
        """
        delivery = None
        connection = None
        sending = _Sending(chunks, dots, commit)
        try:
            connection = self._take() or await self._open()
            try:
                delivery = self._delivery(envelope, connection, size, strict)
                return await self._run(delivery, connection, sending)
            except _Stale:
                connection.abort("stale")
                connection = await self._open()
                delivery = self._delivery(envelope, connection, size, strict)
                return await self._run(delivery, connection, sending)
        except _Broken as broken:
            if delivery is None:
                return [temporary("connect", str(broken))] * len(envelope.recipients)
            delivery.fail(str(broken))
            return delivery.replies
        finally:
            if connection is not None:
                self._keep(connection)

    def _delivery(self, envelope: Envelope, connection: _Connection, size: int, strict: bool) -> Delivery:
        if "SMTPUTF8" in envelope.parameters and "SMTPUTF8" not in connection.extensions:
            raise _Broken("the server does not take SMTPUTF8 any more")
        return Delivery(envelope, connection.extensions, size, all_or_nothing=not envelope.lmtp, strict=strict)

    async def _run(self, delivery: Delivery, connection: _Connection, sending: _Sending) -> list[Reply]:
        finished = False
        try:
            connection.write(delivery.take_commands())
            await connection.drain()
            while True:
                reply = await connection.reply()
                if reply.code == 421 and connection.idle_since and not delivery.committed:
                    raise _Goodbye(reply.brief())
                step = delivery.receive(reply)
                if step is Step.SEND:
                    connection.expect_silence()
                    connection.write(delivery.take_commands())
                elif step is Step.CONTENT:
                    await self._send_content(delivery, connection, sending)
                elif step is not Step.READ:
                    finished = step is Step.DONE
                    return delivery.replies
        except _Goodbye as goodbye:
            # No answer in time is not staleness: the server is there, and slow.
            if connection.idle_since and not delivery.committed:
                raise _Stale(str(goodbye)) from None
            raise
        finally:
            if not finished:
                # Closing without the dot is the only safe end of a delivery that was begun (RFC 5321 section 4.1.1.4).
                connection.abort("delivery given up")

    async def _send_content(self, delivery: Delivery, connection: _Connection, sending: _Sending) -> None:
        connection.expect_silence()
        encoder = DataEncoder(sending.dots)
        held = b""
        parts = 0
        for chunk in sending.chunks:
            if held:
                connection.write(held)
                await connection.drain()
                connection.expect_silence()
                parts += 1
            held = encoder.feed(chunk)
        if parts:
            # A server that gave up meanwhile has said so, if the loop gets its turn to read it.
            await asyncio.sleep(0)
            connection.expect_silence()
        # The last piece and the dot go out together: one packet for a small message.
        if not sending.commit():
            raise _Broken("the deadline has passed")
        delivery.content_sent()
        connection.write(held + encoder.finish())

    # Connections

    def _take(self) -> Optional[_Connection]:
        now = self._loop.time()
        while self._idle:
            connection = self._idle.pop()
            idle = now - connection.idle_since
            if (
                connection.reusable
                and idle < self._config.reinject_idle_timeout
                and now - connection.opened < CONNECTION_AGE
            ):
                return connection
            connection.quit()
        return None

    def _keep(self, connection: _Connection) -> None:
        if not connection.reusable:
            connection.abort("not reusable")
        elif self._config.reinject_idle_timeout and len(self._idle) < self._config.instances:
            connection.idle_since = self._loop.time()
            self._idle.append(connection)
        else:
            connection.quit()

    async def _open(self) -> _Connection:
        """A greeted connection. Raises _Broken."""
        config = self._config
        timeout = config.reinject_connect_timeout
        factory = functools.partial(_Connection, self._loop, config.reinject_reply_timeout)
        connecting = self._loop.create_connection(factory, self._target.host, self._target.port)
        try:
            connection = await connected(connecting, timeout)
        except asyncio.TimeoutError:
            raise _Broken(f"no connection within {timeout:g} s") from None
        except OSError as error:
            raise _Broken(f"no connection: {error.strerror or error}") from None
        timer = self._loop.call_later(timeout, connection.abort, f"no greeting within {timeout:g} s")
        try:
            await self._greet(connection)
        except BaseException:
            connection.abort("greeting failed")
            raise
        finally:
            timer.cancel()
        self._extensions = connection.extensions
        self._extensions_time = self._loop.time()
        return connection

    async def _greet(self, connection: _Connection) -> None:
        banner = await connection.reply()
        if banner.code != 220:
            raise _Broken(f"the greeting was {banner.brief()}")
        connection.expect_silence()
        connection.write(f"EHLO {self._config.own_name}\r\n".encode("ascii"))
        reply = await connection.reply()
        if reply.code != 250:
            raise _Broken(f"the reply to EHLO was {reply.brief()}")
        connection.expect_silence()
        connection.extensions = Extensions.parse(reply.text)

    def sweep(self) -> None:
        """Close connections that have been idle for long."""
        now = self._loop.time()
        while self._idle and now - self._idle[0].idle_since >= self._config.reinject_idle_timeout:
            self._idle.popleft().quit()

    def close(self) -> None:
        """Close all idle connections."""
        while self._idle:
            self._idle.pop().quit()
