# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys for disclaimers in outgoing mail."""

from __future__ import annotations

import dataclasses
from typing import Any

from .. import values
from ..disclaimer.load import header, load_rows
from ..disclaimer.rows import Row
from ..values import Address, Network, Wrong, key

_TAKES = "a list of rows with senders, recipients, text and html"


def _rows(value: Any) -> tuple[Row, ...]:
    if not isinstance(value, list):
        raise Wrong(_TAKES)
    loaded = load_rows(value, "", files=False)
    if loaded.problems:
        raise Wrong(f"{_TAKES}; {loaded.problems[0]}")
    return loaded.rows


def _rows_back(rows: tuple[Row, ...]) -> list[dict[str, Any]]:
    found = []
    for row in rows:
        texts = {"text": row.text.source if row.text else "", "html": row.html.source if row.html else ""}
        held = {"senders": list(row.senders), "recipients": list(row.recipients), **texts}
        found.append({name: value for name, value in held.items() if value})
    return found


def _listen(value: Any) -> tuple[Address, ...]:
    return () if value == [] else values.listen(value)


def _header(value: Any) -> str:
    if header(value) is None:
        raise Wrong('a header field like "X-Terms: https://www.example.com/terms", or an empty string')
    return str(value)


@dataclasses.dataclass(frozen=True)
class DisclaimerKeys:
    """Keys for disclaimers in outgoing mail."""

    disclaimers: tuple[Row, ...] = key(
        (),
        _rows,
        "",
        "texts for outgoing mail: the first row whose `senders` and `recipients` fit says `text` and `html`; without "
        "both none is added; see docs/disclaimers.md",
        _rows_back,
    )
    disclaimer_clients: tuple[Network, ...] = key(
        (),
        values.networks,
        "",
        "networks of the hosts whose mail is outgoing, by the address that Postfix tells (XFORWARD)",
        lambda networks: [str(network) for network in networks],
    )
    disclaimer_listen: tuple[Address, ...] = key(
        (), _listen, "", "those addresses of `listen` that take outgoing mail", values.listen_back
    )
    disclaimer_header: str = key(
        "", _header, "", "one more header field for mail that gets a disclaimer, as `Name: value`"
    )
    disclaimer_without_text: bool = key(
        False, values.boolean, "", "mail without a text, such as a mere attachment, gets a part with the disclaimer"
    )
    disclaimer_skip_lists: bool = key(False, values.boolean, "", "mail of mailing lists gets no disclaimer")
    disclaimer_text_limit: int = key(
        4194304,
        values.integer(65536, 2**30),
        "bytes",
        "of text in an outgoing message, which are in memory for a moment; with more it gets no disclaimer",
    )
