# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where mail is reinjected: one smtpd for all, or the host that handed the message in (key `reinject`, host *)."""

from __future__ import annotations

import asyncio

from .config import Config
from .reinject import Reinjector
from .values import SAME_HOST, Address

#: Hosts whose connections and extensions are remembered; those used least lately are forgotten.
_HOSTS = 100


class Reinjection:
    """The reinjecting servers of one worker."""

    def __init__(self, config: Config, loop: asyncio.AbstractEventLoop) -> None:
        self._config = config
        self._loop = loop
        self._reinjectors: dict[Address, Reinjector] = {}  # the one used last stands last

    def of(self, peer: str) -> Reinjector:
        """The server for what the host `peer` (IP address) handed in."""
        target = self._config.reinject
        if target.host == SAME_HOST:
            target = Address(peer, target.port)
        found = self._reinjectors.pop(target, None) or Reinjector(self._config, self._loop, target)
        self._reinjectors[target] = found
        if len(self._reinjectors) > _HOSTS:
            self._reinjectors.pop(next(iter(self._reinjectors))).close()
        return found

    def sweep(self) -> None:
        """Close connections that have been idle for long."""
        for reinjector in self._reinjectors.values():
            reinjector.sweep()

    def close(self) -> None:
        """Close all idle connections."""
        for reinjector in self._reinjectors.values():
            reinjector.close()
