# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a line of the ledger must hold, so that its readers need not check again. Nothing here raises."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Callable

from .metrics import STAGES
from .record import FORMAT

_Check = Callable[[Any], bool]
#: Seconds: no time of a message is longer, and none is later than the year 5000.
_LONGEST, _LATEST = 1e9, 95617584000.0


def _text(value: Any) -> bool:
    return isinstance(value, str)


def _count(value: Any) -> bool:
    return type(value) is int and 0 <= value < 1 << 63


def _number(value: Any, most: float) -> bool:
    # Not what JSON of Python calls NaN and Infinity: neither is within bounds.
    return type(value) in (int, float) and 0 <= value <= most


def _moment(value: Any) -> bool:
    return _number(value, _LATEST)


def _stages(value: Any) -> bool:
    return isinstance(value, list) and len(value) == len(STAGES) and all(_number(one, _LONGEST) for one in value)


def _findings(value: Any) -> bool:
    return isinstance(value, list) and all(
        isinstance(one, list) and len(one) == 3 and all(map(_text, one)) for one in value
    )


def _recipients(value: Any) -> bool:
    wanted: dict[str, _Check] = dict.fromkeys(("address", "end", "reply"), _text)
    return isinstance(value, list) and all(
        isinstance(one, dict) and not _wrong(one, wanted, {"queue_id": _text}) for one in value
    )


_ALWAYS: dict[str, _Check] = {"time": _moment, "writer": _text, "n": _count, "event": _text}
_MUST: dict[str, dict[str, _Check]] = {
    "message": {
        **dict.fromkeys(("id", "front", "client", "sender", "message_id", "verdict", "disposition"), _text),
        "size": _count,
        "seconds": _stages,
        "recipients": _recipients,
    },
    "given up": {"id": _text, "front": _text, "reason": _text},
    "released": dict.fromkeys(("quarantine", "recipient", "reply"), _text),
    "deleted": {"quarantine": _text},
    "expired": {"quarantine": _text},
    "worker ended": {"worker": _text, "lines": _count},
}
_MAY: dict[str, _Check] = {
    **dict.fromkeys(("quarantine", "queue_id", "front", "id", "message_id", "sender", "recipient", "why"), _text),
    "findings": _findings,
}


def complaint(data: Any) -> str:
    """Why it is no line of a ledger, empty when it is one."""
    if not isinstance(data, dict) or data.get("v") != FORMAT:
        return f"is no line of format {FORMAT}"
    name = _wrong(data, _ALWAYS, {}) or _wrong(data, _MUST.get(data["event"], {}), _MAY)
    return f"has no {name} as it should be" if name else ""


def _wrong(data: Mapping[str, Any], must: Mapping[str, _Check], may: Mapping[str, _Check]) -> str:
    """The first name that is missing or holds something else; empty when there is none."""
    for name, check in must.items():
        if name not in data or not check(data[name]):
            return name
    return next((name for name, check in may.items() if name in data and not check(data[name])), "")
