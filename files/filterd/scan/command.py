# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Any command-line scanner: files in a private directory, a program with limits, an exit code that is mapped.

The names of the files are ours, never names from the mail. What the exit code map does not name is a failure.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections import deque
from collections.abc import Coroutine, Iterable
from typing import Any, Callable, NamedTuple

from ..content.eicar import PATTERN
from ..findings import UNCHECKED, VIRUS, Finding, ScannerFailure, Verdict
from ..scratch import Budget, BudgetExceeded
from ..smtp.reply import printable
from . import VIRUS_SCANNER, Probe, Subject, process, workspace
from .process import Ended, Limits, Process, ProcessFailure
from .settings import FILES, MESSAGE, CommandSettings
from .workspace import Workspace

#: Names that are told of one message, characters of each, and of a line of output that is looked at.
_NAMES, _NAME_LIMIT, _LINE_LIMIT = 20, 200, 2000
#: Seconds between looks at what the program writes, and at what killed workers have left.
_LOOK_INTERVAL = 0.25
_SWEEP_INTERVAL = 60.0
_MESSAGE_FILE = "message.eml"
#: Bytes of scratch for the self-report.
_PROBE_BUDGET = 64 << 20


class _Answer(NamedTuple):
    """What one run says: the category, "" for clean, and what was found."""

    category: str
    names: tuple[str, ...]


_CLEAN = _Answer("", ())
_TOO_LARGE = _Answer(UNCHECKED, ("too large to be unpacked for the scanner",))
#: Writes the files; False when there is no room for them.
Fill = Callable[[Workspace], Coroutine[Any, Any, bool]]


class _Turns:
    """At most so many at a time; the others wait in order. (asyncio.Semaphore loses turns before Python 3.11.)"""

    def __init__(self, count: int, loop: asyncio.AbstractEventLoop) -> None:
        self._free = count
        self._loop = loop
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def enter(self) -> None:
        if self._free:
            self._free -= 1
            return
        turn = self._loop.create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.leave()  # it had just become ours
            raise

    def leave(self) -> None:
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1


class Command:
    """One command-line scanner of one worker."""

    def __init__(self, settings: CommandSettings, scratch_directory: str, loop: asyncio.AbstractEventLoop) -> None:
        self._settings = settings
        self._scratch = scratch_directory
        self._loop = loop
        self._turns = _Turns(settings.concurrency, loop)
        self._pattern = re.compile(settings.pattern) if settings.pattern else None
        self._limits = Limits(settings.cpu_limit, settings.memory_limit, settings.file_limit)
        self._swept = loop.time()
        self.name = settings.name
        self.kind = VIRUS_SCANNER
        self.backup = settings.backup

    async def scan(self, subject: Subject) -> Verdict:
        """What its exit code means. Raises ScannerFailure."""

        async def fill(space: Workspace) -> bool:
            return await self._fill(space, subject)

        answer = await self._ask(subject.budget, fill)
        if not answer.category:
            return Verdict()
        return Verdict(tuple(Finding(answer.category, name, self.name) for name in answer.names))

    async def probe(self) -> Probe:
        """What it says of the EICAR test pattern, and of a file with nothing in it. Raises ScannerFailure."""
        clean = await self._judge(b"Subject: nothing to be found here\r\n\r\nnothing\r\n")
        if clean.category:
            raise ScannerFailure(f"{self.name}: finds {clean.names[0]} in a file that holds nothing")
        found = await self._judge(PATTERN)
        if found.category != VIRUS:
            return Probe("can be run; does not know the EICAR test pattern", False)
        return Probe(f"can be run; finds {found.names[0]} in the EICAR test pattern", True)

    async def _judge(self, content: bytes) -> _Answer:
        async def fill(space: Workspace) -> bool:
            await space.add(_MESSAGE_FILE, [content])
            return True

        return await self._ask(Budget(_PROBE_BUDGET), fill)

    async def _ask(self, budget: Budget, fill: Fill) -> _Answer:
        """One run within the time, waiting for its turn included."""
        task = asyncio.ensure_future(self._in_turn(budget, fill))
        try:
            await asyncio.wait([task], timeout=self._settings.timeout)
        finally:
            # Also when we are cancelled: nothing of the program and of its files is left when this returns.
            if not task.done():
                task.cancel()
                await asyncio.wait([task])
        try:
            return task.result()
        except asyncio.CancelledError:
            raise ScannerFailure(f"{self.name}: no answer within {self._settings.timeout:g} s") from None
        except (ProcessFailure, OSError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            raise ScannerFailure(f"{self.name}: {reason}") from None

    async def _in_turn(self, budget: Budget, fill: Fill) -> _Answer:
        await self._turns.enter()
        try:
            space = Workspace(self._scratch, budget)
            try:
                return await self._run(space) if await fill(space) else _TOO_LARGE
            finally:
                await space.remove()
        finally:
            self._turns.leave()

    async def _fill(self, space: Workspace, subject: Subject) -> bool:
        """Write what the scanner is to see. False when that is more than the message may use."""
        chosen = self._settings.content
        # What does not fit as it was chosen may fit as the parts alone: they are smaller than the message.
        for mode in dict.fromkeys((chosen, chosen if self._settings.as_message else "auto")):
            try:
                for number, stream in enumerate(subject.streams(mode)):
                    as_mail = number == 0 and mode != "parts"
                    await space.add(_MESSAGE_FILE if as_mail else f"part-{number:05}", stream)
                return True
            except BudgetExceeded:
                await space.clear()
        return False

    async def _run(self, space: Workspace) -> _Answer:
        message = os.path.join(space.files, _MESSAGE_FILE)
        argv = tuple(word.replace(MESSAGE, message).replace(FILES, space.files) for word in self._settings.argv)
        program = await process.start(argv, self._limits, space.files, space.temporary)
        watch = self._loop.create_task(self._watch(program, space))
        try:
            return self._read(await program.ended())
        except ProcessFailure:
            if watch.done():
                return _TOO_LARGE
            raise
        finally:
            watch.cancel()

    async def _watch(self, program: Process, space: Workspace) -> None:
        """Stop a program whose temporary files are more than the message may use."""
        await asyncio.sleep(_LOOK_INTERVAL)
        while not await space.overflows():  # noqa: ASYNC110  (nobody tells of a file that grows)
            await asyncio.sleep(_LOOK_INTERVAL)
        program.stop("its temporary files are too large")

    def _read(self, ended: Ended) -> _Answer:
        settings = self._settings
        if ended.status in settings.clean:
            return _CLEAN
        names = tuple(self._names(ended.output))
        if ended.status in settings.infected:
            return _Answer(VIRUS, names or ("unnamed",))
        if ended.status in settings.unchecked:
            return _Answer(UNCHECKED, names or (f"exit code {ended.status}",))
        raise ScannerFailure(f"{self.name}: exit code {ended.status}, said {ended.output[-200:]!r}")

    def _names(self, output: bytes) -> Iterable[str]:
        found: dict[str, None] = {}
        for line in output.decode("utf-8", "replace").splitlines() if self._pattern else ():
            match = self._pattern.search(line[:_LINE_LIMIT]) if self._pattern else None
            name = printable(match.group(1) or "").strip()[:_NAME_LIMIT] if match else ""
            if name:
                found[name] = None
        return list(found)[:_NAMES]

    def sweep(self) -> None:
        """Remove what a killed worker has left, once in a while."""
        if self._loop.time() - self._swept >= _SWEEP_INTERVAL:
            self._swept = self._loop.time()
            workspace.sweep(self._scratch)

    def close(self) -> None:
        """Nothing is kept: runs end with their messages."""
