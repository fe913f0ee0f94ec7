# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Questions for MX records and their answers as bytes (RFC 1035 section 4), and resolv.conf(5). No I/O.

Python's standard library asks for addresses alone, and tools such as dig(1) are on few mail hosts.
"""

from __future__ import annotations

import ipaddress
import struct
from typing import NamedTuple

_HEADER = struct.Struct("!6H")
_FIXED = struct.Struct("!HHIH")  #: of a record behind its name: type, class, seconds to live, length of its data
_MX, _INTERNET = 15, 1
_RESPONSE, _TRUNCATED, _RECURSION_DESIRED, _CODE = 0x8000, 0x0200, 0x0100, 0x000F
_NO_ERROR, _NO_SUCH_NAME = 0, 3
_CODES = {1: "format error", 2: "server failure", 4: "not implemented", 5: "refused"}
_LONGEST_LABEL, _LONGEST_NAME = 63, 253
#: Of nameserver lines that the C library takes (resolv.conf(5), MAXNS).
_SERVERS = 3


class DnsError(Exception):
    """A name that none can be, or an answer that is none; the words say why."""


class Mx(NamedTuple):
    """One MX record (RFC 1035 section 3.3.9)."""

    preference: int  #: lower is tried first
    host: str  #: without the dot at its end; empty where mail is not taken (RFC 7505)


def name_servers(resolv_conf: str) -> list[str]:
    """The addresses that the host asks, in their order; the host itself when none is named."""
    found = []
    for line in resolv_conf.splitlines():
        words = line.split()
        if len(words) < 2 or words[0] != "nameserver":
            continue
        try:
            ipaddress.ip_address(words[1].partition("%")[0])
        except ValueError:
            continue
        found.append(words[1])
    return found[:_SERVERS] or ["127.0.0.1"]


def question(name: str, number: int) -> bytes:
    """What asks for the MX records of `name`; `number` (0 to 65535) stands in the answer again. Raises DnsError."""
    labels = name.rstrip(".").split(".")
    if not name.isascii() or len(name) > _LONGEST_NAME or not all(0 < len(one) <= _LONGEST_LABEL for one in labels):
        raise DnsError(f"{name!r} is no domain name")
    encoded = b"".join(bytes([len(one)]) + one.encode("ascii") for one in labels)
    return _HEADER.pack(number, _RECURSION_DESIRED, 1, 0, 0, 0) + encoded + b"\0" + struct.pack("!HH", _MX, _INTERNET)


def is_answer(packet: bytes, number: int) -> bool:
    """Whether it answers the question of this number."""
    if len(packet) < _HEADER.size:
        return False
    found, flags = _HEADER.unpack_from(packet)[:2]
    return found == number and bool(flags & _RESPONSE)


def is_truncated(packet: bytes) -> bool:
    """Whether the whole answer is to be had by TCP only (RFC 1035 section 4.2.1)."""
    return bool(_HEADER.unpack_from(packet)[1] & _TRUNCATED)


def answer(packet: bytes) -> list[Mx]:
    """The MX records in it, those to be tried first first; none when the name has none. Raises DnsError."""
    try:
        return sorted(_answer(packet))
    except (struct.error, IndexError) as error:
        raise DnsError("the answer is cut off") from error


def _answer(packet: bytes) -> list[Mx]:
    flags, questions, answers = _HEADER.unpack_from(packet)[1:4]
    code = flags & _CODE
    if code == _NO_SUCH_NAME:
        return []
    if code != _NO_ERROR:
        raise DnsError(f"the name server says: {_CODES.get(code, f'error {code}')}")
    place = _HEADER.size
    for _unused in range(questions):
        place = _name(packet, place)[1] + 4
    found = []
    for _unused in range(answers):
        place = _name(packet, place)[1]
        kind, network, _seconds, length = _FIXED.unpack_from(packet, place)
        place += _FIXED.size
        if (kind, network) == (_MX, _INTERNET):
            found.append(Mx(struct.unpack_from("!H", packet, place)[0], _name(packet, place + 2)[0]))
        place += length
    return found


def _name(packet: bytes, place: int) -> tuple[str, int]:
    """The name that begins at `place`, and where what follows it begins."""
    labels: list[str] = []
    after = -1
    size = 0
    while packet[place] != 0:
        length = packet[place]
        if length >= 0xC0:  # the rest stands further in front (section 4.1.4)
            target = (length & 0x3F) << 8 | packet[place + 1]
            after = place + 2 if after < 0 else after
            if target >= place:
                raise DnsError("a name in the answer refers to what follows it")
            place = target
            continue
        label = packet[place + 1 : place + 1 + length]
        size += length + 1
        if length > _LONGEST_LABEL or len(label) < length or size > _LONGEST_NAME + 1:
            raise DnsError("the answer has a name that is none")
        labels.append(label.decode("ascii", "backslashreplace"))
        place += 1 + length
    return ".".join(labels), place + 1 if after < 0 else after
