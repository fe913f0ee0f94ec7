# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where Postfix' log is on this host, and what was added to it since a moment. Reads only."""

from __future__ import annotations

import os
from typing import Any, Protocol

from ansible_collections.mailops.filter_stack.plugins.module_utils import _postconf

_USUAL_FILES = ("/var/log/mail.log", "/var/log/maillog")


class LogSource(Protocol):
    #: What it is, for people.
    name: str

    def new_lines(self) -> list[str]:
        """The lines that came since the source was opened or last read."""


class FileLog:
    """A log file, read from where it ended when it was opened; goes on with the new file after a rotation."""

    def __init__(self, path: str) -> None:
        self.name = path
        try:
            self._stream = open(path, "rb")  # noqa: SIM115 - stays open from before the message is sent
        except OSError as error:
            raise ValueError(f"log_file: {path} cannot be read: {error.strerror}") from None
        self._stream.seek(0, os.SEEK_END)
        self._rest = b""

    def new_lines(self) -> list[str]:
        data = self._rest + self._stream.read()
        if self._rotated():
            self._stream.close()
            self._stream = open(self.name, "rb")  # noqa: SIM115
            data += self._stream.read()
        *lines, self._rest = data.split(b"\n")
        return [line.decode("utf-8", "backslashreplace") for line in lines]

    def _rotated(self) -> bool:
        try:
            now = os.stat(self.name)
        except OSError:
            return False
        opened = os.fstat(self._stream.fileno())
        if (now.st_dev, now.st_ino) == (opened.st_dev, opened.st_ino):
            if now.st_size < self._stream.tell():
                # Truncated in place, as logrotate's copytruncate does.
                self._stream.seek(0)
            return False
        return True


class Journal:
    """The systemd journal from the moment when it was opened."""

    def __init__(self, module: Any, program: str) -> None:
        self.name = "the systemd journal"
        self._module = module
        self._command = [program, "--quiet", "--no-pager", "--show-cursor", "--output=short-iso"]
        self._cursor = ""
        self._read(["--lines=0"])
        if not self._cursor:
            # An empty journal has no cursor: then everything in it is new.
            self._read(["--lines=1"])

    def new_lines(self) -> list[str]:
        return self._read([f"--after-cursor={self._cursor}"] if self._cursor else ["--boot"])

    def _read(self, arguments: list[str]) -> list[str]:
        code, out, err = self._module.run_command(
            self._command + arguments, environ_update={"LC_ALL": "C"}, errors="surrogate_or_replace"
        )
        if code != 0:
            raise ValueError(f"log_source: journalctl ended with {code}: {err.strip()}")
        lines = []
        for line in out.split("\n")[:-1]:
            if line.startswith("-- cursor: "):
                self._cursor = line[len("-- cursor: ") :]
            elif not line.startswith("-- "):
                lines.append(line)
        return lines


def find(module: Any, source: str, log_file: str | None) -> LogSource:
    """Open the log where Postfix writes it, or where the module's options say it is.

    Postfix logs to the file that its parameter maillog_file names, or else to syslog, which on a host with systemd is
    the journal.
    """
    if log_file is not None or source == "file":
        return FileLog(log_file or _maillog_file(module) or _usual_file())
    own = _maillog_file(module) if source == "auto" else None
    if own is not None:
        return FileLog(own)
    journalctl = module.get_bin_path("journalctl")
    if journalctl is not None:
        try:
            return Journal(module, journalctl)
        except ValueError:
            if source == "journal":
                raise
    if source == "journal":
        raise ValueError(
            "log_source: journal takes journalctl, which this host does not have; it takes auto, file or journal"
        )
    return FileLog(_usual_file())


def _maillog_file(module: Any) -> str | None:
    postconf = _postconf.find(module)
    if postconf is None:
        return None
    path = _postconf.value(module, postconf, "maillog_file")
    # Postfix may also log to its standard output, which nobody can read again.
    return path if path.startswith("/") and not path.startswith("/dev/") else None


def _usual_file() -> str:
    for path in _USUAL_FILES:
        if os.path.exists(path):
            return path
    raise ValueError(
        f"log_file: no log of Postfix was found (looked at maillog_file in main.cf, the systemd journal, "
        f"{', '.join(_USUAL_FILES)}); it takes the path of the file"
    )
