# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The commands `status`, `trace` and `audit`: options, what they read, and what is printed."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
import time
from collections.abc import Iterable, Iterator
from typing import Any, Optional

from .. import __version__, log, quarantine
from ..config import Config
from ..quarantine_filter import moment
from ..smtp.reply import printable
from ..values import SAME_HOST
from . import audit, endpoint, fingerprint, postfix_log, reading, status, trace
from .ledger import privacy
from .postfix_log import LogLine, NoLog
from .record import Line

#: Seconds between two views of `status --watch`.
_WATCH_INTERVAL = 2.0
_CLEAR = "\033[H\033[2J"


def add_parsers(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> list[argparse.ArgumentParser]:
    """Add the commands to the command line; the parsers that take further common options."""
    showing = commands.add_parser("status", help="one screen: what runs, how much, how fast, and what is wrong")
    how = showing.add_mutually_exclusive_group()
    how.add_argument("--json", action="store_true", help="for machines")
    how.add_argument("--watch", action="store_true", help="again every two seconds, until it is interrupted")
    tracing = commands.add_parser("trace", help="the story of a message in words")
    tracing.add_argument("word", metavar="WORD", help="queue id, Message-ID, address, or an id of the filter")
    auditing = commands.add_parser("audit", help="prove that every acknowledged message has an end")
    for one in (tracing, auditing):
        one.add_argument("--json", action="store_true", help="for machines")
        one.add_argument(
            "--log",
            action="append",
            default=[],
            metavar="FILE",
            help="Postfix' log, in place of where it is on this host",
        )
        one.add_argument("--no-log", action="store_true", help="do without Postfix' log")
        one.add_argument("--ledger", metavar="FILE", help="in place of the key ledger_file")
    tracing.add_argument(
        "--since",
        type=_moment,
        default="7d",
        metavar="TIME",
        help="not what is older: 2026-11-22, 36h or 7d (%(default)s)",
    )
    auditing.add_argument(
        "--since",
        type=_moment,
        default="7d",
        metavar="TIME",
        help="messages from then on; lines are counted in all files",
    )
    return [showing, tracing, auditing]


def _moment(text: str) -> float:
    try:
        return moment(text, time.time())
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


# status


def show_status(options: argparse.Namespace, settings: Config) -> int:
    """0 when the daemon runs without warnings and is what is deployed, else 1."""
    good = False
    # An interrupt is how a live view ends, whatever it is doing at that moment.
    with contextlib.suppress(KeyboardInterrupt):
        while True:
            data = current(settings)
            good = bool(data["ok"])
            if options.json:
                print(json.dumps(data, indent=2))
            else:
                text = status.screen(data, time.time(), sys.stdout.isatty())
                print((_CLEAR if options.watch and sys.stdout.isatty() else "") + text, flush=True)
            if not options.watch:
                break
            time.sleep(_WATCH_INTERVAL)
    return 0 if good else 1


def current(settings: Config) -> dict[str, Any]:
    """What runs, beside what is deployed, which is the configuration given and the code of this very program."""
    directory = fingerprint.code_directory()
    deployed = {
        "version": __version__,
        "code": fingerprint.of_code(directory),
        "directory": directory,
        "fingerprint": settings.fingerprint,
    }
    data: dict[str, Any] = {"ok": False, "running": None, "deployed": deployed, "drift": []}
    try:
        if not settings.metrics_socket:
            raise ConnectionError("metrics_socket is empty: the daemon tells nothing")
        data.update(json.loads(endpoint.fetch(settings.metrics_socket, "/status")))
    except (OSError, ValueError) as error:
        words = getattr(error, "strerror", None) or str(error)
        data["error"] = f"{settings.metrics_socket}: {words}" if settings.metrics_socket else words
        # It may run all the same, where nobody has made a directory for that socket.
        data["greets"] = next((str(address) for address in settings.listen if endpoint.greets(address)), None)
        data["ok"] = data["greets"] is not None
        return data
    running = data["running"]
    data["drift"] = status.drift(running["configuration"], settings.as_json())
    data["ok"] = not data["warnings"] and not data["drift"] and running["code"] == deployed["code"]
    return data


# trace


def tell(options: argparse.Namespace, settings: Config) -> int:
    """0 when there is something to tell, else 1."""
    wanted = trace.Wanted(options.word, privacy(settings))
    found = trace.stories(
        wanted,
        lambda: _ledger(options, settings),
        lambda: _log(options),
        _quarantined(settings) or set(),
    )
    if options.json:
        print(
            json.dumps(
                [{**one._asdict(), "events": [item._asdict() for item in one.events]} for one in found], indent=2
            )
        )
    for number, story in enumerate(found if not options.json else []):
        print(("\n" if number else "") + "\n".join(map(printable, _narrated(story))))
    if not found:
        log.usage_error(
            f"filter-daemon: nothing is known of {printable(options.word)} since {status.iso(options.since)}"
        )
    return 0 if found else 1


def _narrated(story: trace.Story) -> Iterator[str]:
    for event in story.events:
        yield f"{status.iso(event.time)}  {event.words}"
    for address, end in story.ends.items():
        yield f"so <{address}>: {end}"


def _ledger(options: argparse.Namespace, settings: Config) -> Iterator[Line]:
    for item in _lines(options, settings):
        if isinstance(item, reading.Read) and item.data["time"] >= options.since:
            yield item.data


def _lines(options: argparse.Namespace, settings: Config) -> Iterable[Any]:
    path = options.ledger or settings.ledger_file
    if not path or not os.path.isdir(os.path.dirname(os.path.abspath(path))):
        return []
    return reading.lines(os.path.abspath(path))


def _log(options: argparse.Namespace) -> Iterable[LogLine]:
    if options.no_log:
        return []
    try:
        return postfix_log.read(options.log, options.since, time.time())
    except NoLog:
        return []


def _quarantined(settings: Config) -> Optional[set[str]]:
    try:
        return set(quarantine.identities(settings.quarantine_directory))
    except OSError:
        return None


# audit


def prove(options: argparse.Namespace, settings: Config) -> int:
    """0 when every acknowledged message has an end and nothing is missing, else 1."""
    path = os.path.abspath(options.ledger or settings.ledger_file)
    if not options.ledger and not settings.ledger_file:
        log.usage_error("filter-daemon: ledger_file is empty: there is nothing to audit")
        return 1
    # What the workers have written by now must be in the files that are read afterwards. A copy knows nothing of them.
    living = {} if options.ledger else _living(settings)
    names = reading.files(path)
    ledgers = audit.Ledgers(options.since, complete=len(names) <= settings.ledger_files)
    for item in reading.lines(path):
        ledgers.take(item)
    where, lines = "none", None
    if not options.no_log:
        try:
            where = postfix_log.name(options.log)
            lines = postfix_log.read(options.log, options.since, time.time())
        except NoLog as error:
            log.usage_error(f"filter-daemon: {error}")
    local = settings.reinject.host == SAME_HOST or settings.reinject.loopback
    report = audit.judge(ledgers, living, _quarantined(settings), lines, local, time.time())
    if options.json:
        print(json.dumps(audit.as_json(report), indent=2))
    else:
        print("\n".join(map(printable, _told(report, path, len(names), where))))
    return 0 if report.good else 1


def _living(settings: Config) -> dict[str, int]:
    try:
        data = json.loads(endpoint.fetch(settings.metrics_socket, "/status")) if settings.metrics_socket else {}
    except (OSError, ValueError):
        return {}
    return {worker["name"]: worker["ledger_lines"] for worker in data.get("workers", [])}


def _told(report: audit.Report, path: str, files: int, where: str) -> Iterator[str]:
    yield f"ledger:        {path}, {files} files, {report.lines} lines"
    yield f"Postfix' log:  {where}, {report.log_lines} lines"
    yield f"messages:      {report.messages}, {report.acknowledged} of them acknowledged"
    yield "recipients:    " + (", ".join(f"{count} {name}" for name, count in report.ends.items()) or "none")
    for broken in report.broken:
        yield f"BROKEN:        {broken.path}, line {broken.number} (byte {broken.offset}): {broken.words}"
    for gap in report.gaps:
        numbers = str(gap.first) if gap.first == gap.last else f"{gap.first} to {gap.last}"
        after = f" after {status.iso(gap.after)}" if gap.after else ""
        before = f" before {status.iso(gap.before)}" if gap.before else ""
        yield f"MISSING:       {gap.missing} lines of writer {gap.writer}: {numbers}{after}{before}"
    for problem in report.problems:
        yield f"NO END:        {problem}"
    for words in report.unknown:
        yield f"not looked at: {words}"
    yield "result:        " + ("every acknowledged message has its end" if report.good else "see above")
