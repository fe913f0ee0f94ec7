# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Findings and a recipient to a decision: a table, not a maze of ifs.

The table's rows are the key `policy`; its last row are the keys on_*. For each category that was found the first row
that fits says the disposition. The first category (in the order of findings.CATEGORIES) that keeps the message from
the recipient decides; when none does, the message goes on, tagged with all categories that say so.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, Optional

from .access import inside, took
from .config import Config
from .findings import CATEGORIES, CLEAN
from .keys.policy import Rule
from .patterns import matches
from .values import Address


class Decision(NamedTuple):
    """What becomes of a message for one recipient."""

    category: str  #: that decided
    disposition: str  #: one of keys.policy.DISPOSITIONS
    tags: tuple[str, ...] = ()  #: categories that the message is marked with


class Origin(NamedTuple):
    """Where a message came from."""

    client: str  #: IP address of the host that sent it, "-" when unknown
    listen: Optional[Address]  #: which of our own addresses took it


def decide(config: Config, categories: Iterable[str], origin: Origin, recipient: str) -> Decision:
    """The decision for one recipient."""
    found = set(categories) or {CLEAN}
    rules = [rule for rule in config.policy if _fits(rule, origin, recipient)] if config.policy else []
    tags = []
    worst = CLEAN
    for category in CATEGORIES:
        if category not in found:
            continue
        word = _word(config, rules, category)
        if word == "tag":
            tags.append(category)
        elif word != "pass":
            return Decision(category, word)
        if worst == CLEAN:
            worst = category
    return Decision(worst, "tag" if tags else "pass", tuple(tags))


def _word(config: Config, rules: list[Rule], category: str) -> str:
    for rule in rules:
        if category in rule.words:
            return rule.words[category]
    word: str = getattr(config, "on_" + category)
    return word


def _fits(rule: Rule, origin: Origin, recipient: str) -> bool:
    return (
        (not rule.listen or any(took(address, origin.listen) for address in rule.listen))
        and (not rule.clients or inside(origin.client, rule.clients))
        and (not rule.recipients or any(matches(pattern, recipient) for pattern in rule.recipients))
    )


def for_one_reply(decisions: list[Decision]) -> list[Decision]:
    """The decisions for an SMTP client, which gets one reply for all recipients.

    A 4xx for one is a 4xx for all: the message comes again. A 5xx for some would tell nobody about them, or bounce for
    all: those recipients get a bounce of our own.
    """
    words = {decision.disposition for decision in decisions}
    if "tempfail" in words:
        waiting = next(decision for decision in decisions if decision.disposition == "tempfail")
        return [waiting] * len(decisions)
    if "reject" in words and words != {"reject"}:
        return [
            decision._replace(disposition="bounce") if decision.disposition == "reject" else decision
            for decision in decisions
        ]
    return decisions
