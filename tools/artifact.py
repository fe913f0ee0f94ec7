# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Looks through a built collection: what it has to hold is there, and nothing that is nobody's business.

Usage: python tools/artifact.py ARTIFACT
"""

from __future__ import annotations

import re
import sys
import tarfile
from collections.abc import Iterator

#: All that may stand at the top.
TOP = {
    "CHANGELOG.rst",
    "CONTRIBUTING.md",
    "FILES.json",
    "LICENSE",
    "MANIFEST.json",
    "README.md",
    "SECURITY.md",
    "changelogs",
    "docs",
    "examples",
    "files",
    "meta",
    "playbooks",
    "plugins",
    "roles",
}
#: What a user cannot do without.
NEEDED = (
    "LICENSE",
    "README.md",
    "meta/runtime.yml",
    "playbooks/site.yml",
    "files/filter_daemon.py",
    "files/filterd/pipeline.py",
    "roles/filter_postfix/tasks/main.yml",
    "plugins/modules/postfix_master.py",
)
#: Names of files that are made by tools, belong to tests, or may hold what is private.
UNWANTED = re.compile(
    r"(^|/)(\.[^/]+|__pycache__|tests?|molecule|node_modules)(/|$)"
    r"|\.(pyc|pyo|swp|orig|rej|bak|log|hdb|ndb|cvd|cld|eml|msg|pem|key|p12|pfx|tar|gz|zip)$"
    r"|~$|(^|/)(id_(rsa|dsa|ecdsa|ed25519)[^/]*|inventory|hosts|vault[^/]*)$"
)
#: Contents that are secret, or show whose machine it was built on.
SECRET = {
    "a private key": re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----"),
    "an Ansible vault": re.compile(rb"\$ANSIBLE_VAULT;"),
    "a token": re.compile(rb"\b(AKIA[0-9A-Z]{16}|gh[pousr]_[0-9A-Za-z]{36}|glpat-[0-9A-Za-z_-]{20})\b"),
    "the EICAR test file, which scanners remove": re.compile(
        rb"X5O!P%@AP\[4\\PZX54\(P\^\)7CC\)7}\$EICAR-STANDARD-ANTIVIRUS-TEST-FILE!"
    ),
    "a path of somebody's machine": re.compile(rb"/(home|Users)/(?!USER\b)[a-z][a-z0-9_-]*/(?!Maildir)"),
}
LARGEST_FILE = 1024 * 1024
LARGEST = 4 * 1024 * 1024


def complaints(artifact: str) -> Iterator[str]:
    """What is wrong with it, in words, one by one."""
    names: set[str] = set()
    total = 0
    with tarfile.open(artifact) as archive:
        for member in archive:
            name = member.name.removeprefix("./")
            if not name or name == ".":
                continue
            names.add(name)
            total += member.size
            if name.split("/", maxsplit=1)[0] not in TOP:
                yield f"{name}: does not belong into it; see build_ignore in galaxy.yml"
            elif UNWANTED.search(name):
                yield f"{name}: a name of caches, test data or what is private"
            if not (member.isfile() or member.isdir()):
                yield f"{name}: neither a file nor a directory"
            if member.mode & 0o022:
                yield f"{name}: others may write to it"
            if member.size > LARGEST_FILE:
                yield f"{name}: {member.size} bytes, more than {LARGEST_FILE}"
            if member.isfile():
                stream = archive.extractfile(member)
                content = stream.read() if stream else b""
                yield from (f"{name}: holds {what}" for what, pattern in SECRET.items() if pattern.search(content))
    yield from (f"{name}: missing" for name in NEEDED if name not in names)
    if total > LARGEST:
        yield f"{total} bytes unpacked, more than {LARGEST}"


def main() -> int:
    """Say what was found; 1 when there is anything."""
    found = list(complaints(sys.argv[1]))
    print(*found or [f"{sys.argv[1]}: holds what it has to, and nothing else"], sep="\n")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
