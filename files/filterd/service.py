# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The service process: opens the sockets, keeps the workers running, admits messages, obeys signals.

It touches no mail. SIGTERM drains and stops, SIGHUP reads the configuration again and replaces the workers
one generation by the next, keeping the old configuration when the new one is wrong.
"""

from __future__ import annotations

import os
import selectors
import signal
import socket
import time
import traceback
from typing import NoReturn, Optional

from . import __version__, config, log, scratch, systemd, worker
from .admission import ALIVE, BATCH, HURRY, Book
from .operate.metrics import Meter
from .operate.overseer import Flow, Overseer, Worker
from .values import Address

_BACKLOG = 1024
#: A worker that ended sooner than this after its start is replaced only after the pause.
_SHORT_LIFE = 1.0
_PAUSE = 1.0
#: Seconds beyond drain_timeout after which workers are killed.
_KILL_MARGIN = 5.0
_TICK = 0.5
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)


class StartError(Exception):
    """The service cannot start; the words say why."""


class _Child:
    """A worker process as the service sees it."""

    def __init__(self, pid: int, channel: socket.socket, generation: int, meter: Meter) -> None:
        self.pid = pid
        self.meter = meter
        self.channel = channel
        self.generation = generation
        self.started = time.monotonic()
        self.last_beat = self.started
        self.ready = False
        self.stopping = False
        self.kill_at = 0.0
        self.unsent = b""
        self.full = False  # the channel takes no more now


class Service:
    """Runs until it is told to stop."""

    def __init__(self, path: str, settings: config.Config) -> None:
        self._path = path
        self._config = settings
        self._selector = selectors.DefaultSelector()
        self._children: dict[int, _Child] = {}
        self._book = Book(settings.instances)
        self._generation = 0
        self._start_again_at = 0.0
        self._stopping = False
        self._told_ready = False
        self._activated = False
        self._listeners: list[socket.socket] = []
        self._signals: list[int] = []
        self._overseer = Overseer(path, settings, self._flow)
        self._wake_in, self._wake_out = socket.socketpair()

    def run(self) -> int:
        """Serve. Returns the exit status. Raises StartError."""
        _prepare(self._config)
        self._open_listeners()
        for number in _SIGNALS:
            signal.signal(number, self._on_signal)
        self._wake_in.setblocking(False)
        self._wake_out.setblocking(False)
        signal.set_wakeup_fd(self._wake_out.fileno(), warn_on_full_buffer=False)
        self._selector.register(self._wake_in, selectors.EVENT_READ, None)
        places = ", ".join(_name(listener) for listener in self._listeners)
        log.info(
            f"filter-daemon {__version__} configuration {self._config.fingerprint} listens on {places},"
            f" reinjects to {self._config.reinject}, n={self._config.instances}, workers={self._config.workers}"
        )
        if not self._config.virus_scanner_configured:
            log.warning("no virus scanner is configured: only the EICAR test pattern is found")
        self._overseer.start()
        self._selector.register(self._overseer, selectors.EVENT_READ, self._overseer)
        self._fill()
        watchdog = systemd.watchdog_interval()
        next_watchdog = 0.0
        while not (self._stopping and not self._children):
            for key, events in self._selector.select(min(_TICK, watchdog or _TICK)):
                if key.data is None:
                    self._drain_wakeups()
                elif key.data is self._overseer:
                    self._overseer.ready()
                else:
                    self._channel_ready(key.data, events)
            self._handle_signals()
            self._look_after_children()
            self._overseer.turn(time.monotonic())
            if watchdog and time.monotonic() >= next_watchdog:
                systemd.notify("WATCHDOG=1")
                next_watchdog = time.monotonic() + watchdog / 2
        self._overseer.stop()
        log.info("stopped")
        return 0

    def _flow(self) -> Flow:
        workers = [
            Worker(child.pid, child.ready, child.stopping, child.started, child.meter)
            for child in self._children.values()
        ]
        return Flow(self._book.in_use, self._book.waiting, workers)

    # Sockets

    def _open_listeners(self) -> None:
        self._listeners = systemd.listeners()
        self._activated = bool(self._listeners)
        if not self._activated:
            self._listeners = [_listen(address) for address in self._config.listen]

    # Children

    def _fill(self) -> None:
        """Start workers until there are enough of the current generation."""
        if self._stopping or time.monotonic() < self._start_again_at:
            return
        current = sum(1 for child in self._children.values() if child.generation == self._generation)
        try:
            for _ in range(current, self._config.workers):
                self._start_child()
        except OSError as error:
            log.error(f"no worker can be started now: {error.strerror}")
            self._start_again_at = time.monotonic() + _PAUSE

    def _start_child(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        others = [child for child in self._children.values() if child.generation == self._generation]
        meter = self._overseer.meter(first=not any(child.meter.first for child in others))
        # A signal that reaches the child before it has its own handlers must not be taken by ours, and lost.
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        try:
            pid = os.fork()
            if pid == 0:
                self._be_child(ours, theirs, meter)
        except OSError:
            ours.close()
            raise
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
            theirs.close()
        ours.setblocking(False)
        child = _Child(pid, ours, self._generation, meter)
        self._children[pid] = child
        self._selector.register(ours, selectors.EVENT_READ, child)

    def _be_child(self, ours: socket.socket, theirs: socket.socket, meter: Meter) -> NoReturn:
        status = 1
        try:
            signal.set_wakeup_fd(-1)
            for number in _SIGNALS:
                signal.signal(number, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
            # Only the service may hold the other ends: a worker sees by the end of its channel that it is alone.
            ours.close()
            for child in self._children.values():
                child.channel.close()
            self._selector.close()
            self._wake_in.close()
            self._wake_out.close()
            self._overseer.leave_to_parent()
            status = worker.run(self._config, self._listeners, theirs, meter)
        except BaseException:
            log.error("worker ended: " + traceback.format_exc().replace("\n", " | "))
        finally:
            os._exit(status)

    def _channel_ready(self, child: _Child, events: int) -> None:
        if events & selectors.EVENT_WRITE:
            self._flush(child)
        if not events & selectors.EVENT_READ:
            return
        try:
            messages = child.channel.recv(BATCH)
        except BlockingIOError:
            return
        except OSError:
            messages = b""
        if not messages:
            self._forget(child)
            return
        child.last_beat = time.monotonic()
        for number in messages:
            message = bytes((number,))
            if message != ALIVE:
                self._send(self._book.take(child, message))
                continue
            self._alive(child)
            if self._book.keeps_waiting(child):
                self._send([(child, HURRY)])

    def _forget(self, child: _Child) -> None:
        """The channel of a worker is closed: its places are free."""
        if child.channel.fileno() >= 0:
            self._selector.unregister(child.channel)
            child.channel.close()
            child.unsent, child.full = b"", False
            self._send(self._book.forget(child))

    def _alive(self, child: _Child) -> None:
        if child.ready:
            return
        child.ready = True
        current = [other for other in self._children.values() if other.generation == self._generation]
        if len(current) < self._config.workers or not all(other.ready for other in current):
            return
        if not self._told_ready:
            self._told_ready = True
            log.info("ready")
        systemd.notify("READY=1", f"STATUS=n={self._config.instances}, configuration {self._config.fingerprint}")
        self._retire(keep=self._generation)

    def _send(self, answers: list[tuple[object, bytes]]) -> None:
        for child, answer in answers:
            assert isinstance(child, _Child)
            child.unsent += answer
            self._flush(child)

    def _flush(self, child: _Child) -> None:
        full = False
        try:
            while child.unsent and child.channel.fileno() >= 0:
                child.unsent = child.unsent[child.channel.send(child.unsent[:BATCH]) :]
        except BlockingIOError:
            full = True  # a worker that is busy gets the rest when it reads again
        except OSError:
            child.unsent = b""  # it will be found dead, and its places will be free
        if full is not child.full:
            child.full = full
            self._selector.modify(child.channel, selectors.EVENT_READ | (selectors.EVENT_WRITE if full else 0), child)

    def _retire(self, keep: Optional[int]) -> None:
        """Tell the workers of other generations to finish what they have: patiently when there are others."""
        for child in self._children.values():
            if child.generation != keep and not child.stopping:
                child.stopping = True
                child.kill_at = time.monotonic() + self._config.drain_timeout + _KILL_MARGIN
                os.kill(child.pid, signal.SIGTERM if self._stopping else worker.RETIRE)

    def _look_after_children(self) -> None:
        now = time.monotonic()
        for child in self._children.values():
            if child.stopping and now >= child.kill_at:
                log.warning(f"worker {child.pid} did not end in time and is killed")
                os.kill(child.pid, signal.SIGKILL)
                child.kill_at = now + _KILL_MARGIN
            elif not child.stopping and now - child.last_beat > self._config.worker_stall_limit:
                log.error(
                    f"worker {child.pid} has not been heard of for {self._config.worker_stall_limit:g} s and is killed"
                )
                os.kill(child.pid, signal.SIGKILL)
                child.last_beat = now
        self._fill()

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            child = self._children.pop(pid, None)
            if child is None:
                continue
            self._forget(child)
            expected = child.stopping or self._stopping
            self._overseer.ended(child.meter, expected)
            if not expected:
                log.error(f"worker {pid} ended ({_how(status)}) and is replaced")
                if time.monotonic() - child.started < _SHORT_LIFE:
                    self._start_again_at = time.monotonic() + _PAUSE

    # Signals

    def _on_signal(self, number: int, _frame: object) -> None:
        self._signals.append(number)

    def _drain_wakeups(self) -> None:
        try:
            while self._wake_in.recv(4096):
                pass
        except BlockingIOError:
            pass

    def _handle_signals(self) -> None:
        while self._signals:
            number = self._signals.pop(0)
            if number == signal.SIGCHLD:
                self._reap()
            elif number == signal.SIGHUP:
                self._reload()
            else:
                self._stop()

    def _stop(self) -> None:
        if self._stopping:
            # Asked twice: at once.
            for child in self._children.values():
                os.kill(child.pid, signal.SIGKILL)
            return
        self._stopping = True
        log.info("stopping: messages under way are finished")
        systemd.notify("STOPPING=1")
        for listener in self._listeners:
            listener.close()
        for child in self._children.values():
            child.stopping = False  # also to those that were retiring
        self._retire(keep=None)

    def _reload(self) -> None:
        if self._stopping:
            return
        systemd.notify("RELOADING=1", f"MONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")
        try:
            new = config.load(self._path)
            _prepare(new)
            self._relisten(new)
        except (config.ConfigError, StartError) as error:
            log.error(f"the running configuration {self._config.fingerprint} is kept: {error}")
            systemd.notify("READY=1")
            return
        log.info(f"configuration {new.fingerprint} replaces {self._config.fingerprint}")
        self._config = new
        self._book.places = new.instances
        self._overseer.configure(new)
        self._generation += 1
        self._start_again_at = 0.0
        self._fill()

    def _relisten(self, new: config.Config) -> None:
        if new.listen == self._config.listen:
            return
        if self._activated:
            log.warning(
                "listen has changed, but systemd opened the sockets: restart filter-daemon.socket to change them"
            )
            return
        kept = dict(zip(self._config.listen, self._listeners))
        added = {address: _listen(address) for address in new.listen if address not in kept}
        for address, listener in kept.items():
            if address not in new.listen:
                listener.close()
        self._listeners = [kept.get(address) or added[address] for address in new.listen]


def _listen(address: Address) -> socket.socket:
    host = "127.0.0.1" if address.host == "localhost" else address.host
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind((host, address.port))
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise StartError(f"listen: held {address}; it takes an address that is free: {error.strerror}") from None
    return listener


def _name(listener: socket.socket) -> str:
    name = listener.getsockname()
    return str(Address(name[0], name[1])) if isinstance(name, tuple) else str(name)


def _how(status: int) -> str:
    if os.WIFSIGNALED(status):
        return f"signal {os.WTERMSIG(status)}"
    return f"exit status {os.WEXITSTATUS(status)}"


def _prepare(settings: config.Config) -> None:
    for key in ("scratch_directory", "quarantine_directory"):
        path = getattr(settings, key)
        try:
            scratch.prepare_directory(path)
        except OSError as error:
            raise StartError(
                f"{key}: held {path}; it takes a directory that can be written to: {error.strerror}"
            ) from None
