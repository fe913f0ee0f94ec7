# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The side that reinjects: one delivery to the reinjecting smtpd as a state machine without I/O.

Only a 2xx for the final dot is an acknowledgement. Everything else, at any stage, is a failure that the
client must hear of: 5xx from MAIL, RCPT, DATA or the dot speaks about the message and is passed on;
anything else speaks about the host and becomes 451.
"""

from __future__ import annotations

from collections import deque
from enum import Enum, auto
from typing import NamedTuple, Optional

from . import esmtp
from .esmtp import Envelope, Extensions
from .reply import Reply

_REFUSED = "Error: reinjection refused at"


class Stage(Enum):
    """Where a delivery stands; the values are the words used in logs and replies."""

    XFORWARD = "XFORWARD"
    MAIL = "MAIL"
    RCPT = "RCPT"
    DATA = "DATA"
    CONTENT = "end of data"


class Step(Enum):
    """What the caller does next."""

    READ = auto()  #: wait for the next reply
    SEND = auto()  #: send `take_commands`, then read
    CONTENT = auto()  #: send the content and the final dot, then read
    DONE = auto()  #: all is said; the connection can be used again
    RESET = auto()  #: all is said; the connection needs RSET before it is used again
    ABANDON = auto()  #: all is said; close the connection, and never send the dot


class _Expected(NamedTuple):
    stage: Stage
    recipient: int


def temporary(stage: str, seen: str) -> Reply:
    """451 for a trouble that is the host's, not the message's."""
    return Reply(451, "4.3.0", f"Error: reinjection failed at {stage}: {seen}")


def is_refusal(reply: Reply) -> bool:
    """Whether the server itself has said no (see `passed_on`), and not the connection's end or a time-out."""
    return reply.text.startswith(_REFUSED)


def passed_on(stage: str, reply: Reply) -> Reply:
    """The client's reply for a negative reply of the reinjecting server."""
    if reply.permanent or 400 <= reply.code <= 499:
        klass = "5" if reply.permanent else "4"
        enhanced = reply.enhanced if reply.enhanced.startswith(klass) else klass + ".0.0"
        # 421 and 521 (RFC 7504) would tell the client that this connection ends, which it does not.
        code = {421: 451, 521: 554}.get(reply.code, reply.code)
        return Reply(code, enhanced, f"{_REFUSED} {stage}: {reply.text}")
    return temporary(stage, "unexpected reply " + reply.brief())


class Delivery:
    """One message for the reinjecting server.

    With `all_or_nothing` (a client that takes one reply for all recipients) a temporary refusal of one
    recipient stops the delivery before any content is sent; permanent refusals are left to the caller. With
    `strict` any refusal stops it.
    """

    def __init__(
        self, envelope: Envelope, server: Extensions, size: int, all_or_nothing: bool, strict: bool = False
    ) -> None:
        self._envelope = envelope
        self._all_or_nothing = all_or_nothing or strict
        self._strict = strict
        self._pipelining = "PIPELINING" in server
        commands = esmtp.xforward_commands(envelope.xforward, server)
        self._plan: deque[tuple[_Expected, str]] = deque((_Expected(Stage.XFORWARD, -1), line) for line in commands)
        self._plan.append((_Expected(Stage.MAIL, -1), esmtp.mail_command(envelope, server, size)))
        for index, recipient in enumerate(envelope.recipients):
            self._plan.append((_Expected(Stage.RCPT, index), esmtp.rcpt_command(recipient, server)))
        self._plan.append((_Expected(Stage.DATA, -1), "DATA"))
        self._expected: deque[_Expected] = deque()
        self._failure: Optional[Reply] = None
        #: One reply per recipient once the step is DONE, RESET or ABANDON.
        self.results: list[Optional[Reply]] = [None] * len(envelope.recipients)
        #: The stage whose reply is awaited.
        self.stage = Stage.MAIL
        #: The final dot may have been seen by the server.
        self.committed = False

    @property
    def replies(self) -> list[Reply]:
        """One reply for each recipient; complete after the last step."""
        return [reply if reply is not None else temporary(self.stage.value, "no answer") for reply in self.results]

    def take_commands(self) -> bytes:
        """The commands to send now: all of them to a server with PIPELINING (RFC 2920), else one."""
        lines = []
        while self._plan:
            expected, line = self._plan.popleft()
            self._expected.append(expected)
            lines.append(line)
            if not self._pipelining:
                break
        self.stage = self._expected[0].stage
        return ("\r\n".join(lines) + "\r\n").encode("utf-8", "surrogateescape")

    def receive(self, reply: Reply) -> Step:
        """Take one reply and say what to do."""
        stage, index = self._expected.popleft()
        if stage is Stage.XFORWARD:
            step = self._host_trouble(stage, reply) if not reply.positive else Step.READ
        elif stage is Stage.MAIL:
            step = self._mail(reply)
        elif stage is Stage.RCPT:
            step = self._rcpt(index, reply)
        elif stage is Stage.DATA:
            step = self._data(reply)
        else:
            return self._end_of_data(reply)
        if self._expected:
            self.stage = self._expected[0].stage
        elif step is Step.READ:
            step = Step.SEND
        return step

    def fail(self, seen: str) -> None:
        """The connection broke or time ran out: every recipient without an answer gets 451."""
        self._fill(temporary(self.stage.value, seen))

    def content_sent(self) -> None:
        """The final dot is about to be sent: from here on the server may have the message."""
        self.committed = True
        self.stage = Stage.CONTENT
        self._expected.append(_Expected(Stage.CONTENT, -1))

    def _mail(self, reply: Reply) -> Step:
        if reply.positive:
            return Step.READ
        self._fill(passed_on(Stage.MAIL.value, reply))
        return self._stop(Step.RESET)

    def _rcpt(self, index: int, reply: Reply) -> Step:
        if not reply.positive:
            self.results[index] = passed_on(Stage.RCPT.value, reply)
            if self._failure is None and (self._strict or not reply.permanent):
                self._failure = self.results[index]
        if index < len(self.results) - 1:
            return Step.READ
        if all(result is not None for result in self.results):
            return self._stop(Step.RESET)
        if self._all_or_nothing and self._failure is not None:
            self._fill(self._failure)
            return self._stop(Step.RESET)
        return Step.READ

    def _data(self, reply: Reply) -> Step:
        if reply.code == 354:
            return Step.CONTENT
        self._fill(passed_on(Stage.DATA.value, reply))
        # A 2xx here means that the server speaks another language: nothing it says later can be believed.
        return Step.RESET if reply.code >= 400 and not self._expected else Step.ABANDON

    def _end_of_data(self, reply: Reply) -> Step:
        if reply.positive:
            self._fill(reply)
            return Step.DONE
        self._fill(passed_on(Stage.CONTENT.value, reply))
        return Step.DONE if reply.code >= 400 else Step.ABANDON

    def _host_trouble(self, stage: Stage, reply: Reply) -> Step:
        self._fill(temporary(stage.value, reply.brief()))
        return self._stop(Step.RESET)

    def _stop(self, step: Step) -> Step:
        # DATA may be under way behind what failed. Its answer may be 354, and then only closing is safe.
        return Step.ABANDON if self._expected else step

    def _fill(self, reply: Reply) -> None:
        self.results = [result if result is not None else reply for result in self.results]
