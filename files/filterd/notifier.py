# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The notices of one worker: texts that were read once, and a limit, so that a flood of mail floods nobody."""

from __future__ import annotations

import time
from typing import Callable, Optional

from . import log, notice_templates, notices
from .config import Config
from .notices import Event, Notice
from .smtp.esmtp import Envelope

_HOUR = 3600.0


class Limit:
    """So many in an hour, which begins with the first one."""

    def __init__(self, limit: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit = limit
        self._clock = clock
        self._begin = -_HOUR
        self._sent = 0
        self._suppressed = 0

    def take(self) -> bool:
        """Whether one more may be sent."""
        now = self._clock()
        if now - self._begin >= _HOUR:
            if self._suppressed:
                log.warning(f"{self._suppressed} notices were not sent in the last hour (notify_limit)")
            self._begin, self._sent, self._suppressed = now, 0, 0
        if self._sent < self._limit:
            self._sent += 1
            return True
        if not self._suppressed:
            log.warning(f"notify_limit: {self._limit} notices have been sent in an hour, no more are until it is over")
        self._suppressed += 1
        return False


class Notifier:
    """Says what is to be sent."""

    def __init__(self, config: Config, clock: Callable[[], float] = time.monotonic) -> None:
        self._config = config
        self._limit = Limit(config.notify_limit, clock)
        try:
            self._templates = notice_templates.load(config.notification_templates)
        except notice_templates.TemplateError as error:
            # `check` has said so; a worker that did not start would hold up all mail for the sake of a text.
            log.error(f"the built-in texts of notices are used: {error}")
            self._templates = notice_templates.BUILT_IN

    def notices(self, event: Event) -> list[Notice]:
        """The notices about one message, less those that are beyond the limit."""
        return [notice for notice in notices.build(self._config, self._templates, event) if self._limit.take()]

    def bounce(self, event: Event) -> Optional[Notice]:
        """The report for a sender whose message is bounced, None when nobody is to be told. Limits do not apply."""
        if not self.may_tell_sender(event.envelope, event.client, event.header):
            return None
        return notices.sender_report(self._config, self._templates.sender, event)

    def may_tell_sender(self, envelope: Envelope, client: str, header: bytes) -> bool:
        """As `notices.may_tell_sender`."""
        return notices.may_tell_sender(self._config, envelope, client, header)
