# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What `check` says: what the configuration means, and what of it works on this host as this user."""

from __future__ import annotations

import asyncio
import grp
import os
import pwd
import sys
from typing import Any, NamedTuple

from . import __version__, check_policy, scratch
from .check_policy import BAD, GOOD, WARNING
from .config import Config
from .content import helper
from .findings import ScannerFailure
from .operate import fingerprint, ledger
from .reinject import Reinjector
from .scan import factory
from .scan import settings as scanning
from .smtp.esmtp import RELAYED_EXTENSIONS
from .values import SAME_HOST

SECTIONS = ("directories", "listen", "reinject", "scanners", "unpackers", "policy", "notices")


class Line(NamedTuple):
    """One thing that was looked at."""

    section: str
    state: str
    text: str


class Report:
    """All that was found."""

    def __init__(self, facts: dict[str, Any]) -> None:
        self.facts = facts
        self.lines: list[Line] = []

    def add(self, section: str, state: str, text: str) -> None:
        """One more finding."""
        self.lines.append(Line(section, state, text))

    @property
    def good(self) -> bool:
        """Whether nothing is wrong."""
        return all(line.state != BAD for line in self.lines)

    def as_json(self) -> dict[str, Any]:
        """For machines."""
        return {**self.facts, "ok": self.good, "checks": [line._asdict() for line in self.lines]}

    def as_text(self) -> str:
        """For people."""
        shown = [f"{name + ':':24}{value}" for name, value in self.facts.items() if name != "configuration"]
        shown += [f"{line.section + ':':24}{line.state}: {line.text}" for line in self.lines]
        shown.append("result:                 " + ("all is well" if self.good else "there are problems, see above"))
        return "\n".join(shown)


async def report(path: str, settings: Config, skipped: set[str]) -> Report:
    """Look at everything but the sections in `skipped`."""
    result = Report(_facts(path, settings))
    if "directories" not in skipped:
        _directories(settings, result)
    if "listen" not in skipped:
        await _listen(settings, result)
    if "reinject" not in skipped:
        await _reinject(settings, result)
    if "unpackers" not in skipped:
        _unpackers(settings, result)
    for name, look in (("policy", check_policy.policy), ("notices", check_policy.notices)):
        for state, text in () if name in skipped else look(settings):
            result.add(name, state, text)
    if "scanners" not in skipped:
        await _scanners(settings, result)
    return result


def _unpackers(settings: Config, result: Report) -> None:
    if not settings.unpack_levels:
        result.add("unpackers", WARNING, "archives are not opened: unpack_levels is 0")
        return
    programs: dict[str, list[str]] = {}
    for form, program in helper.unpackers().items():
        programs.setdefault(program, []).append(form)
    missing = programs.pop("", [])
    for program, forms in programs.items():
        result.add("unpackers", GOOD, f"{program}: {', '.join(forms)}")
    if missing:
        words = f"nothing opens {', '.join(missing)}: install 7zip or libarchive-tools, or names inside are not seen"
        result.add("unpackers", WARNING, words)


def _facts(path: str, settings: Config) -> dict[str, Any]:
    return {
        "version": __version__,
        "interpreter": f"Python {sys.version.split()[0]} ({sys.executable})",
        "code": f"{fingerprint.of_code(fingerprint.code_directory())} ({fingerprint.code_directory()})",
        "host": settings.own_name,
        "user": _user(),
        "configuration_file": path,
        "fingerprint": settings.fingerprint,
        "instances": settings.instances,
        "scratch_bound_bytes": settings.scratch_bound,
        "per_message_bytes": settings.per_message_budget,
        "configuration": settings.as_json(),
    }


def _user() -> str:
    def name(number: int) -> str:
        try:
            return grp.getgrgid(number).gr_name
        except KeyError:
            return str(number)

    try:
        user = pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        user = str(os.geteuid())
    groups = sorted({name(number) for number in [os.getegid(), *os.getgroups()]})
    return f"{user} (uid {os.geteuid()}, groups {', '.join(groups)})"


