# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Has the host's own postconf(1) judge a changed configuration before it replaces the old one."""

from __future__ import annotations

import os
import shutil
import tempfile
from typing import Any, NamedTuple


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


def judge(module: Any, postconf: str, path: str, kind: str, old: bytes, new: bytes) -> Verdict:
    """Read both contents of the file `path`, which is a main.cf or master.cf by `kind`, with postconf.

    Each is read in a copy of the file's directory, with only main.cf and master.cf in it: postconf needs no other file
    to read these two. The real directory is neither changed nor locked.
    """
    code, words = _read(module, postconf, path, kind, new)
    if code == 0 and not words:
        return Verdict(None, [])
    # Some hosts have had warnings for years: only what is new counts.
    _code, known = _read(module, postconf, path, kind, old)
    fresh = [line for line in words if line not in known]
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
        words: list[str] = []
        worst = 0
        # -M parses master.cf, -n also looks for parameters that nothing uses.
        for mode in ("-M", "-n"):
            code, _out, err = module.run_command([postconf, "-c", directory, mode], environ_update={"LC_ALL": "C"})
            worst = worst or code
            said = err.replace(directory, os.path.dirname(path)).splitlines()
            words += [line for line in said if line.strip() and line not in words]
        return worst, words
    finally:
        shutil.rmtree(directory, ignore_errors=True)
