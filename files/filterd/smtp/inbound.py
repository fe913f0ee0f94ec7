# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The side Postfix talks to: an SMTP and LMTP server as a state machine without I/O (RFC 5321, RFC 2033).

Bytes go in by `receive`, replies come out by `take_output`, and `next_event` tells what needs a decision.
HELO, EHLO and LHLO are taken on the same port; the last one decides how the end of data is answered.
"""

from __future__ import annotations

import re
from enum import Enum, auto
from typing import Callable, NamedTuple, Optional

from . import esmtp
from .esmtp import CommandProblem, Envelope, Recipient
from .events import (
    Closing,
    CommandDone,
    Content,
    ContentEnds,
    ContentStarts,
    Event,
    GreetingNeeded,
    TransactionDropped,
)
from .framing import DataDecoder
from .reply import Reply


class Limits(NamedTuple):
    """Limits of one session."""

    message_size: int  #: bytes of content
    recipients: int = 1000  #: in one transaction (RFC 5321 section 4.5.3.1.8 demands 100)
    command_line: int = 16384  #: bytes, CRLF included
    errors: int = 100  #: refused commands before the session is closed
    idle_commands: int = 5000  #: commands in a row that bring no message forward


class _State(Enum):
    COMMAND = auto()
    WAIT_GREETING = auto()
    DATA = auto()
    DATA_ENDED = auto()
    WAIT_FINISH = auto()
    CLOSED = auto()


_OK = Reply(250, "2.0.0", "Ok")
_NOT_GREETED = Reply(503, "5.5.1", "Error: send HELO, EHLO or LHLO first")
_UNKNOWN = Reply(500, "5.5.2", "Error: command not recognized")
_NOT_OFFERED = Reply(502, "5.5.1", "Error: command not implemented")
_NOT_OFFERED_VERBS = frozenset(("STARTTLS", "AUTH", "BDAT", "EXPN", "ETRN", "TURN", "XCLIENT", "BURL"))
# A browser that was tricked into posting mail to this port (Postfix: smtpd_forbidden_commands).
_HTTP_VERBS = frozenset(("CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"))
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


class InboundSession:
    """One connection from a mail client. Never raises on input, whatever the bytes are."""

    def __init__(self, hostname: str, limits: Limits) -> None:
        self.hostname = hostname
        self.limits = limits
        self._state = _State.COMMAND
        self._buffer = bytearray()
        self._scanned = 0
        self._output: list[bytes] = [Reply(220, "", f"{hostname} ESMTP LMTP content filter").encode()]
        self._greeting = ""
        self._client_name = ""
        self._lmtp = False
        self._international = True  # SMTPUTF8 was offered, or nothing was (HELO)
        self._sender: Optional[str] = None
        self._parameters: dict[str, str] = {}
        self._recipients: list[Recipient] = []
        self._xforward: dict[str, str] = {}
        self._decoder = DataDecoder()
        self._size = 0
        self._refused: Optional[Reply] = None
        self._announced = False
        self._errors = 0
        self._idle = 0

    # What the caller asks

    @property
    def closed(self) -> bool:
        """No further input is read."""
        return self._state is _State.CLOSED

    @property
    def waiting(self) -> bool:
        """The session waits for the caller: `greet` or `finish`."""
        return self._state in (_State.WAIT_GREETING, _State.WAIT_FINISH)

    @property
    def in_data(self) -> bool:
        """Content is being received."""
        return self._state is _State.DATA

    @property
    def in_transaction(self) -> bool:
        """A sender has been given and the message is not finished."""
        return self._sender is not None

    @property
    def buffered(self) -> int:
        """Bytes received and not looked at yet."""
        return len(self._buffer)

    def take_output(self) -> bytes:
        """The bytes to send now."""
        if not self._output:
            return b""
        data = b"".join(self._output)
        self._output.clear()
        return data

    def quit_follows(self) -> bool:
        """Whether QUIT is the last thing that came: the client means all it sent, and waits for the answers."""
        return bytes(self._buffer[-7:]).upper() in (b"QUIT\r\n", b"\nQUIT\r\n")

    # What the caller tells

    def receive(self, data: bytes | memoryview) -> None:
        """Bytes from the client."""
        if self._state is not _State.CLOSED:
            self._buffer += data

    def greet(self, keywords: list[str]) -> None:
        """Answer EHLO or LHLO with these extensions."""
        assert self._state is _State.WAIT_GREETING
        self._say(Reply(250, "", "\n".join([self.hostname, *keywords])))
        self._international = "SMTPUTF8" in keywords
        self._state = _State.COMMAND

    def refuse_content(self, reply: Reply) -> None:
        """Let the rest of this message go by and answer its end with `reply`."""
        if self._refused is None:
            self._refused = reply

    def finish(self, replies: list[Reply]) -> None:
        """Answer the end of data: one reply, or one for each accepted recipient in LMTP (RFC 2033 section 4.2)."""
        assert self._state is _State.WAIT_FINISH
        assert len(replies) == (len(self._recipients) if self._lmtp else 1)
        for reply in replies:
            self._say(reply)
        self._forget()
        self._idle = self._errors = 0
        self._state = _State.COMMAND

    def shut_down(self, reply: Reply) -> None:
        """Say goodbye (421) and read nothing more."""
        if self._state is not _State.CLOSED:
            self._say(reply)
            self._close()

    def next_event(self) -> Optional[Event]:
        """The next event, or None when more input or an answer is needed."""
        while True:
            if self._state is _State.DATA_ENDED:
                return self._end_of_data()
            if self._state is _State.COMMAND:
                line = self._next_line()
                if line is None:
                    return None
                event = self._command(line)
                return CommandDone() if event is None else event
            if self._state is not _State.DATA or not self._buffer:
                return None
            event = self._content()
            if event is not None:
                return event

    # Lines

    def _next_line(self) -> Optional[bytes]:
        end = self._buffer.find(b"\n", self._scanned)
        if end < 0:
            self._scanned = len(self._buffer)
            # Too long is an error that the client may get over; endless is not.
            return bytes(self._buffer) if self._scanned > 4 * self.limits.command_line else None
        line = bytes(self._buffer[: end + 1])
        del self._buffer[: end + 1]
        self._scanned = 0
        return line

    def _command(self, line: bytes) -> Optional[Event]:
        too_long = Reply(500, "5.5.2", f"Error: line longer than {self.limits.command_line} bytes")
        if not line.endswith(b"\n"):
            return self._hang_up(too_long)
        if not line.endswith(b"\r\n"):
            # What follows a bare LF must not be taken for a command: somebody else thinks that it is not one.
            return self._hang_up(Reply(521, "5.5.2", "Error: bare <LF> received"))
        text = line[:-2].decode("utf-8", "surrogateescape")
        verb, _, argument = text.partition(" ")
        verb = verb.upper() if verb.isascii() else ""  # some letters of other scripts become ASCII in upper case
        argument = argument.strip(" ")
        self._idle += 1
        try:
            if len(line) > self.limits.command_line:
                raise CommandProblem(too_long)
            if _CONTROL.search(text):
                raise CommandProblem(Reply(500, "5.5.2", "Error: control character in command"))
            handler = _COMMANDS.get(verb)
            if verb in _HTTP_VERBS:
                return self._hang_up(Reply(521, "5.7.0", "Error: this is not a web server"))
            if handler is None:
                raise CommandProblem(_NOT_OFFERED if verb in _NOT_OFFERED_VERBS else _UNKNOWN)
            event = handler(self, argument)
        except CommandProblem as problem:
            self._errors += 1
            self._say(problem.reply)
            event = None
        if event is None and self._state is _State.COMMAND:
            if self._errors > self.limits.errors:
                return self._hang_up(Reply(421, "4.7.0", "Error: too many errors"))
            if self._idle > self.limits.idle_commands:
                return self._hang_up(Reply(421, "4.7.0", "Error: too many commands without a message"))
        return event

    # Commands

    def _helo(self, argument: str) -> Optional[Event]:
        self._greeted("HELO", argument)
        self._say(Reply(250, "", self.hostname))
        return None

    def _ehlo(self, argument: str) -> Optional[Event]:
        self._greeted("EHLO", argument)
        self._state = _State.WAIT_GREETING
        return GreetingNeeded()

    def _lhlo(self, argument: str) -> Optional[Event]:
        self._greeted("LHLO", argument)
        self._state = _State.WAIT_GREETING
        return GreetingNeeded()

    def _greeted(self, verb: str, argument: str) -> None:
        if not argument:
            raise CommandProblem(Reply(501, "5.5.4", f"Syntax: {verb} hostname"))
        self._forget()
        self._greeting = verb
        self._lmtp = verb == "LHLO"
        self._international = True
        self._client_name = argument

    def _mail(self, argument: str) -> Optional[Event]:
        if not self._greeting:
            raise CommandProblem(_NOT_GREETED)
        if self._sender is not None:
            raise CommandProblem(Reply(503, "5.5.1", "Error: nested MAIL command"))
        address, rest = esmtp.parse_path(argument, "FROM:")
        parameters = esmtp.parse_parameters(rest)
        esmtp.check_mail_parameters(parameters, self.limits.message_size)
        if "SMTPUTF8" in parameters and not self._international:
            # Without it at the next hop the message could only be deferred for ever (RFC 6531 section 3.2).
            raise CommandProblem(Reply(555, "5.5.4", "MAIL parameter SMTPUTF8 is not supported by the next hop"))
        parameters.pop("SIZE", None)
        self._sender = address
        self._parameters = parameters
        self._say(Reply(250, "2.1.0", "Ok"))
        return None

    def _rcpt(self, argument: str) -> Optional[Event]:
        if self._sender is None:
            raise CommandProblem(Reply(503, "5.5.1", "Error: need MAIL command"))
        address, rest = esmtp.parse_path(argument, "TO:")
        parameters = esmtp.parse_parameters(rest)
        esmtp.check_rcpt_parameters(parameters)
        if len(self._recipients) >= self.limits.recipients:
            # Not counted as an error: the client is to send the rest in a second transaction.
            self._say(Reply(452, "4.5.3", f"Error: more than {self.limits.recipients} recipients"))
            return None
        self._recipients.append(Recipient(address, parameters))
        self._idle -= 1  # it does bring the message forward
        self._say(Reply(250, "2.1.5", "Ok"))
        return None

    def _data(self, argument: str) -> Optional[Event]:
        if argument:
            raise CommandProblem(Reply(501, "5.5.4", "Syntax: DATA"))
        if self._sender is None:
            raise CommandProblem(Reply(503, "5.5.1", "Error: need MAIL command"))
        if not self._recipients:
            raise CommandProblem(Reply(503, "5.5.1", "Error: no valid recipients"))
        self._decoder = DataDecoder()
        self._size = 0
        self._refused = None
        self._state = _State.DATA
        self._say(Reply(354, "", "End data with <CR><LF>.<CR><LF>"))
        return ContentStarts(
            Envelope(
                self._sender,
                self._parameters,
                list(self._recipients),
                dict(self._xforward),
                self._lmtp,
                self._client_name,
            )
        )

    def _rset(self, argument: str) -> Optional[Event]:
        if argument:
            raise CommandProblem(Reply(501, "5.5.4", "Syntax: RSET"))
        self._forget()
        self._say(_OK)
        return None

    def _noop(self, _argument: str) -> Optional[Event]:
        self._say(_OK)
        return None

    def _vrfy(self, argument: str) -> Optional[Event]:
        if not argument:
            raise CommandProblem(Reply(501, "5.5.4", "Syntax: VRFY address"))
        self._say(Reply(252, "2.5.0", "Cannot verify, but will take the message"))
        return None

    def _help(self, _argument: str) -> Optional[Event]:
        self._say(Reply(214, "2.0.0", "Commands: " + " ".join(_COMMANDS)))
        return None

    def _quit(self, _argument: str) -> Optional[Event]:
        self._say(Reply(221, "2.0.0", "Bye"))
        return self._close()

    def _xforward_command(self, argument: str) -> Optional[Event]:
        if not self._greeting:
            raise CommandProblem(_NOT_GREETED)
        if self._sender is not None:
            raise CommandProblem(Reply(503, "5.5.1", "Error: MAIL transaction in progress"))
        self._xforward.update(esmtp.parse_xforward(argument))
        self._say(_OK)
        return None

    # Content

    def _content(self) -> Optional[Event]:
        decoded = self._decoder.feed(bytes(self._buffer))
        self._buffer.clear()
        self._size += len(decoded.content)
        dropped = False
        if self._size > self.limits.message_size and self._refused is None:
            limit = self.limits.message_size
            self._refused = Reply(552, "5.3.4", f"Error: message size exceeds the limit of {limit} bytes")
            dropped = True
        if decoded.ended:
            self._buffer += decoded.rest
            self._state = _State.DATA_ENDED
        if dropped:
            return TransactionDropped()
        if self._refused is None and decoded.content:
            return Content(decoded.content)
        return None

    def _end_of_data(self) -> Event:
        self._state = _State.WAIT_FINISH
        if self._refused is None:
            bare = self._decoder.bare
            return ContentEnds(self._size, bare, bare or self._decoder.dots)
        self.finish([self._refused] * (len(self._recipients) if self._lmtp else 1))
        return TransactionDropped()

    # Helpers

    def _say(self, reply: Reply) -> None:
        self._output.append(reply.encode())

    def _forget(self) -> None:
        self._sender = None
        self._parameters = {}
        self._recipients = []
        self._xforward = {}

    def _hang_up(self, reply: Reply) -> Event:
        self._say(reply)
        return self._close()

    def _close(self) -> Event:
        self._state = _State.CLOSED
        self._buffer.clear()
        return Closing()


_COMMANDS: dict[str, Callable[[InboundSession, str], Optional[Event]]] = {
    "HELO": InboundSession._helo,
    "EHLO": InboundSession._ehlo,
    "LHLO": InboundSession._lhlo,
    "XFORWARD": InboundSession._xforward_command,
    "MAIL": InboundSession._mail,
    "RCPT": InboundSession._rcpt,
    "DATA": InboundSession._data,
    "RSET": InboundSession._rset,
    "NOOP": InboundSession._noop,
    "VRFY": InboundSession._vrfy,
    "HELP": InboundSession._help,
    "QUIT": InboundSession._quit,
}
