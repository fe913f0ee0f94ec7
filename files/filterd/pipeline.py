# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The way of a message; the only file that knows the order:

scan -> policy -> quarantine -> reinject -> answer.

The promise: a 2xx is given only when the reinjecting smtpd has given it, or when what the policy
asked for is on disk. Any failure is a 4xx: the message stays in the client's queue.
"""

from __future__ import annotations

import asyncio
import functools
import threading
import traceback
from collections.abc import Iterable, Iterator
from typing import Optional

from . import headers, log, notify, policy, quarantine
from .config import Config
from .content import unpack
from .disclaimer.rows import Row
from .findings import CATEGORIES, CLEAN, SPAM, VIRUS, Finding, ScannerFailure, Score
from .message import Message
from .notices import Event
from .notifier import Notifier
from .operate.accounts import Accounts
from .operate.record import Recipient, Record
from .outgoing import Edited, Outgoing
from .policy import Decision
from .reinjection import Reinjection
from .reports import Reports, Store
from .scan import SPAM_SCORER
from .scan.panel import Panel
from .scratch import ScratchFull
from .smtp.esmtp import Envelope
from .smtp.reply import Reply, printable

_TROUBLE = Reply(451, "4.3.0", "Error: the filter has a problem, try again later")
#: Dispositions after which a copy stays in quarantine.
_KEPT = ("quarantine", "discard", "bounce")


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
        self.budget = message.spool.budget

    def content(self) -> Iterable[bytes]:
        return _Content(self._message)

    def streams(self, mode: str) -> Iterable[Iterable[bytes]]:
        return self._message.analysis.streams(mode, self.content(), self.size)


class _Work:
    """One message, and what is known and decided about it so far."""

    def __init__(self, message: Message, now: float) -> None:
        self.message = message
        self.began = now
        self.scanned = 0.0  # when the scan was over, 0 before that
        self.findings: list[Finding] = []
        self.scores: list[Score] = []
        self.virus_scanned = self.unscored = False
        self.decisions: list[Decision] = []  # one for each recipient
        self.quarantine_id = "-"

    @property
    def names(self) -> str:
        return printable(", ".join(finding.name for finding in self.findings))[:200]

    def which(self, *dispositions: str) -> list[int]:
        """The recipients with one of these dispositions, by their numbers."""
        return [number for number, decision in enumerate(self.decisions) if decision.disposition in dispositions]


class Pipeline:
    """Takes complete messages of one worker to their end."""

    def __init__(
        self,
        config: Config,
        panel: Panel,
        reinjection: Reinjection,
        accounts: Accounts,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._config = config
        self._accounts = accounts
        self._panel = panel
        self._reinjection = reinjection
        self._store = Store(config, loop)
        self._reports = Reports(reinjection, self._store, loop)
        self._notifier = Notifier(config)
        self._outgoing = Outgoing(config, loop)
        self._loop = loop

    async def handle(self, message: Message) -> list[Reply]:
        """One reply for each recipient in LMTP, else one for all. Never raises but CancelledError."""
        recipients = len(message.envelope.recipients)
        work = _Work(message, self._loop.time())
        try:
            hops = message.analysis.received_count
            if hops > self._config.max_received_headers:
                refusal = Reply(554, "5.4.6", f"Error: too many hops ({hops} Received headers), filter id={message.id}")
                return self._answer(work, [refusal] * recipients, "loop", "reject")
            await self._scan(work)
            work.scanned = self._loop.time()
            self._decide(work)
            replies = await self._carry_out(work)
            return self._answer(work, replies, _worst(work.decisions), _all_dispositions(work.decisions))
        except ScannerFailure as failure:
            log.error(f"message id={message.id} {failure}")
            reply = Reply(451, "4.3.0", f"Error: scanner not available, filter id={message.id}")
            return self._answer(work, [reply] * recipients, "unscanned", "tempfail")
        except (OSError, ScratchFull) as error:
            log.error(f"message id={message.id} {error}")
            reply = Reply(451, "4.3.1", f"Error: storage problem, filter id={message.id}")
        except Exception:
            log.error(f"message id={message.id} " + traceback.format_exc().replace("\n", " | "))
            reply = _TROUBLE
        return self._answer(work, [reply] * recipients, _worst(work.decisions), "tempfail")

    # Stages

    async def _scan(self, work: _Work) -> None:
        message = work.message
        work.findings = message.analysis.finish()
        if message.analysis.archives:
            work.findings += await self._unpack(message)
        if any(finding.category == VIRUS for finding in work.findings):
            return
        outcome = await self._panel.ask(_Subject(message))
        for kind, failure in outcome.failed.items():
            if kind in self._config.indispensable and not any(item.category == VIRUS for item in outcome.findings):
                raise failure
        for failure in outcome.failures:
            log.warning(f"message id={message.id} {failure}")
        work.virus_scanned = outcome.virus_scanned
        work.scores = outcome.scores
        work.unscored = SPAM_SCORER in outcome.failed
        spam = [finding for score in outcome.scores for finding in score.findings]
        # Scanners have read the attachments to their end, and the test pattern was looked for on the way.
        pattern = message.analysis.pattern_findings()
        work.findings = list(dict.fromkeys([*pattern, *work.findings, *outcome.findings, *spam]))

    async def _unpack(self, message: Message) -> list[Finding]:
        stop = threading.Event()
        content, budget = _Content(message), message.spool.budget
        inspect = functools.partial(unpack.inspect, message.analysis, content.__iter__, budget)
        work = self._loop.run_in_executor(None, inspect, self._config.scratch_directory, stop)
        try:
            return await asyncio.shield(work)
        except asyncio.CancelledError:
            # The content must stay where it is until the thread has seen the flag.
            stop.set()
            await asyncio.wait([work])
            raise

    def _decide(self, work: _Work) -> None:
        message = work.message
        found = {finding.category for finding in work.findings}
        origin = policy.Origin(message.client, message.listen)
        work.decisions = [
            policy.decide(self._config, found, origin, recipient.address) for recipient in message.envelope.recipients
        ]
        if not message.envelope.lmtp:
            work.decisions = policy.for_one_reply(work.decisions)

    async def _carry_out(self, work: _Work) -> list[Reply]:
        message, config = work.message, self._config
        envelope = message.envelope
        kept = work.which(*_KEPT, "reject") if config.quarantine_rejected else work.which(*_KEPT)
        if kept:
            partial = envelope._replace(recipients=[envelope.recipients[number] for number in kept])
            work.quarantine_id = await self._keep(message, message.id, partial, work.findings)
        replies = [self._reply(work, decision) for decision in work.decisions]
        delivered: list[int] = []
        for decision, numbers in _groups(work.decisions).items():
            for row, some in self._outgoing.by_text(message, numbers):
                for number, reply in zip(some, await self._deliver(work, decision, row, some)):
                    replies[number] = self._passed(message, reply) if reply.positive else reply
                    if reply.positive:
                        delivered.append(number)
        if not envelope.lmtp:
            replies = await self._one_for_all(work, replies, delivered)
        if work.findings or work.which("bounce"):
            await self._tell(work, replies)
        return replies

    async def _keep(self, message: Message, name: str, envelope: Envelope, findings: list[Finding]) -> str:
        return await self._store.keep(name, envelope, findings, _Content(message), message.size, message.peer)

    def _reply(self, work: _Work, decision: Decision) -> Reply:
        """The reply for a recipient that gets nothing; for others it is replaced by what the next host says."""
        message = work.message
        if decision.disposition in _KEPT:
            words = f"discarded, quarantined as {work.quarantine_id} ({work.names})"
            return Reply(250, "2.7.0", f"Ok: filter id={message.id}, {words}")
        if decision.disposition == "reject":
            words = f"message refused ({decision.category}: {work.names})"
            return Reply(554, "5.7.0", f"Error: {words}, filter id={message.id}")
        return Reply(451, "4.7.0", f"Error: message deferred ({work.names}), filter id={message.id}")

    async def _deliver(
        self, work: _Work, decision: Decision, disclaimer: Optional[Row], numbers: list[int]
    ) -> list[Reply]:
        """Hand one copy to the reinjecting smtpd, marked as was decided for its recipients."""
        message = work.message
        config = self._config
        marks = headers.Marks(
            config.own_name,
            work.virus_scanned and config.add_headers,
            tuple(work.scores) if config.add_headers or SPAM in decision.tags else (),
            decision.tags,
            tuple(work.findings),
            work.quarantine_id,
            work.unscored and config.add_headers,
        )
        envelope = message.envelope
        if len(numbers) < len(envelope.recipients):
            envelope = envelope._replace(recipients=[envelope.recipients[number] for number in numbers])
        added = headers.fields(marks)
        header, content, size = message.analysis.header, _Content(message), message.size
        edited: Iterable[bytes] = content
        if disclaimer is not None:
            plan = await self._outgoing.plan(message, disclaimer, content)
            if plan.edits:
                header, edited, size = plan.header, Edited(plan.edits, content), size + plan.growth
        begins_empty = not header and message.spool.head(2) == b"\r\n"
        change = headers.rewrite(header, begins_empty, added, config.spam_scorer_configured)
        replies = await self._reinjection.of(message.peer).deliver(
            envelope,
            headers.Changed(change, edited) if change.head or change.replaced else edited,
            change.size(size),
            lambda: message.commit(self._loop.time()),
            dots=message.dots or disclaimer is not None or change.dots,
        )
        if any(400 <= reply.code < 500 for reply in replies):
            self._accounts.reinjection_failed()
        return replies

    @staticmethod
    def _passed(message: Message, reply: Reply) -> Reply:
        return Reply(250, "2.0.0", f"Ok: filter id={message.id}, reinjected as {reply.brief()}")

    # A client that gets one reply for all recipients

    async def _one_for_all(self, work: _Work, replies: list[Reply], delivered: list[int]) -> list[Reply]:
        """The replies to an SMTP client: nobody gets the message twice, and nobody is left out silently."""
        failed = [number for number, reply in enumerate(replies) if reply.code >= 400 and not reply.permanent]
        if failed and not delivered:
            if work.quarantine_id != "-":
                self._store.forget(work.quarantine_id)
                work.quarantine_id = "-"
            return [replies[failed[0]]] * len(replies)
        if failed:
            await self._keep_undelivered(work, failed, replies)
        await self._report_refusals(work.message, replies)
        return replies

    async def _keep_undelivered(self, work: _Work, numbers: list[int], replies: list[Reply]) -> None:
        """Other copies are delivered: a 4xx would deliver them again at every retry."""
        message = work.message
        partial = message.envelope._replace(recipients=[message.envelope.recipients[number] for number in numbers])
        finding = Finding(quarantine.UNDELIVERED_COPY, replies[numbers[0]].brief(), "filter")
        kept = await self._keep(message, message.id + "copy", partial, [*work.findings, finding])
        log.error(f"message id={message.id} a copy could not be delivered ({finding.name}): kept as {kept}, release it")
        for number in numbers:
            replies[number] = Reply(250, "2.7.0", f"Ok: filter id={message.id}, kept for delivery as {kept}")

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
                await self._reports.bounce(message, *report)
        except Exception as error:
            log.error(f"message id={message.id} the sender could not be told of {notify.describe(refusals)}: {error}")

    # Who else is told

    async def _tell(self, work: _Work, replies: list[Reply]) -> None:
        """Bounces and notices about what does not come again."""
        message = work.message
        for (category, disposition), numbers in _ends(work.decisions, replies).items():
            recipients = tuple(message.envelope.recipients[number] for number in numbers)
            kept = work.quarantine_id if disposition in (*_KEPT, "reject") else "-"
            event = Event(
                *(message.id, message.envelope, message.client, message.analysis.header, tuple(work.findings)),
                *(category, disposition, recipients, kept),
            )
            # The message is delivered or on disk: whatever becomes of these, a 4xx would be a second copy.
            try:
                report = self._notifier.bounce(event) if disposition == "bounce" else None
                if report is not None:
                    await self._reports.bounce(message, *report)
                for notice in self._notifier.notices(event):
                    await self._reports.notice(message, *notice)
            except Exception as error:
                log.error(f"message id={message.id} notices could not be sent: {error}")

    # The end

    def _answer(self, work: _Work, replies: list[Reply], verdict: str, disposition: str) -> list[Reply]:
        message = work.message
        envelope = message.envelope
        ends = ",".join(f"<{item.address}>:{reply.brief(120)}" for item, reply in zip(envelope.recipients, replies))
        names = ",".join(finding.name for finding in work.findings) or "-"
        log.info(
            f"message id={message.id} front={message.front_queue_id} client=[{message.client}]"
            f" from=<{envelope.sender}> size={message.size} rcpts={len(envelope.recipients)} verdict={verdict}"
            f" findings={names} disposition={disposition} quarantine={work.quarantine_id}"
            f" time={self._loop.time() - message.timing.received:.3f} ends={ends}"
        )
        answers = replies if envelope.lmtp else [_most_hopeful(replies)]
        self._write_down(work, replies, answers, verdict, disposition)
        return answers

    def _write_down(
        self, work: _Work, replies: list[Reply], answers: list[Reply], verdict: str, disposition: str
    ) -> None:
        message, now = work.message, self._loop.time()
        received, deadline = message.timing
        scanned = work.scanned or now
        words = [decision.disposition for decision in work.decisions] or [disposition] * len(replies)
        recipients = map(Recipient, (item.address for item in message.envelope.recipients), words, replies)
        seconds = (work.began - received, scanned - work.began, now - scanned, now - received)
        self._accounts.message(
            Record(
                *(message.id, message.front_queue_id, message.client, message.peer, message.envelope.lmtp),
                *(message.envelope.sender, message.size, message.analysis.header, verdict, disposition),
                *(work.findings, work.scores, work.quarantine_id, tuple(recipients)),
                *(0 if message.envelope.lmtp else answers[0].code, seconds),
                *((now - received) / (deadline - received), message.withdrawn),
            )
        )

    def given_up(self, message: Message, reason: str) -> None:
        """The message has no end here: nothing was sent, and its client will send it again."""
        self._accounts.given_up(message.id, message.front_queue_id, message.size, reason)


def _groups(decisions: list[Decision]) -> dict[Decision, list[int]]:
    """Recipients that get the same copy, by their numbers."""
    groups: dict[Decision, list[int]] = {}
    for number, decision in enumerate(decisions):
        if decision.disposition in ("pass", "tag"):
            # What a copy looks like depends on its marks alone.
            groups.setdefault(Decision("", decision.disposition, decision.tags), []).append(number)
    return groups


def _ends(decisions: list[Decision], replies: list[Reply]) -> dict[tuple[str, str], list[int]]:
    """Recipients, by their numbers, with the same category and disposition, but those who will get it another time."""
    ends: dict[tuple[str, str], list[int]] = {}
    for number, (decision, reply) in enumerate(zip(decisions, replies)):
        if reply.positive or reply.permanent:
            ends.setdefault((decision.category, decision.disposition), []).append(number)
    return ends


def _worst(decisions: list[Decision]) -> str:
    return min((decision.category for decision in decisions), key=CATEGORIES.index, default=CLEAN)


def _all_dispositions(decisions: list[Decision]) -> str:
    return "+".join(dict.fromkeys(decision.disposition for decision in decisions))


def _most_hopeful(replies: list[Reply]) -> Reply:
    """The reply of an SMTP client's message: delivered when anybody got it, else the most hopeful failure."""
    return min(replies, key=lambda reply: (not reply.positive, reply.permanent))
