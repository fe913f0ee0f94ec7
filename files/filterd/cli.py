# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line: serve, check, clean, quarantine, status, trace, audit.

Exit status: 0 all is well, 1 something is wrong, 2 the command line is wrong, 78 the configuration is wrong
(EX_CONFIG of sysexits(3)).
"""

from __future__ import annotations

import argparse
import asyncio
import json
from typing import Optional

from . import __version__, check, config, log, quarantine_commands, scratch
from .operate import commands as operating
from .quarantine import QuarantineError
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
    others = [*quarantine_commands.add_parsers(commands), *operating.add_parsers(commands)]
    for one in (serve, checking, cleaning, *others):
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
    commands = {
        "serve": _serve,
        "check": _check,
        "clean": _clean,
        "quarantine": quarantine_commands.run,
        "status": operating.show_status,
        "trace": operating.tell,
        "audit": operating.prove,
    }
    try:
        return commands[options.command](options, settings)
    except (StartError, QuarantineError) as error:
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
