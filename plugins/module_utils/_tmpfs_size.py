# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How large the scratch tmpfs of a content filter has to be: pure arithmetic, no I/O.

The rule is n * (1 + f) * message_size_limit * 7/8: each of n messages that are in the filter at the same
time needs its own space plus f times as much for what it unpacks to. 7/8 because a message near the limit
is mostly base64, whose decoded parts are a quarter smaller than what came over the wire.

All sizes are bytes. Numbers are exact fractions, so that no binary float error can cost or add a page.
Every function raises ValueError with a message that names the variable, what it held and what it takes.
"""

from __future__ import annotations

import re
from decimal import Decimal
from fractions import Fraction
from typing import NamedTuple

#: Postfix keeps message_size_limit in a C long, the kernel keeps the size of a tmpfs in 64 bits.
LARGEST_SIZE = 2**63 - 1
#: More than anybody needs (amavisd-new stops unpacking at 500), small enough to catch a typing error.
LARGEST_EXPANSION_FACTOR = 10000
LARGEST_INSTANCES = 100000

_WHOLE_NUMBER = re.compile(r"[0-9]{1,19}")
_DECIMAL_NUMBER = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,18})?")


class TmpfsSize(NamedTuple):
    """What compute() found; every field is in bytes."""

    #: The rule's result rounded up to a whole byte.
    exact_bytes: int
    #: The same, but at least one page: the smallest file system the kernel makes.
    size_bytes: int
    #: What a live mount of size_bytes shows: rounded up to whole pages.
    mount_bytes: int
    #: The rule for one message, rounded down, so that n of them never exceed the mount.
    per_message_bytes: int
    #: The rule with its numbers, for people.
    formula: str


def parse_instances(value: object, name: str = "instances") -> int:
    """The number of messages in the filter at the same time: a whole number, 1 or more."""
    takes = f"a whole number from 1 to {LARGEST_INSTANCES}"
    number = _whole(value, name, takes)
    if not 1 <= number <= LARGEST_INSTANCES:
        raise ValueError(_wrong(name, value, takes))
    return number


def parse_expansion_factor(value: object, name: str = "expansion_factor") -> Fraction:
    """How many times its own size a message may need on top for what it unpacks to: 0 or more."""
    takes = f"a number from 0 to {LARGEST_EXPANSION_FACTOR}, such as 2 or 2.5"
    if isinstance(value, bool):
        raise ValueError(_wrong(name, value, takes))
    if isinstance(value, (int, float)):
        # repr() of a float is the shortest decimal that means it: 2.1 stays 2.1 and not 2.100000000000000088.
        text = format(Decimal(repr(value)), "f")
    elif isinstance(value, str):
        text = value.strip()
    else:
        raise ValueError(_wrong(name, value, takes))
    if not _DECIMAL_NUMBER.fullmatch(text):
        raise ValueError(_wrong(name, value, takes))
    factor = Fraction(text)
    if factor > LARGEST_EXPANSION_FACTOR:
        raise ValueError(_wrong(name, value, takes))
    return factor


def parse_message_size_limit(value: object, name: str = "message_size_limit") -> int:
    """Postfix' message_size_limit in bytes. 0 is Postfix' word for "unlimited" and cannot be sized for."""
    takes = f"a number of bytes from 1 to {LARGEST_SIZE}"
    number = _whole(value, name, takes)
    if number == 0:
        raise ValueError(
            f"{name}: 0 means 'unlimited' to Postfix, so no tmpfs can be sized for it; it takes {takes}: set "
            f"message_size_limit in Postfix, or {name} here, to a number such as 10240000"
        )
    if not 1 <= number <= LARGEST_SIZE:
        raise ValueError(_wrong(name, value, takes))
    return number


def parse_page_size(value: object, name: str = "page_size") -> int:
    """The memory page of the host in bytes, a power of two."""
    takes = "a power of two from 512 to 1073741824 (bytes)"
    number = _whole(value, name, takes)
    if not 512 <= number <= 2**30 or number & (number - 1):
        raise ValueError(_wrong(name, value, takes))
    return number


def parse_memory_total(value: object, name: str = "memory_total") -> int:
    """The physical memory of the host in bytes."""
    takes = f"a number of bytes from 1 to {LARGEST_SIZE}"
    number = _whole(value, name, takes)
    if not 1 <= number <= LARGEST_SIZE:
        raise ValueError(_wrong(name, value, takes))
    return number


def parse_memory_share(value: object, name: str = "memory_share") -> Fraction:
    """The part of the physical memory that the tmpfs may take, in per cent."""
    takes = "a percentage above 0 and up to 100"
    try:
        share = parse_expansion_factor(value, name)
    except ValueError:
        raise ValueError(_wrong(name, value, takes)) from None
    if not 0 < share <= 100:
        raise ValueError(_wrong(name, value, takes))
    return share


def compute(instances: int, expansion_factor: Fraction, message_size_limit: int, page_size: int) -> TmpfsSize:
    """Apply the rule to numbers that the functions above have checked."""
    one = (1 + expansion_factor) * message_size_limit * Fraction(7, 8)
    exact = instances * one
    exact_bytes = _ceiling(exact)
    size_bytes = max(page_size, exact_bytes)
    mount_bytes = -(-size_bytes // page_size) * page_size
    if mount_bytes > LARGEST_SIZE:
        raise ValueError(
            f"instances, expansion_factor, message_size_limit: {instances}, {_number(expansion_factor)} and "
            f"{message_size_limit} need {mount_bytes} bytes, a file system holds at most {LARGEST_SIZE}"
        )
    formula = (
        f"instances * (1 + expansion_factor) * message_size_limit * 7/8 = {instances} * (1 + "
        f"{_number(expansion_factor)}) * {message_size_limit} * 7/8 = {_number(exact)} bytes"
    )
    return TmpfsSize(exact_bytes, size_bytes, mount_bytes, one.__floor__(), formula)


def check_memory(size: TmpfsSize, memory_total: int, memory_share: Fraction, prefix: str = "") -> None:
    """Raise ValueError, with the figures, when the mount would take more of the memory than it may."""
    allowed = (memory_share * memory_total / 100).__floor__()
    if size.mount_bytes > allowed:
        raise ValueError(
            f"{prefix}instances, {prefix}expansion_factor, {prefix}message_size_limit: the tmpfs needs "
            f"{size.mount_bytes} bytes ({size.formula}), but {prefix}memory_share allows {_number(memory_share)} % of "
            f"this host's {memory_total} bytes of memory, which is {allowed} bytes; lower one of the three, raise "
            f"{prefix}memory_share, or add memory"
        )


def _whole(value: object, name: str, takes: str) -> int:
    """The whole number that an option holds, given as a number or as a string of digits."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and _WHOLE_NUMBER.fullmatch(value.strip()):
        return int(value.strip())
    raise ValueError(_wrong(name, value, takes))


def _wrong(name: str, value: object, takes: str) -> str:
    return f"{name}: {shown(value)} is wrong, it takes {takes}"


def shown(value: object, longest: int = 60) -> str:
    """A value as an error message shows it: quoted, and cut when it is long."""
    text = repr(value)
    return text if len(text) <= longest else text[:longest] + "..."


def _ceiling(number: Fraction) -> int:
    return -(-number.numerator // number.denominator)


def _number(number: Fraction) -> str:
    """A fraction as people write it; all of ours have finite decimals."""
    if number.denominator == 1:
        return str(number.numerator)
    digits = 0
    while (number * 10**digits).denominator != 1 and digits < 30:
        digits += 1
    scaled = (number * 10**digits).__floor__()
    return f"{scaled // 10**digits}.{scaled % 10**digits:0{digits}d}"
