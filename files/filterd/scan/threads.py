# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Work that would hold up the event loop, in a thread, without losing it when its message is given up."""

from __future__ import annotations

import asyncio
from typing import Any, Callable, TypeVar

T = TypeVar("T")


def _ignore(_result: Any) -> None:
    pass


async def in_thread(function: Callable[[], T], late: Callable[[T], None] = _ignore) -> T:
    """The result of `function`. When cancelled, it is waited for, and `late` gets the result that nobody wants."""
    work = asyncio.get_running_loop().run_in_executor(None, function)
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:

        def ended(done: asyncio.Future[T]) -> None:
            if not done.cancelled() and done.exception() is None:
                late(done.result())

        work.add_done_callback(ended)
        await asyncio.wait([work])
        raise
