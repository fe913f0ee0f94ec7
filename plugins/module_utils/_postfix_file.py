# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading and writing of a Postfix configuration file and of its restore record, for modules.

All decisions are made elsewhere, on text; this file only moves bytes. Errors are ValueError with a message for a user.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from typing import Any

from ansible_collections.mailops.filter_stack.plugins.module_utils._postfix_edit import Edit, Parser, Trace
from ansible_collections.mailops.filter_stack.plugins.module_utils._postfix_lines import decode, encode
from ansible_collections.mailops.filter_stack.plugins.module_utils._restore_record import dumps, loads


class PostfixFile:
    """main.cf or master.cf as it was when the module began, and the way to change it atomically."""

    def __init__(self, module: Any, path: str) -> None:
        self.module = module
        self.path = path
        # Renaming onto a symbolic link would replace the link and leave the file that it names as it was.
        self.real_path = os.path.realpath(path)
        try:
            with open(self.real_path, "rb") as stream:
                self.content = stream.read()
        except FileNotFoundError:
            raise ValueError(
                f"path: {path} does not exist; it takes the configuration file of an installed Postfix, which this "
                "module never creates"
            ) from None
        except OSError as error:
            raise ValueError(f"path: {path} cannot be read: {error.strerror}") from None
        self.text = decode(self.content)

    def diff(self, text: str) -> dict[str, str]:
        """The whole file before and after, for Ansible's diff mode; bytes that are no text are shown as escapes."""
        before, after = (encode(each).decode("utf-8", "backslashreplace") for each in (self.text, text))
        return {"before_header": self.path, "after_header": self.path, "before": before, "after": after}

    def replace(self, text: str, backup: bool) -> str | None:
        """Write a new content and return the name of the backup, if one was asked for."""
        with open(self.real_path, "rb") as stream:
            if stream.read() != self.content:
                raise ValueError(
                    f"path: {self.path} was changed by another program while this module ran; run it again"
                )
        name = self.module.backup_local(self.real_path) if backup else None
        write_atomically(self.module, encode(text), self.real_path)
        return name


class RestoreFile:
    """The restore record on the host; with no path it keeps nothing and knows nothing."""

    def __init__(self, module: Any, path: str | None, about: str, parse: Parser) -> None:
        self.module = module
        self.path = path
        self.about = about
        self.text: str | None = None
        self.record: dict[str, Trace] = {}
        if path is None:
            return
        try:
            with open(path, encoding="utf-8") as stream:
                self.text = stream.read()
            self.record = loads(self.text, about, parse)
        except FileNotFoundError:
            pass
        except OSError as error:
            raise ValueError(f"restore_file: {path} cannot be read: {error.strerror}") from None
        except ValueError as error:
            raise ValueError(f"restore_file: {path}: {error}") from None

    def _content(self, record: Mapping[str, Trace]) -> str | None:
        return dumps(record, self.about) if record else None

    def differs(self, record: Mapping[str, Trace]) -> bool:
        """Whether writing this record would change anything on disk."""
        return self.path is not None and self._content(record) != self.text

    def write(self, record: Mapping[str, Trace]) -> None:
        """Put the record on disk, readable by its owner only; an empty one is no file."""
        content = self._content(record)
        if self.path is None or content == self.text:
            return
        if content is None:
            os.unlink(self.path)
        else:
            directory = os.path.dirname(self.path)
            if not os.path.isdir(directory):
                raise ValueError(f"restore_file: {self.path}: it takes an existing directory, {directory} is none")
            write_atomically(self.module, content.encode("utf-8"), self.path, 0o600)
        self.text = content


def write_both(file: PostfixFile, restore: RestoreFile, edit: Edit, backup: bool) -> str | None:
    """Write a file and its record in the order in which a crash between the two does no harm.

    While the file changes, the record knows both what is being done and what is being undone: an original is never
    lost, and a record of an entry that is not in the file does no harm.
    """
    restore.write({**restore.record, **edit.record})
    name = None
    if edit.text != file.text:
        name = file.replace(edit.text, backup)
    restore.write(edit.record)
    return name


def write_atomically(module: Any, content: bytes, path: str, mode: int | None = None) -> None:
    """Write beside the file, then rename; owner, mode and SELinux context of an existing file are kept."""
    handle, temporary = tempfile.mkstemp(dir=module.tmpdir)
    with os.fdopen(handle, "wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    module.atomic_move(temporary, path)
    if mode is not None:
        # After the move, because atomic_move() gives a new file the mode that the umask asks for.
        os.chmod(path, mode)
