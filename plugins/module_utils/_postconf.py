# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Has the host's own postconf(1) judge a changed configuration before it replaces the old one."""

from __future__ import annotations

import os
import re
import shutil
import socket
import tempfile
from typing import Any, NamedTuple

_LINE_NUMBER = re.compile(r", line [0-9]+(?:-[0-9]+)?")


class Verdict(NamedTuple):
    """What postconf said about the new configuration that it does not say about the old one."""

    #: The configuration cannot be used; None when it can.
    error: str | None
    #: For example parameters that this version of Postfix does not know.
    warnings: list[str]


def validate(module: Any, path: str, kind: str, old: bytes, new: bytes) -> bool:
    """Judge a new content of the file `path` for a module, and tell whether that was possible.

    Raises ValueError with postconf's words when it refuses the new content; what it only warns about becomes a
    warning of the module. Without Postfix on the host, check mode goes on with a warning.
    """
    postconf = find(module)
    if postconf is None:
        if module.check_mode:
            module.warn(f"{path}: not validated, because this host has no postconf yet")
            return False
        raise ValueError(
            "validate: true takes postconf on the host, and there is none; install Postfix, or set it to false"
        )
    verdict = judge(module, postconf, path, kind, old, new)
    if verdict.error is not None:
        raise ValueError(f"{path}: postconf refuses the new content: {verdict.error}")
    for warning in verdict.warnings:
        module.warn(warning)
    return True


def find(module: Any) -> str | None:
    """The path of postconf, or None when Postfix is not installed."""
    path: str | None = module.get_bin_path("postconf", opt_dirs=["/usr/sbin", "/sbin", "/usr/local/sbin"])
    return path


def version(module: Any, postconf: str) -> tuple[int, ...]:
    """The version of Postfix as numbers, (3, 7, 11); () when it cannot be told."""
    words = _ask(module, [postconf, "-d", "-h", "mail_version"])
    numbers = re.match(r"[0-9]+(?:\.[0-9]+)*", words)
    return tuple(int(number) for number in numbers[0].split(".")) if numbers else ()


def families(module: Any, postconf: str, directory: str) -> set[int]:
    """The address families that Postfix uses with the configuration in `directory`, by its parameter inet_protocols."""
    known = {"ipv4": socket.AF_INET, "ipv6": socket.AF_INET6}
    words = re.split(r"[\s,]+", _ask(module, [postconf, "-c", directory, "-hx", "inet_protocols"]))
    # "all", or a configuration that cannot be asked.
    return {int(known[word]) for word in words if word in known} or {int(family) for family in known.values()}


def value(module: Any, postconf: str, name: str) -> str:
    """The value of a parameter of the running Postfix, with its $references resolved; empty when there is none."""
    return _ask(module, [postconf, "-hx", name])


def _ask(module: Any, command: list[str]) -> str:
    code, out, _err = module.run_command(command, environ_update={"LC_ALL": "C"})
    return out.strip() if code == 0 else ""


def judge(module: Any, postconf: str, path: str, kind: str, old: bytes, new: bytes) -> Verdict:
    """Read both contents of the file `path`, which is a main.cf or master.cf by `kind`, with postconf.

    Each is read in a copy of the file's directory, with only main.cf and master.cf in it: postconf needs no other file
    to read these two. The real directory is neither changed nor locked.
    """
    code, words = _read(module, postconf, path, kind, new)
    if code == 0 and not words:
        return Verdict(None, [])
    # Some hosts have had warnings for years: only what is new counts, also when it moved to another line.
    _code, old_words = _read(module, postconf, path, kind, old)
    known = {_LINE_NUMBER.sub("", line) for line in old_words}
    fresh = [line for line in words if _LINE_NUMBER.sub("", line) not in known]
    if code != 0:
        return Verdict("; ".join(words) or f"{postconf} ended with {code}", fresh)
    return Verdict(None, fresh)


def _read(module: Any, postconf: str, path: str, kind: str, content: bytes) -> tuple[int, list[str]]:
    directory = tempfile.mkdtemp(dir=module.tmpdir)
    try:
        for name in ("main.cf", "master.cf"):
            source = os.path.join(os.path.dirname(path), name)
            target = os.path.join(directory, name)
            if os.path.exists(source):
                shutil.copyfile(source, target)
            else:
                open(target, "wb").close()
        with open(os.path.join(directory, kind), "wb") as stream:
            stream.write(content)
        # postconf waits for up to two seconds until a main.cf that was written just now has "cooled down".
        os.utime(os.path.join(directory, "main.cf"), (0, 0))
        words: list[str] = []
        worst = 0
        # -M parses master.cf, -n also looks for parameters that nothing uses.
        for mode in ("-M", "-n"):
            code, _out, err = module.run_command([postconf, "-c", directory, mode], environ_update={"LC_ALL": "C"})
            worst = worst or code
            said = err.replace(directory, os.path.dirname(path)).splitlines()
            words += [line for line in said if line.strip() and line not in words]
            if code != 0:
                # It says the same again in the other mode, after the second that Postfix waits when it gives up.
                break
        return worst, words
    finally:
        shutil.rmtree(directory, ignore_errors=True)
