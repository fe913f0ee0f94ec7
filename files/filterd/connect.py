# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Opening a connection within a time."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

P = TypeVar("P", bound=asyncio.BaseProtocol)


async def connected(opening: Coroutine[Any, Any, tuple[asyncio.BaseTransport, P]], timeout: float) -> P:
    """The protocol of the connection that `opening` makes within `timeout` seconds. Raises OSError, TimeoutError.

    Before Python 3.12 asyncio.wait_for loses a cancellation that comes together with the connection: a message whose
    client has been told to come again would go on and hold its place.
    """
    task = asyncio.ensure_future(opening)
    try:
        await asyncio.wait([task], timeout=timeout)
    except asyncio.CancelledError:
        _discard(task)
        raise
    if not task.done():
        _discard(task)
        raise asyncio.TimeoutError
    return task.result()[1]


def _discard(task: asyncio.Task[Any]) -> None:
    task.cancel()
    task.add_done_callback(_close)


def _close(task: asyncio.Task[Any]) -> None:
    if not task.cancelled() and task.exception() is None:
        task.result()[0].abort()
