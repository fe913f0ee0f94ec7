# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What lies in a directory, told alike on the host and on the controller, so that both can be compared."""

from __future__ import annotations

import fnmatch
import grp
import hashlib
import os
import pwd
import stat
from collections.abc import Iterator, Sequence

_KINDS = ((stat.S_ISREG, "file"), (stat.S_ISDIR, "directory"), (stat.S_ISLNK, "link"))


def describe(path: str) -> dict[str, object] | None:
    """What is there, None if nothing: kind, owner, group, mode (octal), size (bytes), mtime (seconds).

    Links are not followed.

    :raises OSError: when it cannot be looked at
    """
    try:
        found = os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return {
        "kind": next((name for fits, name in _KINDS if fits(found.st_mode)), "other"),
        "owner": _name(pwd.getpwuid, found.st_uid),
        "group": _name(grp.getgrgid, found.st_gid),
        "mode": f"{stat.S_IMODE(found.st_mode):04o}",
        "size": found.st_size,
        "mtime": found.st_mtime,
    }


def tree(top: str, patterns: Sequence[str] = (), checksum: bool = True) -> Iterator[dict[str, object]]:
    """Describe all that is below a directory, sorted by path, with ``path`` relative to it; of a file itself, as ``.``.

    A regular file has the SHA-256 of its content as ``checksum``. A directory that is not there has nothing in it.

    :param patterns: shell patterns of names; only what has such a name is told, of directories as of files
    :raises OSError: when something cannot be read
    """
    if os.path.isfile(top):
        yield from _entries(os.path.realpath(top), ["."], checksum)
    for directory, directories, files in os.walk(top, onerror=_raise_unless_missing):
        directories.sort()
        names = [
            name
            for name in directories + files
            if not patterns or any(fnmatch.fnmatchcase(name, one) for one in patterns)
        ]
        yield from _entries(
            top, [os.path.relpath(os.path.join(directory, name), top) for name in sorted(names)], checksum
        )


def _entries(top: str, paths: Sequence[str], checksum: bool) -> Iterator[dict[str, object]]:
    for path in paths:
        place = os.path.normpath(os.path.join(top, path))
        entry = describe(place)
        if entry is None:
            continue  # gone meanwhile
        entry["path"] = path
        if checksum and entry["kind"] == "file":
            entry["checksum"] = _checksum(place)
        yield entry


def _raise_unless_missing(error: OSError) -> None:
    if not isinstance(error, (FileNotFoundError, NotADirectoryError)):
        raise error


def _checksum(path: str) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _name(look: object, number: int) -> str:
    """The name of a user or group, or the number of one that has none."""
    try:
        return str(look(number)[0])  # type: ignore[operator]
    except KeyError:
        return str(number)
