# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Quarantine on disk: one file a message, its envelope and findings in the first line, then the message as it came.

The file name is the quarantine id and `.msg`. A file is whole or not there: it is written without a name,
synchronised, named, and the directory is synchronised. A process that is killed leaves nothing behind, but
for a hidden file where the file system cannot have files without a name.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import re
import time
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from .findings import Finding
from .smtp.esmtp import Envelope, Recipient

_FORMAT = 1
_ID = re.compile(r"[0-9]{8}T[0-9]{6}Z-[A-Za-z0-9]+\Z")
_SUFFIX = ".msg"
_MODE = 0o640


class QuarantineError(Exception):
    """The quarantine cannot do what was asked; the words say why."""


class Entry(NamedTuple):
    """What the first line of a quarantine file tells."""

    quarantine_id: str
    data: dict[str, Any]
    path: str
    offset: int  #: bytes before the message itself

    def envelope(self) -> Envelope:
        """The envelope as it was, without XFORWARD attributes and for an SMTP server."""
        recipients = [Recipient(item["address"], item["parameters"]) for item in self.data["recipients"]]
        return Envelope(self.data["sender"], self.data["parameters"], recipients, {}, False, "")


def store(
    directory: str, message_id: str, envelope: Envelope, findings: list[Finding], content: Iterable[bytes]
) -> str:
    """Write one message and return its quarantine id once it is on disk. Raises OSError."""
    now = time.time()
    quarantine_id = time.strftime("%Y%m%dT%H%M%SZ-", time.gmtime(now)) + message_id
    head = {
        "format": _FORMAT,
        "id": quarantine_id,
        "time": int(now),
        "sender": envelope.sender,
        "parameters": envelope.parameters,
        "recipients": [{"address": item.address, "parameters": item.parameters} for item in envelope.recipients],
        "xforward": envelope.xforward,
        "findings": [finding._asdict() for finding in findings],
    }
    place = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        descriptor, partial = _create(directory, place, quarantine_id)
        try:
            with os.fdopen(descriptor, "wb") as file:
                os.fchmod(descriptor, _MODE)  # whatever the umask is
                file.write(json.dumps(head).encode("ascii") + b"\n")
                for piece in content:
                    file.write(piece)
                file.flush()
                os.fsync(descriptor)
                name = quarantine_id + _SUFFIX
                if partial:
                    os.rename(partial, name, src_dir_fd=place, dst_dir_fd=place)
                else:
                    # With a directory given it is linkat(2), which follows this link to the file.
                    os.link(f"/proc/self/fd/{descriptor}", name, src_dir_fd=place, dst_dir_fd=place)
        except BaseException:
            if partial:
                os.unlink(partial, dir_fd=place)
            raise
        os.fsync(place)
    finally:
        os.close(place)
    return quarantine_id


def _create(directory: str, place: int, quarantine_id: str) -> tuple[int, str]:
    """A new file, and its name when the file system needs one."""
    flags = os.O_WRONLY | os.O_CLOEXEC
    try:
        return os.open(directory, flags | os.O_TMPFILE, _MODE), ""
    except OSError as error:
        if error.errno not in (errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL):
            raise
    partial = f".{quarantine_id}.{os.getpid()}"
    return os.open(partial, flags | os.O_CREAT | os.O_EXCL, _MODE, dir_fd=place), partial


def entries(directory: str) -> Iterator[Entry]:
    """All messages, oldest first. Files that are not ours or not readable are left out."""
    for name in sorted(os.listdir(directory)):
        if name.endswith(_SUFFIX) and _ID.match(name[: -len(_SUFFIX)]):
            try:
                yield find(directory, name[: -len(_SUFFIX)])
            except QuarantineError:
                continue


def find(directory: str, quarantine_id: str) -> Entry:
    """One message by its id. Raises QuarantineError."""
    if not _ID.match(quarantine_id):
        raise QuarantineError(f"{quarantine_id!r} is no quarantine id; one looks like 20261122T180000Z-4f2a9c01d3")
    path = os.path.join(directory, quarantine_id + _SUFFIX)
    try:
        with open(path, "rb") as file:
            line = file.readline()
            data = json.loads(line)
    except FileNotFoundError:
        raise QuarantineError(f"{quarantine_id}: not in {directory}") from None
    except OSError as error:
        raise QuarantineError(f"{path}: cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError):
        data = None
    if not _is_ours(data):
        raise QuarantineError(f"{path}: is not a quarantined message of format {_FORMAT}")
    return Entry(quarantine_id, data, path, len(line))


def _is_ours(data: Any) -> bool:
    return (
        isinstance(data, dict)
        and data.get("format") == _FORMAT
        and isinstance(data.get("time"), int)
        and isinstance(data.get("sender"), str)
        and isinstance(data.get("parameters"), dict)
        and isinstance(data.get("recipients"), list)
        and all(isinstance(item, dict) and {"address", "parameters"} <= set(item) for item in data["recipients"])
        and isinstance(data.get("findings"), list)
        and all(isinstance(item, dict) and "name" in item for item in data["findings"])
    )


def content(entry: Entry) -> Iterator[bytes]:
    """The message as it came, in pieces. Raises OSError."""
    with open(entry.path, "rb") as file:
        file.seek(entry.offset)
        while True:
            piece = file.read(65536)
            if not piece:
                return
            yield piece


@contextlib.contextmanager
def claimed(entry: Entry) -> Iterator[None]:
    """Keep others from claiming a message meanwhile. Raises QuarantineError when one has, or when it is gone."""
    try:
        with open(entry.path, "rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.stat(entry.path)  # it may have been released between the two lines above
            yield
    except BlockingIOError:
        raise QuarantineError(f"{entry.quarantine_id}: somebody else is releasing it") from None
    except FileNotFoundError:
        raise QuarantineError(f"{entry.quarantine_id}: has been released or deleted meanwhile") from None


def delete(entry: Entry) -> None:
    """Remove one message. Raises OSError."""
    os.unlink(entry.path)