def _directories(settings: Config, result: Report) -> None:
    for key in ("scratch_directory", "quarantine_directory"):
        path = getattr(settings, key)
        try:
            scratch.probe_directory(path)  # looks, and makes nothing: it may run as another user than the service
        except OSError as error:
            result.add(key, BAD, f"{path}: {error.strerror}")
            continue
        status = os.statvfs(path)
        size, free = status.f_blocks * status.f_frsize, status.f_bavail * status.f_frsize
        words = f"{path}: writable, {free} of {size} bytes free"
        if key == "quarantine_directory":
            reserve = settings.quarantine_reserve
            state = GOOD if free >= reserve + settings.message_size_limit else BAD
            result.add(key, state, f"{words}; quarantine_reserve is {reserve}")
        elif size >= settings.scratch_bound:
            result.add(key, GOOD, f"{words}; n*(1+f)*message_size_limit*7/8 needs {settings.scratch_bound}")
        else:
            result.add(key, BAD, f"{words}; n*(1+f)*message_size_limit*7/8 needs {settings.scratch_bound} bytes")
    _ledger(settings.ledger_file, result)


def _ledger(path: str, result: Report) -> None:
    if not path:
        result.add("ledger_file", GOOD, "none is kept")
        return
    try:
        ledger.probe(path)
    except OSError as error:
        words = f"{error.filename or path}: {error.strerror}: mail would go on, and its lines in {path} would be lost"
        result.add("ledger_file", BAD, words)
    else:
        result.add("ledger_file", GOOD, f"{path}: writable")


async def _listen(settings: Config, result: Report) -> None:
    for address in settings.listen:
        if address.port == 0:
            continue
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(address.host, address.host)
        try:
            reader, writer = await asyncio.wait_for(asyncio.open_connection(host, address.port), 5)
            banner = (await asyncio.wait_for(reader.readline(), 5)).decode("ascii", "replace").strip()
            writer.close()
        except (OSError, asyncio.TimeoutError) as error:
            result.add("listen", WARNING, f"{address}: no daemon answers there now ({error or 'no answer'})")
            continue
        state = GOOD if banner.startswith("220 ") and "content filter" in banner else BAD
        result.add("listen", state, f"{address}: greets with {banner!r}")


async def _reinject(settings: Config, result: Report) -> None:
    if settings.reinject.host == SAME_HOST:
        words = f"{settings.reinject}: the host that hands a message in gets it back at port {settings.reinject.port}"
        result.add("reinject", GOOD, words)
        return
    reinjector = Reinjector(settings, asyncio.get_running_loop())
    await reinjector.extensions()
    known = reinjector.known_extensions()
    reinjector.close()
    if known is None:
        result.add("reinject", BAD, f"{settings.reinject}: no smtpd answers there")
        return
    missing = [keyword for keyword in RELAYED_EXTENSIONS if keyword not in known]
    missing += [] if known.xforward else ["XFORWARD"]
    words = f"{settings.reinject}: answers EHLO"
    if missing:
        result.add(
            "reinject", WARNING, f"{words}, but lacks {', '.join(missing)}, which is then not offered to clients"
        )
    else:
        result.add("reinject", GOOD, f"{words} with all extensions")
    if 0 < known.size < settings.message_size_limit:
        limit = settings.message_size_limit
        words = f"{settings.reinject}: takes at most {known.size} bytes, message_size_limit is {limit}"
        result.add("reinject", WARNING, words)


async def _scanners(settings: Config, result: Report) -> None:
    if not settings.virus_scanner_configured:
        result.add("scanners", WARNING, "no virus scanner is configured: only the EICAR test pattern is found")
    for scanner in settings.scanners:
        await _scanner(scanner, settings.scratch_directory, result)


async def _scanner(settings: scanning.Scanner, scratch_directory: str, result: Report) -> None:
    scanner = factory.scanner(settings, scratch_directory, asyncio.get_running_loop())
    try:
        probe = await scanner.probe()
    except ScannerFailure as failure:
        result.add("scanners", BAD, str(failure))
        return
    finally:
        scanner.close()
    role = " (backup)" if scanner.backup else ""
    result.add("scanners", GOOD if probe.good else WARNING, f"{scanner.name}{role}: {probe.words}")
