# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Memory that messages leave behind in the allocator goes back to the system (malloc_trim(3) of glibc)."""

from __future__ import annotations

try:
    import ctypes
except ImportError:  # a Python that was built without it
    _trim = None
else:
    # Another C library has no such call.
    _trim = getattr(ctypes.CDLL(None), "malloc_trim", None)


def trim() -> None:
    """Give back what is free; about a millisecond for the memory of a worker."""
    if _trim is not None:
        _trim(0)
