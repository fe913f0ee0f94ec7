# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Questions and answers about MX records as bytes."""

from __future__ import annotations

import contextlib
import struct

import pytest
from ansible_collections.mailops.filter_stack.plugins.module_utils import _mx_records
from ansible_collections.mailops.filter_stack.plugins.module_utils._mx_records import DnsError, Mx
from hypothesis import given
from hypothesis import strategies as st

NAME = b"\4scan\7example\3net\0"
#: A header (one question, two answers), the question, and records that refer to names further in front.
ANSWER = (
    struct.pack("!6H", 7, 0x8580, 1, 2, 0, 0)
    + NAME
    + struct.pack("!HH", 15, 1)
    + struct.pack("!HHHIHH", 0xC00C, 15, 1, 60, 12, 20)
    + b"\7filter2\xc0\x11"
    + struct.pack("!HHHIHH", 0xC00C, 15, 1, 60, 12, 10)
    + b"\7filter1\xc0\x11"
)


def test_a_question_has_the_name_and_the_number() -> None:
    packet = _mx_records.question("scan.example.net.", 7)
    assert packet == struct.pack("!6H", 7, 0x0100, 1, 0, 0, 0) + NAME + struct.pack("!HH", 15, 1)


@pytest.mark.parametrize("name", ["", ".", "a..b", "x" * 64, "é.example", ".".join(["abcdefgh"] * 30)])
def test_what_is_no_name_is_not_asked(name: str) -> None:
    with pytest.raises(DnsError, match="is no domain name"):
        _mx_records.question(name, 7)


def test_an_answer_is_read_in_the_order_of_preference() -> None:
    assert _mx_records.is_answer(ANSWER, 7)
    assert not _mx_records.is_answer(ANSWER, 8)
    assert not _mx_records.is_answer(_mx_records.question("a", 7), 7)
    assert not _mx_records.is_answer(b"", 7)
    assert not _mx_records.is_truncated(ANSWER)
    assert _mx_records.answer(ANSWER) == [Mx(10, "filter1.example.net"), Mx(20, "filter2.example.net")]


def test_a_name_that_is_not_there_has_none() -> None:
    assert _mx_records.answer(struct.pack("!6H", 7, 0x8583, 0, 0, 0, 0)) == []


@pytest.mark.parametrize(
    ("packet", "words"),
    [
        (struct.pack("!6H", 7, 0x8582, 0, 0, 0, 0), "server failure"),
        (struct.pack("!6H", 7, 0x858F, 0, 0, 0, 0), "error 15"),
        (ANSWER[:-1], "cut off"),
        (struct.pack("!6H", 7, 0x8580, 1, 1, 0, 0) + b"\xc0\x0c", "refers to what follows it"),
        (struct.pack("!6H", 7, 0x8580, 1, 1, 0, 0) + b"\1a" * 200 + b"\0", "a name that is none"),
    ],
)
def test_what_is_no_answer_is_told(packet: bytes, words: str) -> None:
    with pytest.raises(DnsError, match=words):
        _mx_records.answer(packet)


@given(st.binary(max_size=200), st.integers(0, len(ANSWER)))
def test_no_bytes_are_too_strange(junk: bytes, place: int) -> None:
    for packet in (junk, ANSWER[:place] + junk, ANSWER[:12] + junk, ANSWER[:place] + junk + ANSWER[place:]):
        if _mx_records.is_answer(packet, 7):
            _mx_records.is_truncated(packet)
            with contextlib.suppress(DnsError):
                _mx_records.answer(packet)


def test_name_servers_are_read_as_the_c_library_does() -> None:
    text = "# nameserver 192.0.2.9\nsearch example.com\nnameserver 192.0.2.1 # one\n"
    text += "nameserver\t2001:db8::1\nnameserver x\n"
    assert _mx_records.name_servers(text) == ["192.0.2.1", "2001:db8::1"]
    assert _mx_records.name_servers(text * 2) == ["192.0.2.1", "2001:db8::1", "192.0.2.1"]
    assert _mx_records.name_servers("") == ["127.0.0.1"]
