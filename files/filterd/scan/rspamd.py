# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""rspamd by HTTP (its normal worker's /checkv2) on a connection that is kept where the server keeps it.

What Postfix told of the envelope and of the client goes along in rspamd's own fields: From, Rcpt, IP, Hostname, Helo,
Queue-Id. Only the score is used: actions such as greylisting are a matter for the public smtpd.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import json
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any, Optional

from ..findings import ScannerFailure, Score
from ..smtp.esmtp import Envelope, decode_xtext
from ..smtp.reply import printable
from . import Probe, Subject
from .exchange import Exchange, opened, words
from .http import HttpViolation, Response, request
from .scorer import GTUBE_MESSAGE, TEST_LIMIT, TESTS_LIMIT, SpamScorer, describe
from .settings import RspamdSettings

#: An idle connection is not used again after this many seconds.
IDLE_LIMIT = 20.0
REPLY_LIMIT = 1 << 20
#: Recipients that are told; beyond it they make no difference to a score, but to the size of a request.
_RECIPIENTS = 100


def read_score(body: bytes, threshold: Optional[float], source: str) -> Score:
    """The score in the body of an answer to /checkv2. Raises ScannerFailure."""
    try:
        data = json.loads(body)
    except (ValueError, RecursionError):
        raise ScannerFailure(f"{source}: said {body[:200]!r}") from None
    if not isinstance(data, dict):
        raise ScannerFailure(f"{source}: said {body[:200]!r}")
    symbols = data.get("symbols", {})
    if not isinstance(symbols, dict):
        raise ScannerFailure(f"{source}: its symbols are not an object")
    return Score(
        _number(data, "score", source),
        _number(data, "required_score", source) if threshold is None else threshold,
        tuple(printable(name)[:TEST_LIMIT] for name in symbols)[:TESTS_LIMIT],
        source,
    )


def _number(data: dict[str, Any], name: str, source: str) -> float:
    value = data.get(name)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not -1e9 <= value <= 1e9:
        raise ScannerFailure(f"{source}: has no number as {name}")
    return float(value)


def envelope_fields(envelope: Envelope, client: str, message_id: str) -> list[tuple[str, str]]:
    """What rspamd is told of the envelope and the client (https://rspamd.com/doc/architecture/protocol.html)."""
    known = {name: decode_xtext(value) or "" for name, value in envelope.xforward.items()}
    known = {name: value for name, value in known.items() if value and not value.startswith("[")}
    fields = [("From", f"<{envelope.sender}>")]
    fields += [("Rcpt", f"<{recipient.address}>") for recipient in envelope.recipients[:_RECIPIENTS]]
    with contextlib.suppress(ValueError):  # unknown: mail that was made on this host
        # XFORWARD writes addresses as RFC 5321 does, "IPV6:2001:db8::1".
        fields.append(("IP", str(ipaddress.ip_address(client[5:] if client.startswith("IPV6:") else client))))
    fields += [(field, known[name]) for field, name in (("Hostname", "NAME"), ("Helo", "HELO")) if name in known]
    fields.append(("Queue-Id", known.get("IDENT", message_id)))
    return [(name, printable(value)) for name, value in fields]


class Rspamd(SpamScorer[RspamdSettings]):
    """One rspamd."""

    def __init__(self, settings: RspamdSettings, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(settings, loop)
        self._idle: deque[tuple[float, Exchange]] = deque()

    async def score(self, subject: Subject) -> Score:
        fields = envelope_fields(subject.envelope, subject.client, subject.id)
        response = await self._checked(fields, subject.content(), subject.size)
        return read_score(response.body, self._settings.threshold, self.name)

    async def probe(self) -> Probe:
        """Version (its Server field) and what it says of GTUBE. Raises ScannerFailure."""
        response = await self._checked([("From", "<>")], [GTUBE_MESSAGE], len(GTUBE_MESSAGE))
        score = read_score(response.body, self._settings.threshold, self.name)
        return describe(printable(response.server) or "rspamd", score)

    async def _checked(self, fields: list[tuple[str, str]], content: Iterable[bytes], size: int) -> Response:
        settings = self._settings
        host = str(settings.address) if settings.address is not None else "localhost"
        always = [("Host", host), ("Connection", "keep-alive"), ("Content-Length", str(size))]
        head = request("POST", "/checkv2", [*always, *self._password(), *fields])

        def question() -> Iterator[bytes]:
            yield head
            yield from content

        end = self._loop.time() + settings.timeout
        response = None
        while response is None:
            exchange, fresh = await self._connection(end)
            exchange.limit_time(end, settings.timeout)
            response = await self._ask(exchange, question(), fresh)
        if response.status != 200:
            raise ScannerFailure(f"{self.name}: answered {response.status} {printable(_text(response.body))}")
        return response

    async def _ask(self, exchange: Exchange, question: Iterable[bytes], fresh: bool) -> Optional[Response]:
        """The whole answer. None when a kept connection had ended meanwhile, which is nobody's fault."""
        response = Response()
        answered = kept = False
        try:
            whole = await exchange.send(question)
            while not response.whole:
                data = await exchange.more()
                if not data and not answered and not fresh:
                    return None
                answered = answered or bool(data)
                response.feed(data)
            if not whole and response.status == 200:
                raise HttpViolation("answered before it had the whole message")
            kept = whole and response.keep and exchange.usable
            return response
        except ConnectionError as error:
            if not fresh and not answered and exchange.left:
                return None
            raise ScannerFailure(f"{self.name}: {error}") from None
        except HttpViolation as violation:
            raise ScannerFailure(f"{self.name}: {violation}") from None
        finally:
            if kept:
                exchange.unlimit_time()
                self._idle.append((self._loop.time(), exchange))
            else:
                exchange.close()

    def _password(self) -> list[tuple[str, str]]:
        path = self._settings.password_file
        if not path:
            return []
        try:
            with open(path, encoding="ascii") as file:
                password = file.readline(1024).strip()
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else "is not ASCII"
            raise ScannerFailure(f"{self.name}: password_file {path}: {reason}") from None
        if not password.isprintable():
            raise ScannerFailure(f"{self.name}: password_file {path}: its first line is not printable ASCII")
        return [("Password", password)]

    async def _connection(self, end: float) -> tuple[Exchange, bool]:
        settings = self._settings
        while self._idle:
            since, exchange = self._idle.pop()
            if exchange.usable and self._loop.time() - since < IDLE_LIMIT:
                return exchange, False
            exchange.close()
        left = max(0.0, end - self._loop.time())
        try:
            return await opened(settings.socket, settings.address, left, REPLY_LIMIT, self._loop), True
        except (OSError, asyncio.TimeoutError) as error:
            raise ScannerFailure(f"{self.name}: {words(error, settings.timeout)}") from None

    def sweep(self) -> None:
        """Close connections that have been idle for long."""
        now = self._loop.time()
        while self._idle and now - self._idle[0][0] >= IDLE_LIMIT:
            self._idle.popleft()[1].close()

    def close(self) -> None:
        """Close all idle connections."""
        while self._idle:
            self._idle.pop()[1].close()


def _text(body: bytes) -> str:
    return body[:200].decode("ascii", "replace")
