# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Postfix' log: where it is on this host, and what its lines say."""

from __future__ import annotations

import calendar
import gzip
import os
import re
import shutil
import subprocess
import time
import zlib
from collections.abc import Iterable, Iterator
from typing import NamedTuple, Optional

from .. import log

_USUAL_FILES = ("/var/log/mail.log", "/var/log/maillog")
#: Seconds that a helper program of Postfix or systemd may take to begin.
_PATIENCE = 20
_LINE = re.compile(
    r"(?:<\d+>)?(?P<stamp>[A-Z][a-z]{2} [ 0-9]\d \d\d:\d\d:\d\d(?:\.\d+)?|\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\S*) \S+ "
    r"(?P<program>[^\s:\[]+)(?:\[\d+\])?: (?P<message>.*)"
)
#: Short ids are hexadecimal, long ones (enable_long_queue_ids) have letters and digits without vowels.
_QUEUE_ID = re.compile(r"(?P<queue_id>[0-9A-F]{5,15}|[0-9B-DF-HJ-NP-TV-Zb-df-hj-np-tv-z]{8,20}): (?P<rest>.*)")
_DELIVERY = re.compile(
    r"to=<(?P<to>.*?)>, (?:orig_to=<.*?>, )?relay=(?P<relay>.*?), .*?status=(?P<status>\S+) \((?P<reply>.*)\)$"
)
_FILTER_ID = re.compile(r"\bfilter id=([0-9a-f]{10})\b")
_PROXY = re.compile(
    r"(?:NOQUEUE: )?proxy-(?P<verb>accept|reject): END-OF-MESSAGE: (?P<reply>.*?); from=<.*?> to=<(?P<to>.*?)>"
)
_QUEUED = re.compile(r"\bqueued as ([0-9A-Za-z]{5,20})\b")


class LogLine(NamedTuple):
    """One line of Postfix' log."""

    time: float  #: seconds since 1970, 0 when unreadable
    program: str
    queue_id: str  #: empty when it is about no queue file
    text: str


class Delivery(NamedTuple):
    """One attempt to deliver, to one recipient."""

    recipient: str
    relay: str
    status: str  #: sent, deferred, bounced
    reply: str
    filter_id: str  #: empty when it did not go to this filter
    queued: str  #: queue id that the other side gave, empty without


def parse(text: str, now: float) -> Optional[LogLine]:
    """A line, None when it is none. A stamp without a year is of the last twelve months before `now`."""
    line = _LINE.match(text.rstrip("\n"))
    if line is None:
        return None
    entry = _QUEUE_ID.match(line["message"])
    when = stamp(line["stamp"], now)
    if entry is None:
        return LogLine(when, line["program"], "", line["message"])
    return LogLine(when, line["program"], entry["queue_id"], entry["rest"])


def stamp(text: str, now: float) -> float:
    """The time of a stamp, of syslog or ISO 8601, in seconds since 1970; 0 when it is none."""
    try:
        if text[0].isdigit():
            whole, zone = text[:19], re.search(r"([+-]\d\d):?(\d\d)$|Z$", text[19:])
            seconds = time.strptime(whole, "%Y-%m-%dT%H:%M:%S")
            if zone is None:
                return time.mktime(seconds)
            shift = 0
            if zone.group(1):
                shift = (60 * int(zone.group(1)[1:]) + int(zone.group(2))) * (-60 if zone.group(1)[0] == "-" else 60)
            fraction = re.match(r"\.\d+", text[19:])
            return calendar.timegm(seconds) - shift + (float(fraction.group()) if fraction else 0.0)
        year = time.localtime(now).tm_year
        found = time.mktime(time.strptime(f"{year} {text[:15]}", "%Y %b %d %H:%M:%S"))
        if found > now + 86400:
            found = time.mktime(time.strptime(f"{year - 1} {text[:15]}", "%Y %b %d %H:%M:%S"))
        return found
    except (ValueError, OverflowError):
        return 0.0


def delivery(line: LogLine) -> Optional[Delivery]:
    """The attempt that a line tells of, None when it tells of none; also a message that smtpd handed to a proxy."""
    proxy = _PROXY.match(line.text)
    if proxy is not None:
        status = "sent" if proxy["verb"] == "accept" else "bounced" if proxy["reply"].startswith("5") else "deferred"
        return Delivery(proxy["to"], "proxy", status, proxy["reply"], _first(_FILTER_ID, proxy["reply"]), "")
    found = _DELIVERY.match(line.text)
    if found is None:
        return None
    reply = found["reply"]
    queued = _QUEUED.findall(reply) if found["status"] == "sent" else []
    return Delivery(
        found["to"], found["relay"], found["status"], reply, _first(_FILTER_ID, reply), queued[-1] if queued else ""
    )


def _first(pattern: re.Pattern[str], text: str) -> str:
    found = pattern.search(text)
    return found.group(1) if found else ""


# Where it is


class NoLog(Exception):
    """Postfix' log was not found; the words say where it was looked for."""


def name(given: list[str]) -> str:
    """Where the log is read, for people. Raises NoLog."""
    paths = given or _own_files()
    if paths:
        return ", ".join(paths)
    if shutil.which("journalctl"):
        return "the systemd journal"
    raise NoLog(
        f"Postfix' log was not found: looked at maillog_file of main.cf, {', '.join(_USUAL_FILES)}, the journal"
    )


def read(given: list[str], since: float, now: float) -> Iterator[LogLine]:
    """The lines of these files, or else of where Postfix logs on this host. Raises NoLog and OSError."""
    paths = given or [older for path in _own_files() for older in _with_older(path, since)]
    texts: Iterable[str]
    if paths:
        texts = (text for path in paths for text in _file(path))
    else:
        name(given)
        texts = _journal(since)
    for text in texts:
        line = parse(text, now)
        if line is not None and (line.time >= since or not line.time):
            yield line


def _own_files() -> list[str]:
    own = _maillog_file()
    if own:
        return [own]
    return [path for path in _USUAL_FILES if os.path.exists(path)][:1]


def _with_older(path: str, since: float) -> list[str]:
    """What logrotate made of it before, as far as it is needed, the oldest first."""
    found = [path]
    for number in range(1, 60):
        older = next((f"{path}.{number}{end}" for end in ("", ".gz") if os.path.exists(f"{path}.{number}{end}")), None)
        if older is None or os.stat(older).st_mtime < since:
            break
        found.insert(0, older)
    return found


def _file(path: str) -> Iterator[str]:
    opener = gzip.open if path.endswith(".gz") else open
    with opener(path, "rt", encoding="utf-8", errors="backslashreplace") as file:
        try:
            yield from file
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            log.usage_error(f"filter-daemon: {path} is damaged, the rest of it is not read: {error}")


def _maillog_file() -> str:
    postconf = shutil.which("postconf", path=os.environ.get("PATH", "") + ":/usr/sbin")
    if postconf is None:
        return ""
    try:
        done = subprocess.run(
            [postconf, "-h", "maillog_file"], capture_output=True, text=True, timeout=_PATIENCE, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    path = done.stdout.strip()
    # Postfix may also log to its standard output, which nobody can read again.
    return path if path.startswith("/") and not path.startswith("/dev/") and os.path.exists(path) else ""


def _journal(since: float) -> Iterator[str]:
    command = ["journalctl", "--quiet", "--no-pager", "--output=short-iso", "--facility=mail", f"--since=@{int(since)}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, errors="backslashreplace") as process:
        assert process.stdout is not None
        yield from process.stdout
