# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One probe from its first command to its end: the dialogue, then the log until the message has an end."""

from __future__ import annotations

import time
from datetime import datetime, timezone
from typing import NamedTuple

from ansible_collections.mailops.filter_stack.plugins.module_utils import _postfix_log
from ansible_collections.mailops.filter_stack.plugins.module_utils._log_source import LogSource
from ansible_collections.mailops.filter_stack.plugins.module_utils._probe_message import Kind
from ansible_collections.mailops.filter_stack.plugins.module_utils._smtp_client import (
    Client,
    ProbeError,
    Reply,
    extensions,
)

#: How often the log is read, in seconds.
_POLL = 0.25
#: How long to wait for lines of a queue ID that a server gave which may be this host or another one, in seconds.
_SETTLE = 3.0

#: What a caller may expect of a message; see met().
EXPECTATIONS = ("any", "delivered", "not_delivered", "discarded", "rejected", "deferred", "bounced")


class Clock:
    """The times of one probe, in seconds since it began."""

    def __init__(self, timeout: int) -> None:
        self.started = time.monotonic()
        self.deadline = self.started + timeout
        self.times: dict[str, object] = {"started": datetime.now(timezone.utc).isoformat(timespec="milliseconds")}

    def note(self, what: str) -> None:
        self.times[what] = round(time.monotonic() - self.started, 3)


class Outcome(NamedTuple):
    """How the message ended."""

    verdict: str
    #: One word for each recipient that the log knows.
    ends: list[str]
    #: Whether nothing more is to come.
    final: bool
    story: _postfix_log.Story | None
    front_queue_id: str | None = None
    back_queue_id: str | None = None
    #: The log lines that mention the message.
    log: tuple[str, ...] = ()


#: The outcome of a message that was taken by the entry and not followed further.
NOT_FOLLOWED = Outcome("unknown", [], False, None)


def greet(client: Client, protocol: str) -> tuple[Reply, dict[str, str]]:
    """Read the banner and say EHLO or LHLO: the reply that decided, and what the server offers."""
    banner = client.reply()
    if not banner.positive:
        return banner, {}
    hello = client.command(f"{'LHLO' if protocol == 'lmtp' else 'EHLO'} {client.literal()}")
    return hello, extensions(hello) if hello.positive else {}


def send(
    client: Client, protocol: str, sender: str, recipient: str, content: bytes, kind: Kind | None = None
) -> tuple[Reply, dict[str, str]]:
    """Send one message to one recipient: the reply to the end of data, or the negative one that came before it.

    Raises ProbeError when the server does not offer what this kind of message takes.
    """
    hello, offered = greet(client, protocol)
    if not hello.positive:
        return hello, offered
    if kind is not None and kind.extension and kind.extension not in offered:
        raise ProbeError(f"kind: {kind.subject} takes {kind.extension}, which the entry does not offer")
    mail = _parameters(sender, recipient, content, offered)
    if kind is not None and kind.mail not in mail:
        mail += kind.mail
    for command in (
        f"MAIL FROM:<{sender}>{mail}",
        f"RCPT TO:<{recipient}>{kind.rcpt if kind is not None else ''}",
        "DATA",
    ):
        reply = client.command(command)
        if reply.code >= 400:
            return reply, offered
    if reply.code != 354:
        raise ProbeError(f"entry: the reply to DATA was {reply}, which is neither 354 nor a refusal")
    return client.content(content), offered


def word_for(reply: Reply) -> str:
    """What a reply means for the client."""
    return "accepted" if reply.positive else "rejected" if reply.code >= 500 else "deferred"


def _parameters(sender: str, recipient: str, content: bytes, offered: dict[str, str]) -> str:
    parameters = ""
    if "SIZE" in offered:
        parameters += f" SIZE={len(content)}"
    if not content.isascii() and "8BITMIME" in offered:
        parameters += " BODY=8BITMIME"
    if not (sender + recipient).isascii():
        if "SMTPUTF8" not in offered:
            raise ProbeError(
                f"recipient: {sender or '<>'} to {recipient} takes SMTPUTF8, which the entry does not offer"
            )
        parameters += " SMTPUTF8"
    return parameters


def judge_reply(reply: Reply) -> Outcome | None:
    """The outcome that the entry's reply alone tells; None when the message was taken and goes on."""
    if not reply.positive:
        return Outcome(word_for(reply), [word_for(reply)], True, None)
    if _postfix_log.was_discarded(str(reply)):
        return Outcome("discarded", ["discarded"], True, None)
    return None


def follow(source: LogSource, reply: Reply, message_id: str, expect: str, deadline: float) -> Outcome:
    """Read the log until the message has an end, or until the deadline (time.monotonic())."""
    queue_id = _postfix_log.queue_id_in(str(reply))
    passed_on = _postfix_log.was_passed_on(str(reply))
    log = _postfix_log.Log()
    hops = 0
    news = time.monotonic()
    while True:
        now = time.monotonic()
        log.add(source.new_lines())
        story = log.tell([queue_id] if queue_id else [], message_id)
        if len(story.hops) != hops:
            hops, news = len(story.hops), now
        settled = not story.unsettled or now - news >= _SETTLE
        final = not story.pending and settled and "deferred" not in story.ends
        # A message in the deferred queue may still be delivered: worth waiting for, unless that is the answer.
        enough = final or (not story.pending and settled and expect in ("any", "deferred"))
        if enough or now >= deadline:
            about = tuple(log.mentioning([*story.queue_ids, message_id]))
            return _outcome(story, final, queue_id, passed_on)._replace(log=about)
        time.sleep(min(_POLL, max(0.0, deadline - now)))


def met(expect: str, outcome: Outcome) -> bool:
    """Whether the outcome is the expected one."""
    if expect == "any":
        return True
    if expect == "not_delivered":
        # Not "deferred": that message may be delivered yet.
        return outcome.final and bool(outcome.ends) and not {"delivered", "deferred"} & set(outcome.ends)
    if expect == "deferred":
        return outcome.verdict == "deferred"
    return outcome.final and set(outcome.ends) == {expect}


def _outcome(story: _postfix_log.Story, final: bool, queue_id: str | None, passed_on: bool) -> Outcome:
    verdict = story.verdict if final or story.verdict == "deferred" else "unknown"
    front = None if passed_on else (queue_id or next(iter(story.queue_ids), None))
    back = queue_id if passed_on else None
    if back is None:
        # The first hop that leads to another queue file of this host; with a pipe(8) filter none names it.
        linked = [hop.next_queue_id for hop in story.hops if hop.next_queue_id in story.queue_ids]
        others = [other for other in story.queue_ids if other != front]
        back = next(iter(linked + others), None)
    return Outcome(verdict, story.ends, final, story, front, back)
