# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether two hosts, or a host and a checkout, have the same code."""

from __future__ import annotations

import hashlib
import os


def code_directory() -> str:
    """Where the program and its package are."""
    return os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def of_code(directory: str) -> str:
    """Twelve hexadecimal digits that change when any Python file below changes. Raises OSError.

    The SHA-256 of one line for each file, in the order of their names: its path from here and the SHA-256 of its bytes.
    """
    digest = hashlib.sha256()
    for path in sorted(_python_files(directory)):
        with open(os.path.join(directory, path), "rb") as file:
            digest.update(f"{path} {hashlib.sha256(file.read()).hexdigest()}\n".encode())
    return digest.hexdigest()[:12]


def _python_files(directory: str) -> list[str]:
    found = []
    for place, directories, names in os.walk(directory):
        directories[:] = [name for name in directories if name != "__pycache__"]
        found += [os.path.relpath(os.path.join(place, name), directory) for name in names if name.endswith(".py")]
    return found
