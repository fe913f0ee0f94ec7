# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The commands `quarantine list|show|release|delete|expire`: options, and what is printed for people and machines."""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import sys
import time
from collections.abc import Iterable
from typing import Any, Optional

from . import log, quarantine, quarantine_expire, quarantine_release, values
from .config import Config
from .findings import CATEGORIES, CLEAN
from .operate import notes
from .quarantine import Entry, QuarantineError
from .quarantine_filter import Filter, moment, selected
from .quarantine_journal import Journal
from .reinject import Reinjector
from .smtp.reply import printable

_NOT_TEXT = re.compile(rb"[^\t\n\x20-\x7e]")


def add_parsers(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> list[argparse.ArgumentParser]:
    """Add `quarantine` to the command line; the parsers that take further common options."""
    keeping = commands.add_parser("quarantine", help="look into the quarantine, release and delete")
    actions = keeping.add_subparsers(dest="action", required=True, metavar="ACTION")
    listing = actions.add_parser("list", help="one line a message")
    listing.add_argument("--recipient", metavar="PATTERN", help="only messages to such an address, like *@example.com")
    listing.add_argument(
        "--sender", metavar="PATTERN", help="only messages from such an address; '' for the null sender"
    )
    categories = [name for name in CATEGORIES if name != CLEAN]
    categories += [quarantine.UNDELIVERED_BOUNCE, quarantine.UNDELIVERED_COPY]
    listing.add_argument("--category", choices=categories, help="only messages in which this was found")
    listing.add_argument(
        "--since", type=_moment, metavar="TIME", help="only newer messages: 2026-11-22, 2026-11-22T18:00, 36h or 7d"
    )
    listing.add_argument("--message-id", metavar="ID", help="only messages with this Message-ID, with or without <>")
    showing = actions.add_parser("show", help="envelope, findings and the message itself")
    what = showing.add_mutually_exclusive_group()
    what.add_argument("--headers", action="store_true", help="of the message only its header")
    what.add_argument("--raw", action="store_true", help="the message alone, byte for byte")
    releasing = actions.add_parser("release", help="hand messages to the reinjecting smtpd, once to each recipient")
    releasing.add_argument(
        "--to", action="append", default=[], metavar="ADDRESS", help="only to this recipient; can be repeated"
    )
    releasing.add_argument(
        "--again", action="store_true", help="also where it is in doubt whether an earlier release was taken"
    )
    releasing.add_argument(
        "--via", type=_address, metavar="HOST:PORT", help="the smtpd that takes them (default: the key reinject)"
    )
    deleting = actions.add_parser("delete", help="remove messages for good")
    for action in (showing, releasing, deleting):
        action.add_argument("ids", nargs="+", metavar="ID")
    expiring = actions.add_parser("expire", help="remove what quarantine_max_age and quarantine_max_size do not keep")
    expiring.add_argument("--older-than", type=_seconds, metavar="SECONDS", help="in place of quarantine_max_age")
    expiring.add_argument("--quiet", action="store_true", help="say only what went wrong")
    for action in (releasing, deleting, expiring):
        action.add_argument("--dry-run", action="store_true", help="say what would be done, and do nothing")
    parsers = [listing, showing, releasing, deleting, expiring]
    for action in (listing, releasing, deleting, expiring):
        action.add_argument("--json", action="store_true", help="for machines")
    what.add_argument("--json", action="store_true", help="for machines: envelope, findings, releases and header")
    return parsers


def run(options: argparse.Namespace, settings: Config) -> int:
    """Do what the command line asks for, and return the exit status. Raises QuarantineError and OSError."""
    directory = settings.quarantine_directory
    if options.action == "list":
        return _list(options, directory)
    if options.action == "expire":
        return _expire(options, settings)
    found = [quarantine.find(directory, quarantine_id) for quarantine_id in dict.fromkeys(options.ids)]
    if options.action == "show":
        return _show(options, found)
    if options.action == "delete":
        return _delete(options, found, settings)
    return asyncio.run(_release(options, found, settings))


def _moment(text: str) -> float:
    try:
        return moment(text, time.time())
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _address(text: str) -> values.Address:
    try:
        return values.next_hop(text)
    except values.Wrong as wrong:
        raise argparse.ArgumentTypeError(f"held {text!r}; it takes {wrong}") from None


def _seconds(text: str) -> float:
    if not re.match(r"[0-9]{1,10}(\.[0-9]+)?\Z", text):
        raise argparse.ArgumentTypeError(f"held {text!r}; it takes a number of seconds, 0 or more")
    return float(text)


# Looking


def describe(entry: Entry) -> dict[str, Any]:
    """All that is known of a message, for machines. Raises OSError."""
    states = Journal(entry).states()
    recipients = []
    for item in entry.data["recipients"]:
        state = states[item["address"]]
        release = {} if not state.time else {"time": state.time, "downstream": state.downstream, "reply": state.reply}
        recipients.append({**item, "state": state.name, **({"release": release} if release else {})})
    return {**entry.data, "recipients": recipients, "size": quarantine.size(entry)}


def _list(options: argparse.Namespace, directory: str) -> int:
    wanted = Filter(options.recipient, options.sender, options.category, options.since)
    entries = [entry for entry in quarantine.entries(directory) if selected(entry.data, wanted)]
    found = []
    for entry in entries:
        try:
            if options.message_id is None or _has(entry, options.message_id):
                found.append(describe(entry))
        except FileNotFoundError:
            continue  # it has just been released
    if options.json:
        print(json.dumps(found, indent=2))
        return 0
    for data in found:
        print(_line(data))
    return 0


def _has(entry: Entry, message_id: str) -> bool:
    return quarantine.message_id(entry).strip("<>") == message_id.strip().strip("<>")


def _line(data: dict[str, Any]) -> str:
    names = ", ".join(finding["name"] for finding in data["findings"])
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(data["time"]))
    recipients = ", ".join(
        item["address"] + (f" ({item['state']})" if "release" in item else "") for item in data["recipients"]
    )
    return printable(f"{data['id']}  {when}  <{data['sender']}> -> {recipients}  {names}")


