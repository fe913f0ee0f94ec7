# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line: serve, check, clean, quarantine.

Exit status: 0 all is well, 1 something is wrong, 2 the command line is wrong, 78 the configuration is wrong
(EX_CONFIG of sysexits(3)).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Iterator
from typing import Optional

from . import __version__, check, config, log, quarantine, scratch
from .reinject import Reinjector
from .service import Service, StartError
from .smtp.reply import printable

EX_CONFIG = 78
DEFAULT_CONFIG = "/etc/filter-stack/daemon.json"
#: Seconds after which scratch that nobody uses is stale.
STALE_AGE = 86400


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="filter-daemon", description="A content filter between two Postfix smtpd: SMTP and LMTP in, SMTP out."
    )
    parser.add_argument("--version", action="version", version=f"filter-daemon {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    serve = commands.add_parser("serve", help="run in the foreground and log to standard error")
    serve.add_argument("--log-level", choices=("error", "warning", "info", "debug"), default="info")
    checking = commands.add_parser("check", help="say what the configuration means and what of it works here")
    checking.add_argument("--json", action="store_true", help="for machines")
    checking.add_argument(
        "--configuration-only", action="store_true", help="look at the file alone, not at sockets, mounts and scanners"
    )
    checking.add_argument(
        "--skip", action="append", choices=check.SECTIONS, default=[], help="leave one section out; can be repeated"
    )
    cleaning = commands.add_parser("clean", help="remove scratch files that nobody uses")
    cleaning.add_argument(
        "--older-than",
        type=_seconds,
        default=STALE_AGE,
        metavar="SECONDS",
        help="only what has not changed for so long (default: %(default)s)",
    )
    keeping = commands.add_parser("quarantine", help="look into the quarantine, release and delete")
    actions = keeping.add_subparsers(dest="action", required=True, metavar="ACTION")
    listing = actions.add_parser("list", help="one line a message")
    listing.add_argument("--json", action="store_true", help="for machines")
    for name, words in (
        ("show", "envelope, findings and the message itself"),
        ("release", "hand messages to the reinjecting smtpd, and delete them when it has taken them"),
        ("delete", "remove messages for good"),
    ):
        action = actions.add_parser(name, help=words)
        action.add_argument("ids", nargs="+", metavar="ID")
    for one in (serve, checking, cleaning, listing, *(actions.choices[name] for name in ("show", "release", "delete"))):
        one.add_argument("--config", default=DEFAULT_CONFIG, metavar="FILE", help="default: %(default)s")
    return parser


def _seconds(text: str) -> float:
    value = float(text) if text.replace(".", "", 1).isdigit() and text.isascii() else -1.0
    if value < 0:
        raise argparse.ArgumentTypeError(f"held {text!r}; it takes a number of seconds, 0 or more")
    return value


def main(arguments: Optional[list[str]] = None) -> int:
    """Run one command and return the exit status."""
    options = _parser().parse_args(arguments)
    try:
        settings = config.load(options.config)
    except config.ConfigError as error:
        log.usage_error(str(error))
        return EX_CONFIG
    commands = {"serve": _serve, "check": _check, "clean": _clean, "quarantine": _quarantine}
    try:
        return commands[options.command](options, settings)
    except (StartError, quarantine.QuarantineError) as error:
        log.usage_error(f"filter-daemon: {error}")
    except OSError as error:
        log.usage_error(f"filter-daemon: {error.filename or 'output'}: {error.strerror or error}")
    return 1


def _serve(options: argparse.Namespace, settings: config.Config) -> int:
    log.set_level(options.log_level)
    return Service(options.config, settings).run()


def _check(options: argparse.Namespace, settings: config.Config) -> int:
    skipped = set(check.SECTIONS) if options.configuration_only else set(options.skip)
    report = asyncio.run(check.report(options.config, settings, skipped))
    if options.json:
        print(json.dumps(report.as_json(), indent=2))
    else:
        print(report.as_text())
    return 0 if report.good else 1


def _clean(options: argparse.Namespace, settings: config.Config) -> int:
    for name in scratch.clean(settings.scratch_directory, options.older_than):
        print("removed " + printable(f"{settings.scratch_directory}/{name}"))
    return 0


# Quarantine


def _quarantine(options: argparse.Namespace, settings: config.Config) -> int:
    directory = settings.quarantine_directory
    if options.action == "list":
        return _list(directory, options.json)
    found = [quarantine.find(directory, quarantine_id) for quarantine_id in dict.fromkeys(options.ids)]
    if options.action == "show":
        for entry in found:
            print(json.dumps(entry.data, indent=2), flush=True)
            for piece in quarantine.content(entry):
                sys.stdout.buffer.write(piece)
            sys.stdout.buffer.flush()
        return 0
    if options.action == "delete":
        for entry in found:
            quarantine.delete(entry)
            print(f"deleted {entry.quarantine_id}")
        return 0
    return asyncio.run(_release(found, settings))


def _list(directory: str, as_json: bool) -> int:
    entries = list(quarantine.entries(directory))
    if as_json:
        print(json.dumps([entry.data for entry in entries], indent=2))
        return 0
    for entry in entries:
        when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(entry.data["time"]))
        names = ", ".join(finding["name"] for finding in entry.data["findings"])
        recipients = ", ".join(item["address"] for item in entry.data["recipients"])
        line = f"{entry.quarantine_id}  {when}  <{entry.data['sender']}> -> {recipients}  {names}"
        print(line.encode("ascii", "replace").decode("ascii"))
    return 0


class _Content:
    def __init__(self, entry: quarantine.Entry) -> None:
        self._entry = entry

    def __iter__(self) -> Iterator[bytes]:
        return quarantine.content(self._entry)


async def _release(found: list[quarantine.Entry], settings: config.Config) -> int:
    reinjector = Reinjector(settings, asyncio.get_running_loop())
    status = 0
    for entry in found:
        with quarantine.claimed(entry):
            size = sum(len(piece) for piece in _Content(entry))
            # To all recipients or to none: what is kept has reached nobody, so nobody gets it twice.
            replies = await reinjector.deliver(entry.envelope(), _Content(entry), size, lambda: True, strict=True)
            refused = [reply for reply in replies if not reply.positive]
            if refused:
                status = 1
                log.usage_error(f"{entry.quarantine_id}: kept, {refused[0].brief()}")
            else:
                quarantine.delete(entry)
                print(f"released {entry.quarantine_id}: {replies[0].brief()}", flush=True)
    reinjector.close()
    return status
