# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Quarantine on disk: one file a message, its envelope and findings in the first line, then the message as it came.

The file name is the quarantine id and `.msg`. A file is whole or not there: it is written without a name,
synchronised, named, and the directory is synchronised. A process that is killed leaves nothing behind, but
for a hidden file where the file system cannot have files without a name (see quarantine_expire). What was released
to whom stands in a journal beside the message (see quarantine_journal).
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
_MESSAGE_ID = re.compile(rb"(?im)^message-id[ \t]*:[ \t\r\n]*([^\r\n]*)")
_SUFFIX = ".msg"
_JOURNAL_SUFFIX = ".journal"
_MODE = 0o640
#: Bytes between two looks at the free space while a message is written.
_LOOK = 1 << 20
#: Bytes of the header block that are read.
_HEADER_LIMIT = 1 << 20
#: Categories of findings that only the quarantine has: what could not be delivered, and was kept instead.
UNDELIVERED_BOUNCE, UNDELIVERED_COPY = "undelivered bounce", "undelivered copy"


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

    @property
    def addresses(self) -> list[str]:
        """The recipients, each once, in their order."""
        return list(dict.fromkeys(item["address"] for item in self.data["recipients"]))

    @property
    def journal_path(self) -> str:
        """Where its releases are recorded."""
        return self.path[: -len(_SUFFIX)] + _JOURNAL_SUFFIX


def store(
    directory: str,
    message_id: str,
    envelope: Envelope,
    findings: list[Finding],
    content: Iterable[bytes],
    reserve: int = 0,
    size: int = 0,
    peer: str = "",
) -> str:
    """Write one message and return its quarantine id once it is on disk.

    `reserve` bytes of the file system stay free; `size` is the message's, in bytes, as far as it is known; `peer` is
    the IP address of the host that handed it in. Raises OSError, also when the reserve would be touched (ENOSPC), and
    leaves nothing behind then.
    """
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
        "peer": peer,
        "findings": [finding._asdict() for finding in findings],
    }
    place = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        _keep_free(directory, place, reserve, size)
        descriptor, partial = _create(directory, place, quarantine_id)
        try:
            with os.fdopen(descriptor, "wb") as file:
                os.fchmod(descriptor, _MODE)  # whatever the umask is
                if partial:
                    fcntl.flock(descriptor, fcntl.LOCK_EX)  # somebody writes it: it is no leftover
                file.write(json.dumps(head).encode("ascii") + b"\n")
                unseen = 0
                for piece in content:
                    file.write(piece)
                    unseen += len(piece)
                    if unseen >= _LOOK:
                        file.flush()
                        _keep_free(directory, place, reserve, 0)
                        unseen = 0
                file.flush()
                # Others may have written at the same time: what counts is what is left afterwards.
                _keep_free(directory, place, reserve, 0)
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
        try:
            os.fsync(place)
        except OSError:
            # It is not known to be there, so the client keeps it: a copy here would be a second one.
            os.unlink(name, dir_fd=place)
            raise
    finally:
        os.close(place)
    return quarantine_id


def free_space(directory: str) -> int:
    """Bytes that the file system of the quarantine still takes from its user. Raises OSError."""
    status = os.statvfs(directory)
    return status.f_bavail * status.f_frsize


def _keep_free(directory: str, place: int, reserve: int, wanted: int) -> None:
    if not reserve:
        return
    status = os.fstatvfs(place)
    free = status.f_bavail * status.f_frsize
    if free - wanted < reserve:
        words = f"{free} bytes are free, {reserve} of them are quarantine_reserve"
        raise OSError(errno.ENOSPC, words, directory)


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
    for quarantine_id in identities(directory):
        try:
            yield find(directory, quarantine_id)
        except QuarantineError:
            continue


def identities(directory: str) -> list[str]:
    """The ids of all files that have a name as ours have, oldest first. Raises OSError."""
    return sorted(
        name[: -len(_SUFFIX)]
        for name in os.listdir(directory)
        if name.endswith(_SUFFIX) and _ID.match(name[: -len(_SUFFIX)])
    )


def is_identity(name: str) -> bool:
    """Whether it has the form of our ids."""
    return _ID.match(name) is not None


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
        and all(_is_recipient(item) for item in data["recipients"])
        and isinstance(data.get("findings"), list)
        and all(isinstance(item, dict) and isinstance(item.get("name"), str) for item in data["findings"])
    )


def _is_recipient(item: Any) -> bool:
    return isinstance(item, dict) and isinstance(item.get("address"), str) and isinstance(item.get("parameters"), dict)


def size(entry: Entry) -> int:
    """Bytes of the message. Raises OSError."""
    return os.stat(entry.path).st_size - entry.offset


def header(entry: Entry) -> bytes:
    """The header block of the message without its last line end; of a very long one the beginning. Raises OSError."""
    with open(entry.path, "rb") as file:
        file.seek(entry.offset)
        block = file.read(_HEADER_LIMIT)
    return b"" if block.startswith(b"\r\n") else block.partition(b"\r\n\r\n")[0]


def message_id(entry: Entry) -> str:
    """The Message-ID as it stands in the header, empty when there is none. Raises OSError."""
    match = _MESSAGE_ID.search(header(entry))
    return match.group(1).decode("ascii", "replace").strip()[:200] if match else ""


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
        raise QuarantineError(f"{entry.quarantine_id}: somebody else is releasing or deleting it") from None
    except FileNotFoundError:
        raise QuarantineError(f"{entry.quarantine_id}: has been released or deleted meanwhile") from None


def delete(entry: Entry) -> None:
    """Remove one message, and then its journal, without which it could be released once more. Raises OSError."""
    os.unlink(entry.path)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(entry.journal_path)
    place = os.open(os.path.dirname(entry.path), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(place)
    finally:
        os.close(place)