def _show(options: argparse.Namespace, found: list[Entry]) -> int:
    if options.json:
        shown = [
            {**describe(entry), "header": quarantine.header(entry).decode("utf-8", "backslashreplace")}
            for entry in found
        ]
        print(json.dumps(shown, indent=2))
        return 0
    for entry in found:
        if not options.raw:
            print(json.dumps(describe(entry), indent=2), flush=True)
        pieces: Iterable[bytes] = quarantine.content(entry)
        if options.headers:
            pieces = [quarantine.header(entry), b"\r\n"]
        for piece in pieces:
            # What would command a terminal does not reach it; a file or another program gets every byte.
            sys.stdout.buffer.write(_NOT_TEXT.sub(b"?", piece.replace(b"\r\n", b"\n")) if _is_terminal() else piece)
        sys.stdout.buffer.flush()
    return 0


def _is_terminal() -> bool:
    return sys.stdout.isatty()


# Changing


def _delete(options: argparse.Namespace, found: list[Entry], settings: Config) -> int:
    for entry in found:
        if not options.dry_run:
            with quarantine.claimed(entry):
                quarantine.delete(entry)
            notes.removed(settings, entry.quarantine_id, "deleted")
        if not options.json:
            print(f"{'would delete' if options.dry_run else 'deleted'} {entry.quarantine_id}", flush=True)
    if options.json:
        print(json.dumps([{"id": entry.quarantine_id, "deleted": not options.dry_run} for entry in found], indent=2))
    return 0


async def _release(options: argparse.Namespace, found: list[Entry], settings: Config) -> int:
    results = []
    for entry in found:
        result: dict[str, Any] = {"id": entry.quarantine_id}
        try:
            if options.dry_run:
                result["would_release"] = quarantine_release.plan(entry, options.to, options.again)
            else:
                target = quarantine_release.downstream(entry, settings.reinject, options.via)
                reinjector = Reinjector(settings, asyncio.get_running_loop(), target)
                outcome = await quarantine_release.release(reinjector, str(target), entry, options.to, options.again)
                reinjector.close()
                notes.released(settings, entry.quarantine_id, outcome.released, outcome.deleted)
                result.update(outcome._asdict())
        except QuarantineError as error:
            result["error"] = str(error)
        except OSError as error:
            result["error"] = f"{entry.quarantine_id}: {error.filename or entry.path}: {error.strerror or error}"
        results.append(result)
        if not options.json:
            _say(result)
    if options.json:
        print(json.dumps(results, indent=2))
    return 1 if any(result.get(word) for result in results for word in ("error", "refused", "doubtful")) else 0


def _say(result: dict[str, Any]) -> None:
    """What became of one release, in lines."""
    name = result["id"]
    if "error" in result:
        log.usage_error(f"filter-daemon: {result['error']}")
        return
    if "would_release" in result:
        recipients = _brackets(result["would_release"]) or "nobody, because all have it, and delete it"
        print(printable(f"would release {name} to {recipients}"), flush=True)
        return
    by_reply: dict[str, list[str]] = {}
    for address, reply in result["released"].items():
        by_reply.setdefault(reply, []).append(address)
    for reply, addresses in by_reply.items():
        print(printable(f"released {name} to {_brackets(addresses)}: {reply}"), flush=True)
    if result["deleted"] and not result["released"]:
        print(f"{name} had been released to all its recipients before; it is deleted now", flush=True)
    for word, told in (("refused", "kept"), ("doubtful", "in doubt whether it was taken")):
        for address, reply in result[word].items():
            log.usage_error(printable(f"{name}: {told} for <{address}>, {reply}"))


def _brackets(addresses: Iterable[str]) -> str:
    return ", ".join(f"<{address}>" for address in addresses)


def _expire(options: argparse.Namespace, settings: Config) -> int:
    max_age: Optional[float] = options.older_than
    if max_age is None:
        max_age = settings.quarantine_max_age or None
    gone = quarantine_expire.expire(
        settings.quarantine_directory, max_age, settings.quarantine_max_size, options.dry_run
    )
    for item, _ in gone.messages if not options.dry_run else ():
        notes.removed(settings, item.quarantine_id, "expired")
    if options.json:
        print(json.dumps(_expired_as_json(gone, options.dry_run), indent=2))
    elif not options.quiet:
        verb = "would remove" if options.dry_run else "removed"
        for item, reason in gone.messages:
            when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(item.time))
            print(f"{verb} {item.quarantine_id}  {when}  {item.size} bytes  ({reason})")
        for name in gone.leftovers:
            print(f"{verb} {name}  (left by a process that was killed)")
    if not options.json:
        for problem in gone.problems:
            log.usage_error("filter-daemon: " + printable(problem))
    return 1 if gone.problems else 0


def _expired_as_json(gone: quarantine_expire.Expired, dry_run: bool) -> dict[str, Any]:
    return {
        "dry_run": dry_run,
        "removed": [
            {"id": item.quarantine_id, "time": item.time, "size": item.size, "reason": reason}
            for item, reason in gone.messages
        ],
        "leftovers": gone.leftovers,
        "problems": gone.problems,
        "kept": gone.kept,
        "kept_bytes": gone.kept_size,
    }
