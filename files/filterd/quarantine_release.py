# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Release: a quarantined message goes to the reinjecting smtpd, unchanged, and to each recipient exactly once.

What cannot be known (the process was killed, or the connection broke, after the final dot was sent) is not guessed:
a second release says what to look for and does nothing, until it is told to send again.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import NamedTuple, Optional

from . import quarantine
from .quarantine import Entry, QuarantineError
from .quarantine_journal import DOUBT, RELEASED, WAITING, Journal, State
from .reinject import Reinjector
from .smtp.esmtp import Envelope
from .smtp.outbound import is_refusal
from .smtp.reply import Reply, printable
from .values import SAME_HOST, Address


class Outcome(NamedTuple):
    """What became of one release."""

    released: dict[str, str]  #: recipient -> the server's reply
    refused: dict[str, str]  #: recipient -> why; they can be released later
    doubtful: dict[str, str]  #: recipient -> what happened; nobody knows whether the message was taken
    deleted: bool  #: everybody has it, so it is not in quarantine any more


def plan(entry: Entry, chosen: list[str], again: bool) -> list[str]:
    """The recipients that a release would go to; empty when all have it. Raises QuarantineError, OSError.

    `chosen` are some of the original recipients; none means all that do not have it yet. With `again`, also those whose
    copy is in doubt, and those who have it and are chosen by name.
    """
    states = Journal(entry).states()
    for address in chosen:
        if address not in entry.addresses:
            known = ", ".join(f"<{original}>" for original in entry.addresses)
            raise QuarantineError(printable(f"{entry.quarantine_id}: <{address}> is none of its recipients: {known}"))
        if states[address].name == RELEASED and not again:
            state = states[address]
            words = f"has been released to <{address}> at {_when(state)}, {state.reply}; --again sends it once more"
            raise QuarantineError(printable(f"{entry.quarantine_id}: {words}"))
    wanted = chosen or [address for address in entry.addresses if states[address].name != RELEASED]
    doubtful = [address for address in wanted if states[address].name == DOUBT]
    if doubtful and not again:
        raise QuarantineError(_what_to_look_for(entry, states, doubtful))
    return list(dict.fromkeys(wanted))


def downstream(entry: Entry, reinject: Address, via: Optional[Address]) -> Address:
    """Where a message is released to: `via`, or what the key `reinject` says. Raises QuarantineError."""
    if via is not None or reinject.host != SAME_HOST:
        return via or reinject
    peer = entry.data.get("peer")
    if not isinstance(peer, str) or not peer:
        words = f"reinject is {reinject}, and it is not known which host handed the message in; --via HOST:PORT says it"
        raise QuarantineError(f"{entry.quarantine_id}: {words}")
    return Address(peer, reinject.port)


async def release(reinjector: Reinjector, downstream: str, entry: Entry, chosen: list[str], again: bool) -> Outcome:
    """Hand a message to the reinjecting smtpd at `downstream`, and delete it when all its recipients have it.

    `chosen` and `again` as in `plan`. Raises QuarantineError and OSError.
    """
    with quarantine.claimed(entry):
        wanted = plan(entry, chosen, again)
        if not wanted:
            quarantine.delete(entry)
            return Outcome({}, {}, {}, True)
        outcome = await _send(reinjector, downstream, entry, wanted)
        if all(state.name == RELEASED for state in Journal(entry).states().values()):
            quarantine.delete(entry)
            outcome = outcome._replace(deleted=True)
        return outcome


async def _send(reinjector: Reinjector, downstream: str, entry: Entry, wanted: list[str]) -> Outcome:
    journal = Journal(entry)
    attempt: list[str] = []

    def commit() -> bool:
        attempt.append(journal.sending(downstream, wanted))
        return True

    envelope = _envelope(entry, wanted)
    if "SMTPUTF8" in envelope.parameters and _is_ascii(entry, wanted) and not await _takes_international(reinjector):
        # The client asked for what the message turns out not to need, and the server does not have it.
        del envelope.parameters["SMTPUTF8"]
    replies = await reinjector.deliver(envelope, _Content(entry), quarantine.size(entry), commit)
    answers = {recipient.address: reply for recipient, reply in zip(envelope.recipients, replies)}
    released = {address: reply.brief() for address, reply in answers.items() if reply.positive}
    refused = {
        address: reply.brief() for address, reply in answers.items() if not reply.positive and _is_known(reply, attempt)
    }
    doubtful = {address: reply.brief() for address, reply in answers.items() if address not in {**released, **refused}}
    if attempt:
        journal.answered(attempt[-1], released, refused)
    return Outcome(released, refused, doubtful, False)


def _is_known(reply: Reply, attempt: list[str]) -> bool:
    """Whether a negative reply says for sure that the message was not taken."""
    return not attempt or is_refusal(reply)


def _envelope(entry: Entry, wanted: list[str]) -> Envelope:
    original = entry.envelope()
    recipients = {item.address: item for item in original.recipients}
    # As from an LMTP client: those whom the server refuses do not keep the others from their copy.
    return original._replace(
        parameters=dict(original.parameters), recipients=[recipients[address] for address in wanted], lmtp=True
    )


def _is_ascii(entry: Entry, wanted: list[str]) -> bool:
    return all(text.isascii() for text in [entry.data["sender"], *wanted]) and quarantine.header(entry).isascii()


async def _takes_international(reinjector: Reinjector) -> bool:
    await reinjector.extensions()
    known = reinjector.known_extensions()
    return known is None or "SMTPUTF8" in known


class _Content:
    """The message, from its beginning each time."""

    def __init__(self, entry: Entry) -> None:
        self._entry = entry

    def __iter__(self) -> Iterator[bytes]:
        return quarantine.content(self._entry)


def _what_to_look_for(entry: Entry, states: dict[str, State], doubtful: list[str]) -> str:
    state = states[doubtful[0]]
    recipients = ", ".join(f"<{address}>" for address in doubtful)
    waiting = any(other.name == WAITING for other in states.values())
    words = (
        f"{entry.quarantine_id}: a release was interrupted at {_when(state)}, after the message had been sent to "
        f"{state.downstream} for {recipients}, and before the answer was known. Look into that host's mail log for "
        f"mail from <{entry.data['sender']}> at that time{_named(entry)}. If it is not there, release it with --again; "
        f"if it is, {'release it to the others with --to, and then ' if waiting else ''}delete it here"
    )
    return printable(words)


def _named(entry: Entry) -> str:
    found = quarantine.message_id(entry)
    return f" (message-id={found})" if found else ""


def _when(state: State) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S %z", time.localtime(state.time))
