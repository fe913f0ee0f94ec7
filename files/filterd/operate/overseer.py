# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the service keeps watch of: the figures of all workers, warnings, and who asks for them."""

from __future__ import annotations

import json
import os
import secrets
import sys
import time
import traceback
from typing import Any, Callable, NamedTuple, Optional

from .. import __version__, log
from ..config import Config, ConfigError, load
from . import fingerprint, ledger, looks
from .endpoint import Answer, Endpoint
from .exposition import CONTENT_TYPE, render
from .metrics import GAUGES, RATIOS, SHARED, Layout, Meter, Slot, Totals
from .status import Running, document
from .warnings import NAMES, Seen, Standing, judge
from .window import History, Window

#: Seconds between looks at everything.
LOOK_INTERVAL = 5.0
#: Seconds between looks at the files that run.
_DRIFT_INTERVAL = 60.0
#: Seconds for which averages are taken, and within which something counts as lately.
LATELY = 300.0


class Worker(NamedTuple):
    """A worker process as the service knows it."""

    pid: int
    ready: bool
    stopping: bool
    started: float  #: time.monotonic()
    meter: Meter


class Flow(NamedTuple):
    """What the service knows of the flow of messages."""

    in_use: int
    waiting: int
    workers: list[Worker]


class Overseer:
    """Belongs to the service process. Nothing here may end it."""

    def __init__(self, path: str, config: Config, flow: Callable[[], Flow]) -> None:
        self._path = path
        self._config = config
        self._flow = flow
        self._name = secrets.token_hex(4)
        self._workers = self._restarts = 0
        self._retired = Totals()
        self._window = Window(LATELY)
        self._history = History()
        self._standing = Standing()
        self._since = time.time()
        self._full_since: Optional[float] = None
        self._next_look = self._next_drift = 0.0
        self._drift: list[str] = []  # of the last two looks
        self._files = _state_of_files(path)
        self._directory = fingerprint.code_directory()
        self._code = self._code_on_disk()
        self._clock = looks.Clock(time.time(), _since_boot(), _newest_code(self._directory))
        self._endpoint = Endpoint(self._respond)
        self._ledger: Optional[ledger.Ledger] = None

    # Life

    def start(self) -> None:
        """Before the first worker."""
        self._open()
        self._note({"event": "start", "version": __version__, "configuration": self._config.fingerprint})

    def _open(self) -> None:
        if self._ledger is not None:
            self._ledger.close()
            number = self._ledger.number
        else:
            number = 0
        self._ledger = None
        where = ledger.place(self._config)
        if where is not None:
            try:
                ledger.prepare(where.path)
            except OSError as error:
                words = f"{where.path} cannot be made ({error.strerror})"
                log.warning(f"ledger_file: {words}: mail goes on, without a ledger")
            self._ledger = ledger.Ledger(where, self._name + ".0")
            self._ledger.number = number
        self._endpoint.open(self._config.metrics_socket, self._config.metrics_listen)

    def configure(self, config: Config) -> None:
        """A new configuration runs."""
        self._config = config
        self._drift = []
        self._files = _state_of_files(self._path)
        self._open()
        self._note({"event": "reload", "configuration": config.fingerprint})

    def fileno(self) -> int:
        """Ready when somebody wants to know something."""
        return self._endpoint.fileno()

    def ready(self) -> None:
        """Somebody does."""
        self._endpoint.turn()

    def leave_to_parent(self) -> None:
        """In a worker that has just been forked."""
        self._endpoint.close(unlink=False)
        if self._ledger is not None:
            self._ledger.close()

    def stop(self) -> None:
        """The service ends."""
        self._note({"event": "stop"})
        self._endpoint.close()

    # Workers

    def meter(self, first: bool) -> Meter:
        """For a worker that is about to be forked; the first of its generation looks after what all share."""
        self._workers += 1
        layout = Layout(scanner.name for scanner in self._config.scanners)
        return Meter(layout, f"{self._name}.{self._workers}", first, shared=True)

    def ended(self, meter: Meter, expected: bool) -> None:
        """A worker has ended, however it did: what it counted stays, and so does how much it wrote."""
        self._restarts += not expected
        self._retired.include(meter, GAUGES)
        self._note({"event": "worker ended", "worker": meter.name, "lines": int(meter.get("ledger_lines"))})

    def _note(self, data: dict[str, Any]) -> None:
        if self._ledger is not None:
            self._ledger.write(data)

    # Looking

    def turn(self, now: float) -> None:
        """Called about twice a second with time.monotonic()."""
        flow = self._flow()
        if flow.waiting and flow.in_use >= self._config.instances:
            self._full_since = self._full_since or now
        else:
            self._full_since = None
        if now < self._next_look:
            return
        self._next_look = now + LOOK_INTERVAL
        try:
            self._look(now, flow)
        except Exception:
            log.error("looking after figures: " + traceback.format_exc().replace("\n", " | "))

    def _look(self, now: float, flow: Flow) -> None:
        self._endpoint.sweep()
        totals = self._totals(flow)
        self._window.add(now, totals)
        self._history.add(time.time(), totals)
        if now >= self._next_drift:
            self._next_drift = now + _DRIFT_INTERVAL
            self._drift = [*self._drift[-1:], self._drift_now()]
        new, ended = self._standing.update(judge(self._seen(now, flow, totals), self._config), now)
        for warning in new:
            log.warning(f"warning {warning.name}: {warning.words}; {warning.advice}")
        for name in ended:
            log.info(f"warning {name}: is over")

    def _seen(self, now: float, flow: Flow, totals: Totals) -> Seen:
        lately, _ = self._window.since(now, LATELY, totals)
        used = max((number for number, count in enumerate(lately.buckets("deadline_used_ratio")) if count), default=0)
        wall = time.time()
        scanners = [scanner.name for scanner in self._config.scanners]
        made = {
            name: totals.get(Slot("scanner_signatures_timestamp_seconds", _scanner(name)), 0.0) for name in scanners
        }
        clock = self._clock.trouble(wall, _since_boot(), max(made.values(), default=0.0))
        return Seen(
            now - self._full_since if self._full_since else 0.0,
            RATIOS[used - 1] if used else 0.0,
            looks.disks(self._config, [worker.pid for worker in flow.workers]),
            {name: wall - time for name, time in made.items() if time},
            {name: lately.average("scanner_seconds", _scanner(name)) for name in scanners},
            clock,
            lately.count("ledger_failures"),
            # A deployment changes one file after the other: what is seen twice is no passing state.
            self._drift[1] if len(self._drift) > 1 and self._drift[0] == self._drift[1] else "",
        )

    def _totals(self, flow: Flow) -> Totals:
        totals = Totals(self._retired)
        for worker in flow.workers:
            totals.include(worker.meter, SHARED if worker.stopping or not worker.meter.first else ())
        return totals

    def _drift_now(self) -> str:
        words = []
        if _state_of_files(self._path) != self._files:
            try:
                deployed = load(self._path).fingerprint
                if deployed != self._config.fingerprint:
                    words.append(f"configuration {self._config.fingerprint} runs, {deployed} is in {self._path}")
            except ConfigError as error:
                words.append(f"{error}")
        code = self._code_on_disk()
        if code != self._code:
            words.append(f"code {self._code} runs, {code} is in {self._directory}")
        return "; ".join(words)

    def _code_on_disk(self) -> str:
        try:
            return fingerprint.of_code(self._directory)
        except OSError:
            return "unreadable"

    # Telling

    def _respond(self, path: str) -> Optional[Answer]:
        try:
            if path == "/metrics":
                return Answer(CONTENT_TYPE, render(self._all(self._flow())))
            if path == "/status":
                return Answer("application/json", json.dumps(self._document(), indent=1) + "\n")
        except Exception:
            log.error("telling figures: " + traceback.format_exc().replace("\n", " | "))
        return None

    def _all(self, flow: Flow) -> Totals:
        config = self._config
        totals = self._totals(flow)
        build = (("version", __version__), ("code", self._code), ("configuration", config.fingerprint))
        space = looks.disks(config, [worker.pid for worker in flow.workers])
        numbers: dict[str, Optional[float]] = {
            "start_time_seconds": self._since,
            "in_flight": flow.in_use,
            "waiting": flow.waiting,
            "instances": config.instances,
            "workers": sum(worker.ready and not worker.stopping for worker in flow.workers),
            "worker_restarts": self._restarts,
            "message_deadline_seconds": config.message_deadline,
            "scratch_used_bytes": space.scratch_used,
            "scratch_capacity_bytes": space.scratch_capacity,
            "quarantine_free_bytes": space.quarantine_free,
            "quarantine_reserve_bytes": config.quarantine_reserve,
        }
        totals[Slot("build", build)] = 1.0
        for name, number in numbers.items():
            if number is not None:
                totals[Slot(name)] = number
        for name in NAMES:
            totals[Slot("warning", (("warning", name),))] = float(self._standing.stands(name))
        return totals

    def _document(self) -> dict[str, Any]:
        now, flow = time.monotonic(), self._flow()
        totals = self._all(flow)
        minute, seconds = self._window.since(now, 60, totals)
        lately, long = self._window.since(now, LATELY, totals)
        running = Running(
            version=__version__,
            code=self._code,
            directory=self._directory,
            interpreter=f"Python {sys.version.split()[0]}",
            pid=os.getpid(),
            since=self._since,
            path=self._path,
        )
        workers = [
            {
                "pid": worker.pid,
                "name": worker.meter.name,
                "state": "stopping" if worker.stopping else "ready" if worker.ready else "starting",
                "seconds": round(now - worker.started),
                "ledger_lines": int(worker.meter.get("ledger_lines")),
            }
            for worker in flow.workers
        ]
        rates = {"1m": _per_minute(minute, seconds), "5m": _per_minute(lately, long)}
        warnings = [warning._asdict() for warning in self._standing.now]
        return document(running, self._config, totals, lately, rates, workers, self._history.as_json(), warnings)


def _scanner(name: str) -> tuple[tuple[str, str], ...]:
    return (("scanner", name),)


def _per_minute(totals: Totals, seconds: float) -> float:
    return round(totals.count("messages") * 60 / seconds, 1) if seconds > 0 else 0.0


def _state_of_files(path: str) -> tuple[int, int, int]:
    try:
        status = os.stat(path)
    except OSError:
        return (0, 0, 0)
    return (status.st_ino, status.st_mtime_ns, status.st_size)


def _since_boot() -> float:
    # Not time.monotonic(): that stands still while the machine is suspended, which sets no clock.
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def _newest_code(directory: str) -> float:
    try:
        return os.stat(directory).st_mtime
    except OSError:
        return 0.0
