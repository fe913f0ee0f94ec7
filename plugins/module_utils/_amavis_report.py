# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads what amavisd-new says of itself in a debug start (`amavisd debug`), as data. No I/O.

Knows the lines of amavisd-new 2.11 to 2.13 (Amavis.pm, post_configure_hook and init_builtin_macros), with the time,
host and program that stand before each.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

_PREFIX = re.compile(r"^[A-Z][a-z]{2} [ 0-9]\d \d\d:\d\d:\d\d(?:\.\d+)? \S+ \S+\[\d+\]: ")
_STARTING = re.compile(r"starting\.(?: \(warm\))? \S+ at (\S+) (?:\S+ )?amavis(?:d-new)?-(\d\S*)(?: \((\d+)\))?")
_PERL = re.compile(r"perl=([0-9.]+), user=.*?EUID: (\d+) .*?EGID: (\d+)")
_MODULE = re.compile(r"Module (\S+)\s+(\S+)")
_CODE = re.compile(r"(.+?)(?: code)?\s+(NOT )?loaded$")
_FOUND_DECODER = re.compile(r"Found decoder for\s+\.(\S+)\s+at (.+?)(?:\s+\((backup.*)\))?$")
_INTERNAL_DECODER = re.compile(r"Internal decoder for \.(\S+)")
_NO_DECODER = re.compile(r"No decoder for\s+\.(\S+)")
_NOT_INSTALLED = re.compile(r"No ext program for\s+\.(\S+?), tried: (.+)")
_INTERNAL_SCANNER = re.compile(r"Using (primary|secondary) internal av scanner code for (.+)")
_FOUND_SCANNER = re.compile(r"Found (primary|secondary) av scanner (.+?)\s+at (\S+)")
_NO_SCANNER = re.compile(r"No (primary|secondary) av scanner: (.+)")
_SPAM = re.compile(r"(?:Using internal spam scanner code for|Found spam scanner) (\S+)")
_NO_SPAM = re.compile(r"No spam scanner:\s+(\S+)")
_BIND = re.compile(r"will bind to (.+)")
_CONFIG = re.compile(r"config files read: (.+)")
_OPTIONAL = re.compile(r"INFO: no optional modules: (.+)")

#: What it says when it is ready to fork its children.
READY = "Initialization done."
#: Parts of Perl's own library that newer versions no longer have, which amavisd-new asks for all the same.
_PART_OF_PERL = re.compile(r"(?:unicore::|\w+_heavy\.pl$)")


def parse(lines: Iterable[str]) -> dict[str, Any]:
    """The report as data; what amavisd-new did not say is None or empty."""
    report: dict[str, Any] = {
        "ready": False,
        "version": None,
        "hostname": None,
        "perl": None,
        "uid": None,
        "gid": None,
        "would_bind": [],
        "config_files": [],
        "modules": {"loaded": {}, "missing": [], "not_used": []},
        "unpackers": {"found": {}, "internal": [], "missing": [], "programs_missing": {}},
        "scanners": {"found": [], "missing": []},
        "spam_scanners": {"found": [], "missing": []},
        "complaints": [],
    }
    for line in lines:
        text = line.rstrip("\n")
        start = _PREFIX.match(text)
        if start is None:
            # Perl's own words and those of programs that the configuration runs carry no date
            if text.strip():
                report["complaints"].append(text)
            continue
        _read(report, text[start.end() :].rstrip())
    unpackers = report["unpackers"]
    unpackers["internal"] = sorted(set(unpackers["internal"]) - set(unpackers["found"]))
    return report


def _read(report: dict[str, Any], text: str) -> None:
    if READY in text:
        report["ready"] = True
    for pattern, reader in _READERS:
        found = pattern.match(text)
        if found is not None:
            reader(report, found)
            return
    if re.match(r"(_DIE|TROUBLE|ERROR|\(!+\)|.*(?:[Cc]an't|cannot) )", text):
        report["complaints"].append(text)


def _starting(report: dict[str, Any], found: re.Match[str]) -> None:
    report.update(hostname=found[1], version=found[2])


def _perl(report: dict[str, Any], found: re.Match[str]) -> None:
    number = re.fullmatch(r"(\d+)\.(\d{3})(\d{3})", found[1])
    perl = ".".join(str(int(part)) for part in number.groups()) if number else found[1]
    report.update(perl=perl, uid=int(found[2]), gid=int(found[3]))


def _optional(report: dict[str, Any], found: re.Match[str]) -> None:
    report["modules"]["missing"] += [name for name in found[1].split() if not _PART_OF_PERL.match(name)]


def _code(report: dict[str, Any], found: re.Match[str]) -> None:
    if found[2]:
        report["modules"]["not_used"].append(found[1])


def _decoder(report: dict[str, Any], found: re.Match[str]) -> None:
    report["unpackers"]["found"].setdefault(found[1], found[2])


def _scanner(tier: str, name: str, program: str | None) -> dict[str, Any]:
    return {"name": name.strip(), "tier": tier, "program": program}


_READERS = (
    (_STARTING, _starting),
    (_PERL, _perl),
    (_MODULE, lambda report, found: report["modules"]["loaded"].__setitem__(found[1], found[2])),
    (_FOUND_DECODER, _decoder),
    (_INTERNAL_DECODER, lambda report, found: report["unpackers"]["internal"].append(found[1])),
    (_NO_DECODER, lambda report, found: report["unpackers"]["missing"].append(found[1])),
    (
        _NOT_INSTALLED,
        lambda report, found: report["unpackers"]["programs_missing"].setdefault(found[1], found[2].split(", ")),
    ),
    (
        _INTERNAL_SCANNER,
        lambda report, found: report["scanners"]["found"].append(_scanner(found[1], found[2], None)),
    ),
    (
        _FOUND_SCANNER,
        lambda report, found: report["scanners"]["found"].append(_scanner(found[1], found[2], found[3])),
    ),
    (_NO_SCANNER, lambda report, found: report["scanners"]["missing"].append(found[2].strip())),
    (_SPAM, lambda report, found: report["spam_scanners"]["found"].append(found[1])),
    (_NO_SPAM, lambda report, found: report["spam_scanners"]["missing"].append(found[1])),
    (_BIND, lambda report, found: report["would_bind"].extend(found[1].split(", "))),
    (_CONFIG, lambda report, found: report["config_files"].extend(found[1].split(", "))),
    (_OPTIONAL, _optional),
    (_CODE, _code),
)
