# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The way of a message; the only file that knows the order:

scan -> policy -> quarantine -> reinject -> answer.

The promise: a 2xx is given only when the reinjecting smtpd has given it, or when what the policy
asked for is on disk. Any failure is a 4xx: the message stays in the client's queue.
"""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Iterable, Iterator
from typing import Callable, Protocol

from . import log, notify, policy, quarantine
from .config import Config
from .content.streams import streams
from .findings import VIRUS, Finding, ScannerFailure
from .message import Message
from .policy import Decision
from .scan import VIRUS_SCANNER
from .scan.panel import Panel
from .scratch import ScratchFull
from .smtp.esmtp import Envelope
from .smtp.reply import Reply, printable

_TROUBLE = Reply(451, "4.3.0", "Error: the filter has a problem, try again later")


class Reinject(Protocol):
    """What hands messages back to Postfix."""

    async def deliver(
        self, envelope: Envelope, chunks: Iterable[bytes], size: int, commit: Callable[[], bool]
    ) -> list[Reply]:
        """One reply for each recipient."""


class _Content:
    """The content of a message that can be read again from its beginning."""

    def __init__(self, message: Message) -> None:
        self._message = message

    def __iter__(self) -> Iterator[bytes]:
        return self._message.spool.chunks()


class _Subject:
    """A message as scanners see it."""

    def __init__(self, message: Message) -> None:
        self._message = message
        self.id = message.id
        self.envelope = message.envelope
        self.client = message.client
        self.size = message.size

    def content(self) -> Iterable[bytes]:
        return _Content(self._message)

    def streams(self, mode: str) -> Iterable[Iterable[bytes]]:
        analysis = self._message.analysis
        return streams(mode, self.content(), self.size, analysis.attachments, analysis.old_encodings)


class Pipeline:
    """Takes complete messages of one worker to their end."""

    def __init__(self, config: Config, panel: Panel, reinject: Reinject, loop: asyncio.AbstractEventLoop) -> None:
        self._config = config
        self._panel = panel
        self._reinject = reinject
        self._loop = loop

    async def handle(self, message: Message) -> list[Reply]:
        """One reply for each recipient in LMTP, else one for all. Never raises but CancelledError."""
        recipients = len(message.envelope.recipients)
        findings: list[Finding] = []
        decision = policy.CLEAN
        quarantine_id = "-"
        try:
            hops = message.analysis.received_count
            if hops > self._config.max_received_headers:
                refusal = Reply(554, "5.4.6", f"Error: too many hops ({hops} Received headers), filter id={message.id}")
                return self._answer(message, [refusal] * recipients, "loop", "reject", findings, quarantine_id)
            findings = await self._scan(message)
            decision = policy.decide(self._config, findings)
            if decision.quarantine:
                quarantine_id = await self._keep(message, findings)
            replies = await self._carry_out(message, decision, findings, quarantine_id)
        except ScannerFailure as failure:
            log.error(f"message id={message.id} {failure}")
            reply = Reply(451, "4.3.0", f"Error: virus scanner not available, filter id={message.id}")
            replies, decision = [reply] * recipients, Decision("unscanned", "tempfail", False)
        except (OSError, ScratchFull) as error:
            log.error(f"message id={message.id} {error}")
            reply = Reply(451, "4.3.1", f"Error: storage problem, filter id={message.id}")
            replies, decision = [reply] * recipients, Decision(decision.verdict, "tempfail", False)
        except Exception:
            log.error(f"message id={message.id} " + traceback.format_exc().replace("\n", " | "))
            replies, decision = [_TROUBLE] * recipients, Decision(decision.verdict, "tempfail", False)
        return self._answer(message, replies, decision.verdict, decision.disposition, findings, quarantine_id)

    # Stages

    async def _scan(self, message: Message) -> list[Finding]:
        findings = message.analysis.finish()
        if any(finding.category == VIRUS for finding in findings):
            return findings
        outcome = await self._panel.ask(_Subject(message))
        if VIRUS_SCANNER in outcome.failed and self._config.on_scanner_failure != "pass":
            raise outcome.failures[0]
        for failure in outcome.failures:
            log.warning(f"message id={message.id} {failure}")
        return findings + outcome.findings

    async def _keep(self, message: Message, findings: list[Finding]) -> str:
        return await self._on_disk(message.id, message.envelope, findings, _Content(message))

    async def _on_disk(
        self, message_id: str, envelope: Envelope, findings: list[Finding], content: Iterable[bytes]
    ) -> str:
        # Synchronising a disk takes its time, in which other messages go on.
        work = self._loop.run_in_executor(
            None, quarantine.store, self._config.quarantine_directory, message_id, envelope, findings, content
        )
        try:
            return await asyncio.shield(work)
        except asyncio.CancelledError:
            # The content must stay where it is until the thread has read it.
            await asyncio.wait([work])
            raise

    async def _carry_out(
        self, message: Message, decision: Decision, findings: list[Finding], quarantine_id: str
    ) -> list[Reply]:
        recipients = len(message.envelope.recipients)
        names = printable(", ".join(finding.name for finding in findings))[:200]
        if decision.disposition == "pass":
            return await self._pass(message)
        if decision.disposition == "discard":
            text = f"Ok: filter id={message.id}, discarded, quarantined as {quarantine_id} ({names})"
            return [Reply(250, "2.7.0", text)] * recipients
        if decision.disposition == "reject":
            text = f"Error: message refused ({decision.verdict}: {names}), filter id={message.id}"
            return [Reply(554, "5.7.0", text)] * recipients
        return [Reply(451, "4.7.0", f"Error: message deferred ({names}), filter id={message.id}")] * recipients

    async def _pass(self, message: Message) -> list[Reply]:
        replies = await self._reinject.deliver(
            message.envelope, _Content(message), message.size, lambda: message.commit(self._loop.time())
        )
        if not message.envelope.lmtp:
            await self._report_refusals(message, replies)
        return [self._passed(message, reply) if reply.positive else reply for reply in replies]

    @staticmethod
    def _passed(message: Message, reply: Reply) -> Reply:
        return Reply(250, "2.0.0", f"Ok: filter id={message.id}, reinjected as {reply.brief()}")

    async def _report_refusals(self, message: Message, replies: list[Reply]) -> None:
        """Tell the sender of recipients that were refused for good while others got the message."""
        refusals = [pair for pair in zip(message.envelope.recipients, replies) if not pair[1].positive]
        if not refusals or len(refusals) == len(replies):
            return
        log.info(f"message id={message.id} refused recipients: {notify.describe(refusals)}")
        # The message is delivered: whatever becomes of the bounce, a 4xx would deliver it again at every retry.
        try:
            whole = notify.wants_whole(message.envelope, message.size)
            original = message.spool.head(message.size) if whole else message.analysis.header
            report = notify.failure_report(
                message.envelope, refusals, original, whole, self._config.own_name, message.id
            )
            if report is not None:
                await self._send_report(message, *report)
        except Exception as error:
            log.error(f"message id={message.id} the sender could not be told of {notify.describe(refusals)}: {error}")

    async def _send_report(self, message: Message, envelope: Envelope, content: bytes) -> None:
        """Hand a bounce to Postfix before the client's patience ends, or keep it. Raises OSError."""
        patience = max(0.0, message.timing.deadline - self._loop.time()) / 2
        sending = self._reinject.deliver(envelope, [content], len(content), lambda: True)
        try:
            answer = (await asyncio.wait_for(sending, patience))[0]
            if answer.positive:
                return
            words = answer.brief()
        except asyncio.TimeoutError:
            words = f"no answer within {patience:.1f} s"
        undelivered = Finding("undelivered bounce", words, "filter")
        quarantine_id = await self._on_disk(message.id + "bounce", envelope, [undelivered], [content])
        log.error(f"message id={message.id} no bounce could be sent ({words}): kept in quarantine as {quarantine_id}")

    # The end

    def _answer(
        self,
        message: Message,
        replies: list[Reply],
        verdict: str,
        disposition: str,
        findings: list[Finding],
        quarantine_id: str,
    ) -> list[Reply]:
        envelope = message.envelope
        ends = ",".join(f"<{item.address}>:{reply.brief(120)}" for item, reply in zip(envelope.recipients, replies))
        names = ",".join(finding.name for finding in findings) or "-"
        log.info(
            f"message id={message.id} front={message.front_queue_id} client=[{message.client}]"
            f" from=<{envelope.sender}> size={message.size} rcpts={len(envelope.recipients)} verdict={verdict}"
            f" findings={names} disposition={disposition} quarantine={quarantine_id}"
            f" time={self._loop.time() - message.timing.received:.3f} ends={ends}"
        )
        if envelope.lmtp:
            return replies
        return [_one_for_all(replies)]


def _one_for_all(replies: list[Reply]) -> Reply:
    """The reply of an SMTP client's message: delivered when anybody got it, else the most hopeful failure."""
    return min(replies, key=lambda reply: (not reply.positive, reply.permanent))
