# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""SMTP replies: their wire form, which nothing can be injected into, and the parser for what a server says."""

from __future__ import annotations

import contextlib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filterd.smtp.reply import LINE_LIMIT, RECEIVE_LIMIT, ProtocolViolation, Reply, ReplyParser, printable


def parse(data: bytes, cuts: list[int] | None = None) -> list[Reply]:
    parser = ReplyParser()
    replies = []
    start = 0
    for cut in [*sorted(cut for cut in cuts or [] if cut < len(data)), len(data)]:
        replies += parser.feed(data[start:cut])
        start = cut
    return replies


class TestWireForm:
    def test_one_line(self):
        assert Reply(250, "2.0.0", "Ok").encode() == b"250 2.0.0 Ok\r\n"

    def test_without_enhanced_code(self):
        assert Reply(354, "", "go on").encode() == b"354 go on\r\n"

    def test_every_line_has_the_enhanced_code(self):
        assert Reply(550, "5.7.1", "one\ntwo").encode() == b"550-5.7.1 one\r\n550 5.7.1 two\r\n"

    @given(st.text(max_size=2000), st.sampled_from(["", "2.0.0", "5.7.1"]))
    def test_nothing_can_be_injected(self, text, enhanced):
        # Given any text, perhaps from mail or from the next server, what is sent is one well-formed reply.
        wire = Reply(250, enhanced, text).encode()
        lines = wire.split(b"\r\n")
        assert lines.pop() == b""
        for index, line in enumerate(lines):
            assert re.fullmatch(rb"[\x20-\x7e]+", line)
            assert len(line) <= LINE_LIMIT
            assert line.startswith(b"250 " if index == len(lines) - 1 else b"250-")
            assert line[4:].startswith(enhanced.encode())

    @given(st.text(max_size=300))
    def test_on_one_line_for_logs(self, text):
        assert re.fullmatch(r"[\x20-\x7e]{1,100}", Reply(451, "4.3.0", text).brief(100))

    @pytest.mark.parametrize("text", ["a\r\n250 b", "a\0b", "a\x1b[2Jb", "a\x7fb", "aéb", "a\udc80b"])
    def test_printable(self, text):
        assert re.fullmatch(r"a\?(250 b|b|\[2Jb)", printable(text))


class TestParser:
    def test_replies_of_one_line(self):
        assert parse(b"220 hello\r\n250 2.1.0 Ok\r\n354\r\n250 \r\n") == [
            *(Reply(220, "", "hello"), Reply(250, "2.1.0", "Ok"), Reply(354, "", ""), Reply(250, "", "")),
        ]

    def test_a_reply_of_many_lines(self):
        assert parse(b"550-5.7.1 no\r\n550-5.7.1 really\r\n550 5.7.1 no\r\n") == [Reply(550, "5.7.1", "no\nreally\nno")]

    def test_an_enhanced_code_of_the_wrong_form_is_text(self):
        assert parse(b"250 2.0 Ok\r\n")[0] == Reply(250, "", "2.0 Ok")

    @pytest.mark.parametrize(
        "garbage",
        [
            *(b"\r\n", b"ok\r\n", b"2500 x\r\n", b"25 x\r\n", b"150 x\r\n", b"650 x\r\n", b"250_x\r\n", b" 250 x\r\n"),
            *(b"250-a\r\n251 b\r\n", b"250-a\r\n\r\n", b"\xff\xfe\r\n", b"HTTP/1.1 200 OK\r\n", b"-250 x\r\n"),
        ],
    )
    def test_garbage_is_no_reply(self, garbage):
        with pytest.raises(ProtocolViolation):
            parse(garbage)

    @pytest.mark.parametrize("flood", [b"250-x\r\n" * 20000, b"2" * 70000, b"250 " + b"x" * 70000 + b"\r\n"])
    def test_a_flood_is_no_reply(self, flood):
        with pytest.raises(ProtocolViolation, match=str(RECEIVE_LIMIT)):
            parse(flood, list(range(0, len(flood), 1000)))

    @given(st.lists(st.integers(0, 60), max_size=10))
    def test_no_split_makes_a_difference(self, cuts):
        data = b"220 hello\r\n250-one\r\n250-2.0.0 two\r\n250 three\r\n421 4.3.2 bye\r\n"
        assert parse(data, cuts) == parse(data)

    @given(st.binary(max_size=100))
    def test_bytes_give_replies_or_a_violation(self, data):
        with contextlib.suppress(ProtocolViolation):
            assert all(200 <= reply.code <= 599 for reply in parse(data))

    def test_half_a_reply_is_told(self):
        parser = ReplyParser()
        for half in (b"250", b"-x\r\n", b"250 "):
            parser.feed(half)
            assert not parser.empty
        assert parser.feed(b"y\r\n") == [Reply(250, "", "x\ny")]
        assert parser.empty

    @given(st.text("abc 12.-", min_size=1, max_size=1200))
    def test_reads_what_it_writes(self, text):
        reply = parse(Reply(250, "2.0.0", "x" + text).encode())[0]
        assert (reply.code, reply.enhanced) == (250, "2.0.0")
        assert reply.text.replace("\n", "").replace(" ", "") == ("x" + text).replace(" ", "")
