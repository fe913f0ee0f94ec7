# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the protocol engine of a client's connection tells its caller: each event is one thing that has come."""

from __future__ import annotations

from typing import NamedTuple, Union

from .esmtp import Envelope


class GreetingNeeded(NamedTuple):
    """EHLO or LHLO came: answer with `greet`."""


class ContentStarts(NamedTuple):
    """DATA was accepted: take content now. `refuse_content` may be called until ContentEnds."""

    envelope: Envelope


class Content(NamedTuple):
    """Content without transparency dots; CR and LF only in pairs."""

    data: bytes


class ContentEnds(NamedTuple):
    """The whole message is here: answer with `finish`."""

    size: int
    bare_newlines: bool
    dots: bool  #: a line of it may begin with a dot


class TransactionDropped(NamedTuple):
    """The message that had started will not come, or has been refused: forget it. May be told twice."""


class CommandDone(NamedTuple):
    """A command was answered; nothing is needed. It lets the caller give other sessions their turn."""


class Closing(NamedTuple):
    """The session is over once the output is sent."""


Event = Union[GreetingNeeded, ContentStarts, Content, ContentEnds, TransactionDropped, CommandDone, Closing]
