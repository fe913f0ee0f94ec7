# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Maildir that a probe is delivered to: finds the message by its Message-ID, reads its header, takes it away.

Nobody else's message is opened further than its header, and only those that are younger than the probe. Nothing is
changed but the probe's own file; a Maildir that the probe has brought into being goes with it, when it is empty again.
"""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

#: A header section is read so far, in bytes (Postfix' own header_size_limit is 102400).
_HEADER_LIMIT = 1 << 20
#: How often the directories are read, in seconds.
_POLL = 0.25
#: Clocks of a mailbox on another machine may differ so much, in seconds.
_CLOCKS = 300


class Maildir:
    """A Maildir (new, cur and tmp), which need not be there yet.

    Raises ValueError when the path is something else.
    """

    def __init__(self, path: str) -> None:
        self._path = Path(path)
        self._since = time.time() - _CLOCKS
        #: The topmost directory that is made when the first message comes.
        self._made = next((one for one in [*reversed(self._path.parents), self._path] if not one.exists()), None)
        if self._path.exists() and not (self._path / "new").is_dir() and os.listdir(self._path):
            raise ValueError(
                f"mailbox: {path} is no Maildir, it takes a directory that has new, cur and tmp, or is not there"
            )

    def wait(self, message_id: str, deadline: float) -> tuple[Path, list[dict[str, str]]] | None:
        """The file with this Message-ID (in angle brackets) and its header fields; None by the deadline (monotonic)."""
        while True:
            for path in self._young():
                fields = header_fields(_header_of(path))
                if any(one["name"].lower() == "message-id" and one["value"] == message_id for one in fields):
                    return path, fields
            if time.monotonic() >= deadline:
                return None
            time.sleep(_POLL)

    def take_away(self, path: Path) -> None:
        """Remove the probe, and the Maildir if that came with it and nothing else is in it."""
        path.unlink(missing_ok=True)
        if self._made is not None and not any(one.is_file() for one in self._made.rglob("*")):
            shutil.rmtree(self._made, ignore_errors=True)

    def _young(self) -> list[Path]:
        found = []
        for directory in (self._path / "new", self._path / "cur"):
            try:
                found += [entry for entry in os.scandir(directory) if entry.stat().st_mtime >= self._since]
            except OSError:
                # Not there yet, or a message that its owner's program has just moved.
                continue
        return [Path(entry.path) for entry in found]


def header_fields(header: bytes) -> list[dict[str, str]]:
    """The fields of a header section (RFC 5322, section 2.2) in their order, unfolded; what is no UTF-8 is replaced."""
    fields: list[dict[str, str]] = []
    for line in header.decode("utf-8", "replace").splitlines():
        name, colon, value = line.partition(":")
        if line[:1] in (" ", "\t") and fields:
            fields[-1]["value"] += " " + line.strip()
        elif colon:
            fields.append({"name": name.strip(), "value": value.strip()})
    return fields


def _header_of(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            text = file.read(_HEADER_LIMIT)
    except OSError:
        return b""
    return text.replace(b"\r\n", b"\n").partition(b"\n\n")[0]
