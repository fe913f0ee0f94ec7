# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What commands write into the ledger: what people did to messages in quarantine."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator

from ..config import Config
from . import ledger
from .audit import COMMANDS

_QUEUED = re.compile(r"\bqueued as ([0-9A-Za-z]{5,20})\b")


def released(config: Config, quarantine_id: str, replies: dict[str, str], gone: bool) -> None:
    """A message was released to these recipients; `gone` says that it is not in quarantine any more."""
    for address, reply in replies.items():
        queued = _QUEUED.findall(reply)
        more = {"queue_id": queued[-1]} if queued else {}
        _write(config, {"event": "released", "quarantine": quarantine_id, "recipient": address, "reply": reply, **more})
    if gone:
        _write(config, {"event": "deleted", "quarantine": quarantine_id, "why": "released to all"})


def removed(config: Config, quarantine_id: str, why: str) -> None:
    """A message is not in quarantine any more: `why` is "deleted" or "expired"."""
    _write(config, {"event": why, "quarantine": quarantine_id})


def _write(config: Config, data: dict[str, object]) -> None:
    where = ledger.place(config)
    if where is None:
        return
    try:
        with _as_owner_of(os.path.dirname(where.path)):
            privacy = ledger.privacy(config)
            if isinstance(data.get("recipient"), str):
                data["recipient"] = privacy.address(str(data["recipient"]))
                data["reply"] = privacy.words(str(data["reply"]))
            writer = ledger.Ledger(where, COMMANDS)
            writer.write(data)
            writer.close()
    except OSError:
        return  # no service has made a ledger there, or it is not ours


@contextlib.contextmanager
def _as_owner_of(directory: str) -> Iterator[None]:
    """Root acts as the filter's user: the daemon could not write to a file that root made. Raises OSError."""
    owner = os.stat(directory)
    if os.geteuid() != 0:
        yield
        return
    group = os.getegid()
    os.setegid(owner.st_gid)
    os.seteuid(owner.st_uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(group)
