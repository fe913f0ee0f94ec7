# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A harmless archive of more levels than scanners unpack: the verdict on it shows whether one tells of its limits."""

from __future__ import annotations

import io
import zipfile

#: clamd takes at most 100 as MaxRecursion (clamd.conf(5)); its default is 17.
LEVELS = 101


def archive() -> bytes:
    """A zip in a zip in a zip: about 11 KB, nothing compressed, one short text at the end."""
    data = b"nothing"
    for _ in range(LEVELS):
        outer = io.BytesIO()
        with zipfile.ZipFile(outer, "w") as file:
            file.writestr(zipfile.ZipInfo("a.zip"), data)
        data = outer.getvalue()
    return data
