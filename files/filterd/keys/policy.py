# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys for what becomes of a message, by what was found in it."""

from __future__ import annotations

import dataclasses
import json
from typing import Any, NamedTuple

from .. import values
from ..findings import CATEGORIES
from ..patterns import FORMS, valid
from ..values import Address, Network, Wrong, key

#: pass: on to the recipient. tag: on to the recipient, with header fields that say what was found.
#: quarantine: kept for a release, not delivered, the client hears 2xx. discard: the same, and recipients are not told.
#: reject: 554. bounce: like quarantine, and the sender is told by a delivery status notification where that is safe.
#: tempfail: 451, the message stays in the client's queue.
DISPOSITIONS = ("pass", "tag", "quarantine", "discard", "reject", "bounce", "tempfail")

_CONDITIONS = ("recipients", "clients", "listen")


class Rule(NamedTuple):
    """One row of the table. A condition that is not given is met by all."""

    recipients: tuple[str, ...]  #: in lower case
    clients: tuple[Network, ...]
    listen: tuple[Address, ...]
    words: dict[str, str]  #: category -> disposition


def _rules(value: Any) -> tuple[Rule, ...]:
    if not isinstance(value, list):
        raise Wrong('a list, like [{"recipients": ["abuse@"], "virus": "tag"}]')
    return tuple(_rule(index, item) for index, item in enumerate(value))


def _rule(index: int, value: Any) -> Rule:
    if not isinstance(value, dict):
        raise Wrong(f"objects; item {index} held {json.dumps(value)[:60]}")
    for name, held in value.items():
        if name not in _CONDITIONS and name not in CATEGORIES:
            takes = f"conditions ({', '.join(_CONDITIONS)}) and categories ({', '.join(CATEGORIES)})"
            raise Wrong(f"{takes}; item {index} held {json.dumps(name)[:60]}")
        if name in _CONDITIONS and (not isinstance(held, list) or not held):
            raise Wrong(f"a list that is not empty as {name}; item {index} held {json.dumps(held)[:60]}")
    words = {name: word for name, word in value.items() if name in CATEGORIES}
    if not words:
        raise Wrong(f"at least one category ({', '.join(CATEGORIES)}) in item {index}")
    try:
        for name, word in words.items():
            if word not in DISPOSITIONS:
                raise Wrong(f"one of {', '.join(DISPOSITIONS)} for {name}, not {json.dumps(word)[:60]},")
        return Rule(
            tuple(_recipient(item) for item in value.get("recipients", [])),
            values.networks(value.get("clients", [])),
            values.listen(value["listen"]) if "listen" in value else (),
            words,
        )
    except Wrong as wrong:
        raise Wrong(f"{wrong} in item {index}") from None


def _recipient(value: Any) -> str:
    if not valid(value):
        raise Wrong(f"recipients like {FORMS} (access(5)), not {json.dumps(value)[:60]},")
    return str(value).lower()


def _rules_back(rules: tuple[Rule, ...]) -> list[dict[str, Any]]:
    found = []
    for rule in rules:
        conditions = {
            "recipients": list(rule.recipients),
            "clients": [str(network) for network in rule.clients],
            "listen": [str(address) for address in rule.listen],
        }
        found.append({**{name: held for name, held in conditions.items() if held}, **rule.words})
    return found


@dataclasses.dataclass(frozen=True)
class PolicyKeys:
    """Keys for what becomes of a message, by what was found in it."""

    on_virus: str = key("discard", values.choice(*DISPOSITIONS), "", "an infected message; see docs/policy.md")
    on_banned: str = key(
        "quarantine", values.choice(*DISPOSITIONS), "", "a message with a file name or type that is not let through"
    )
    on_unchecked: str = key(
        "quarantine",
        values.choice(*DISPOSITIONS),
        "",
        "a message that a scanner or the unpacking gave up on because of a limit",
    )
    on_encrypted: str = key("tag", values.choice(*DISPOSITIONS), "", "a message with encrypted files, which nobody saw")
    on_ambiguous: str = key(
        "quarantine", values.choice(*DISPOSITIONS), "", "a message that other readers may read differently"
    )
    on_spam: str = key("tag", values.choice(*DISPOSITIONS), "", "a message that a spam scorer's score is too high for")
    on_bad_header: str = key(
        "pass", values.choice(*DISPOSITIONS), "", "a message whose header or structure is wrong, and hides nothing"
    )
    on_clean: str = key("pass", values.choice(*DISPOSITIONS), "", "a message in which nothing was found")
    policy: tuple[Rule, ...] = key(
        (),
        _rules,
        "",
        "rows that come before the keys on_*: conditions (recipients, clients, listen) and a disposition for each "
        "category; for each recipient and category the first row that fits decides",
        _rules_back,
    )
    quarantine_rejected: bool = key(
        True, values.boolean, "", "a copy is kept in quarantine of what is answered with 554 because of its content"
    )
    add_headers: bool = key(
        True,
        values.boolean,
        "",
        "X-Virus-Scanned is added to mail that a virus scanner has seen, X-Spam-* to mail that was scored",
    )
