# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One worker process: an event loop, the accepting of connections, and a bounded end."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import gc
import resource
import signal
import socket

from . import heap, log
from .access import REFUSAL, allowed
from .admission import ALIVE, Admission
from .config import Config
from .net import Worker
from .operate.accounts import Accounts
from .operate.metrics import Meter
from .operate.watch import watch
from .pipeline import Pipeline
from .reinjection import Reinjection
from .scan import factory
from .scan.panel import Panel

#: Seconds between looks at what has been silent for too long; also the beat that tells the service of a live loop.
SWEEP_INTERVAL = 1.0
#: Seconds between two times that free memory goes back to the system.
_TRIM_INTERVAL = 2.0
#: From the service: others have taken over. SIGTERM says that nobody does, and clients wait for the next start.
RETIRE = signal.SIGUSR1
#: Descriptors that are not for clients: log, channel, loop, listening sockets and a margin.
_OWN_DESCRIPTORS = 32
#: Descriptors that one message may need beyond its client: scratch, reinjection, a bounce, quarantine (two).
_PER_MESSAGE = 5

#: A command has its directory, its output, its handle and the file that is written; the others have a connection.
_PER_SCANNER = 4


def connection_limit(config: Config, descriptors: int) -> int:
    """Clients that one worker can serve with so many descriptors."""
    room = descriptors - _OWN_DESCRIPTORS - (_PER_MESSAGE + _PER_SCANNER * len(config.scanners)) * config.instances
    return max(4, min(config.max_connections, room))


def _descriptors() -> int:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
            soft = hard
        except (OSError, ValueError):
            pass  # the soft limit has to do
    return soft


class _Acceptor:
    """Takes one connection at a time, so that the workers that share a socket share the work."""

    def __init__(self, listener: socket.socket, worker: Worker, loop: asyncio.AbstractEventLoop) -> None:
        self._listener = listener
        self._worker = worker
        self._loop = loop
        self._active = False
        listener.setblocking(False)
        self.start()

    def start(self) -> None:
        if not self._active and not self._worker.stopping:
            self._active = True
            self._loop.add_reader(self._listener.fileno(), self._accept)

    def stop(self) -> None:
        if self._active:
            self._active = False
            self._loop.remove_reader(self._listener.fileno())

    def close(self) -> None:
        """Take no more. The socket itself lives on where others have it: systemd, the service, other workers."""
        self.stop()
        self._listener.close()

    def _accept(self) -> None:
        try:
            connection, peer = self._listener.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return
        except OSError as error:
            log.error(f"no connection can be taken: {error.strerror}")
            if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
                self.stop()
                self._loop.call_later(SWEEP_INTERVAL, self.start)
            return
        connection.setblocking(False)
        if isinstance(peer, tuple) and not allowed(peer[0], self._worker.config.allowed_clients):
            log.warning(f"{peer[0]} may not hand mail in: it is not in allowed_clients")
            _refuse(connection)
            return
        self._worker.start(self._serve(connection))

    async def _serve(self, connection: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(self._worker.session, connection)
        except OSError as error:
            log.debug(f"a client was gone at once: {error}")
            connection.close()


def _refuse(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):  # it may not even have waited
        connection.send(REFUSAL)
    connection.close()


def run(config: Config, listeners: list[socket.socket], channel: socket.socket, meter: Meter) -> int:
    """Serve until SIGTERM or until the service is gone. Returns the exit status."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        loop.run_until_complete(_serve(config, listeners, channel, meter, loop))
    finally:
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()
    return 0


async def _serve(
    config: Config,
    listeners: list[socket.socket],
    channel: socket.socket,
    meter: Meter,
    loop: asyncio.AbstractEventLoop,
) -> None:
    stop = asyncio.Event()
    loop.add_signal_handler(signal.SIGINT, lambda: None)  # from a terminal it reaches the service too, which decides
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    admission = Admission(channel, loop)
    reinjection = Reinjection(config, loop)
    accounts = Accounts(config, meter)
    scanners = [factory.scanner(settings, config.scratch_directory, loop) for settings in config.scanners]
    panel = Panel(scanners, accounts.scanner)
    pipeline = Pipeline(config, panel, reinjection, accounts, loop)
    limit = connection_limit(config, _descriptors())
    worker = Worker(config, pipeline, reinjection, admission, loop, limit)
    admission.on_hurry = worker.hurry

    def stop_soon(*_: object) -> None:
        worker.lose_patience()
        stop.set()

    loop.add_signal_handler(RETIRE, stop.set)
    loop.add_signal_handler(signal.SIGTERM, stop_soon)
    admission.orphaned.add_done_callback(stop_soon)
    # What has been loaded stays; the collector need not look at it again, nor copy pages that all workers share.
    gc.freeze()
    gc.set_threshold(10000, 20, 50)
    acceptors = [_Acceptor(listener, worker, loop) for listener in listeners]
    admission.send(ALIVE)
    beats = [loop.create_task(_sweep(worker, reinjection, panel, admission, meter)), loop.create_task(_trim())]
    if meter.first:
        beats.append(loop.create_task(watch(config, panel, meter, loop)))
    await stop.wait()
    for acceptor in acceptors:
        acceptor.close()
    worker.stop()
    end = loop.time() + config.drain_timeout
    while not worker.idle and loop.time() < end:  # noqa: ASYNC110  (two conditions, looked at a few times)
        await asyncio.sleep(0.02)
    for beat in beats:
        beat.cancel()
    reinjection.close()
    panel.close()
    if not worker.idle:
        log.warning("stopping although messages are under way: their clients will send them again")
        await worker.abandon()


async def _sweep(worker: Worker, reinjection: Reinjection, panel: Panel, admission: Admission, meter: Meter) -> None:
    while True:
        await asyncio.sleep(SWEEP_INTERVAL)
        worker.sweep()
        meter.set("clients", len(worker.sessions))
        meter.set("memory_bytes", worker.memory.used)
        reinjection.sweep()
        panel.sweep()
        admission.send(ALIVE)


async def _trim() -> None:
    while True:
        await asyncio.sleep(_TRIM_INTERVAL)
        heap.trim()
