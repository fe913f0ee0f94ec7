# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A message on its way through the filter."""

from __future__ import annotations

import secrets
from typing import NamedTuple, Optional

from .admission import Place
from .content.analysis import Analysis
from .content.rules import Rules
from .scratch import Spool
from .smtp.esmtp import Envelope, decode_xtext
from .values import Address

#: Part of the deadline, and seconds at most, that must be left for the reinjecting server's last answer.
_COMMIT_SHARE = 0.1
_COMMIT_SECONDS = 5.0


class Timing(NamedTuple):
    """Times of the worker's monotonic clock, in seconds."""

    received: float  #: the end of data
    deadline: float  #: the client is answered by then


class Message:
    """Envelope, content, and whether the point of no return has been passed."""

    def __init__(
        self, envelope: Envelope, spool: Spool, rules: Rules, peer: str = "", listen: Optional[Address] = None
    ) -> None:
        self.id = secrets.token_hex(5)
        self.peer = peer  #: IP address of the host that handed it in
        self.listen = listen  #: which of our own addresses took it
        self.envelope = envelope
        self.spool = spool
        self.place: Optional[Place] = None  #: one of the n places, once it has been admitted
        self.analysis = Analysis(rules, spool.keep)
        self.size = 0
        self.dots = True  #: a line of it may begin with a dot
        self.timing = Timing(0.0, 0.0)
        #: The final dot may have reached the reinjecting server: nothing can be taken back.
        self.committed = False
        #: The client has been answered or is gone: nothing may be reinjected any more.
        self.withdrawn = False

    def received(self, now: float, deadline: float) -> None:
        """The end of data was read at `now`; the client is answered within `deadline` seconds."""
        self.size = self.spool.size
        self.timing = Timing(now, now + deadline)

    def release(self) -> None:
        """Give back memory, scratch and place."""
        self.spool.close()
        self.analysis.kept.drop()
        if self.place is not None:
            self.place.leave()
            self.place = None

    def commit(self, now: float) -> bool:
        """Ask whether the final dot may be sent; after True the message counts as sent."""
        allowed = self.timing.deadline - self.timing.received
        if self.withdrawn or self.timing.deadline - now < min(_COMMIT_SECONDS, allowed * _COMMIT_SHARE):
            return False
        self.committed = True
        return True

    @property
    def front_queue_id(self) -> str:
        """The queue id that the message has at the client, "-" when it did not tell (XFORWARD IDENT)."""
        value = decode_xtext(self.envelope.xforward.get("IDENT", ""))
        return value if value and not value.startswith("[") else "-"

    @property
    def client(self) -> str:
        """The address of the host that the message came from, "-" when unknown (XFORWARD ADDR)."""
        value = decode_xtext(self.envelope.xforward.get("ADDR", ""))
        return value if value and not value.startswith("[") else "-"
