# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""End of data, dot stuffing, bare CR and LF (RFC 5321 sections 2.3.8, 4.1.1.4 and 4.5.2)."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from filterd.smtp.framing import DataDecoder, DataEncoder

#: Bytes of which every known smuggling variant is made.
TRICKY = st.lists(st.sampled_from([b"\r", b"\n", b".", b"\r\n", b"\0", b"x", b"MAIL"]), max_size=40).map(b"".join)
CUTS = st.lists(st.integers(0, 100), max_size=10)


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    places = [0, *sorted(cut for cut in cuts if cut < len(data)), len(data)]
    return [data[places[index] : places[index + 1]] for index in range(len(places) - 1)]


def decode(data: bytes, cuts: list[int] | None = None) -> tuple[bytes, bool, bytes, bool]:
    """Content, whether the end came, what came after it, whether there were bare CR or LF."""
    decoder = DataDecoder()
    content, rest, ended = b"", b"", False
    for piece in pieces(data, cuts or []):
        if ended:
            rest += piece
            continue
        decoded = decoder.feed(piece)
        content += decoded.content
        ended, rest = decoded.ended, decoded.rest
    return content, ended, rest, decoder.bare


def encode(content: bytes, cuts: list[int] | None = None) -> bytes:
    encoder = DataEncoder()
    return b"".join(encoder.feed(piece) for piece in pieces(content, cuts or [])) + encoder.finish()


class TestEndOfData:
    @pytest.mark.parametrize(
        ("data", "content"),
        [
            (b".\r\n", b""),  # right after DATA: its line end counts
            (b"x\r\n.\r\n", b"x\r\n"),
            (b"\r\n.\r\n", b"\r\n"),
            (b"..\r\n.\r\n", b".\r\n"),
            (b"...\r\n.\r\n", b"..\r\n"),
            (b".x\r\n.\r\n", b"x\r\n"),
            (b"a\r\n..b\r\n..\r\n.\r\n", b"a\r\n.b\r\n.\r\n"),
            (b"\0\xff\x80\r\n.\r\n", b"\0\xff\x80\r\n"),
        ],
    )
    def test_is_crlf_dot_crlf(self, data, content):
        assert decode(data + b"QUIT\r\n") == (content, True, b"QUIT\r\n", False)

    @pytest.mark.parametrize(
        "ending",
        [
            *(b"\n.\n", b"\n.\r\n", b"\r\n.\n", b"\r.\r", b"\r.\r\n", b"\r\n.\r", b"\n.\r", b"\r.\n"),
            *(b"\r\r\n.\r\r\n", b"\r\n.\r\r\n", b"\r\n\0.\r\n", b"\r\n.\0\r\n", b"\r\n .\r\n", b"\r\n. \r\n"),
            *(b"\r\n\x85.\r\n", b"\n\n.\n\n", b"\r\0\n.\r\n", b"\r\n.\r\0\n"),
        ],
    )
    def test_nothing_else_ends_the_data(self, ending):
        smuggled = b"body" + ending + b"MAIL FROM:<evil@example.com>\r\n"
        content, ended, _, _ = decode(smuggled)
        assert not ended
        # What is scanned is what is sent: the next server sees the same single message.
        assert decode(encode(decode(smuggled + b"\r\n.\r\n")[0]))[:3] == (decode(smuggled + b"\r\n.\r\n")[0], True, b"")
        assert content.startswith(b"body")

    @given(TRICKY, TRICKY, CUTS)
    def test_no_split_of_the_input_makes_a_difference(self, before, after, cuts):
        data = before + b"\r\n.\r\n" + after
        assert decode(data, cuts) == decode(data)
        assert decode(before, cuts)[1:] == decode(before)[1:]

    @given(TRICKY)
    def test_one_byte_at_a_time(self, data):
        whole = data + b"\r\n.\r\nRSET\r\n"
        assert decode(whole, list(range(len(whole)))) == decode(whole)

    @given(TRICKY)
    def test_ends_at_the_first_end_of_data_only(self, data):
        _, ended, rest, _ = decode(data)
        first = (b"\r\n" + data).find(b"\r\n.\r\n")
        assert ended == (first >= 0)
        if ended:
            assert rest == (b"\r\n" + data)[first + 5 :]


class TestBareCrAndLf:
    def test_a_bare_lf_becomes_a_line_end(self):
        assert decode(b"a\nb\n\nc\r\n.\r\n") == (b"a\r\nb\r\n\r\nc\r\n", True, b"", True)

    def test_a_bare_cr_becomes_a_space(self):
        assert decode(b"a\rb\r\r\nc\r\n.\r\n") == (b"a b \r\nc\r\n", True, b"", True)

    @given(TRICKY)
    def test_nothing_bare_is_ever_passed_on(self, data):
        content = decode(data + b"\r\n.\r\n")[0]
        assert re.search(rb"\r(?!\n)|(?<!\r)\n", content) is None

    @given(TRICKY)
    def test_are_told_of(self, data):
        before_end = (b"\r\n" + data + b"\r\n.\r\n").split(b"\r\n.\r\n")[0]
        assert decode(data + b"\r\n.\r\n")[3] == (re.search(rb"\r(?!\n)|(?<!\r)\n", before_end) is not None)

    @given(st.binary(max_size=200).filter(lambda data: not re.search(rb"[\r\n]", data)), CUTS)
    def test_everything_else_is_unchanged(self, data, cuts):
        content = data + b"\r\n" + data + b"\r\n"
        assert decode(encode(content), cuts) == (content, True, b"", False)


class TestEncoder:
    @pytest.mark.parametrize(
        ("content", "wire"),
        [
            (b"", b".\r\n"),
            (b".", b"..\r\n.\r\n"),
            (b"x", b"x\r\n.\r\n"),
            (b"x\r\n", b"x\r\n.\r\n"),
            (b".\r\n", b"..\r\n.\r\n"),
            (b"\r\n.\r\n..\r\n", b"\r\n..\r\n...\r\n.\r\n"),
        ],
    )
    def test_stuffs_dots_and_ends_the_data(self, content, wire):
        assert encode(content) == wire

    @given(TRICKY, CUTS)
    def test_round_trip(self, data, cuts):
        content = decode(data + b"\r\n.\r\n")[0]
        assert decode(encode(content, cuts)) == (content, True, b"", False)

    @given(TRICKY, CUTS)
    def test_no_split_of_the_content_makes_a_difference(self, data, cuts):
        content = decode(data + b"\r\n.\r\n")[0]
        assert encode(content, cuts) == encode(content)

    @given(st.one_of(TRICKY, TRICKY.map(lambda data: data.replace(b".", b""))), CUTS)
    @example(b"..", [])
    @example(b"a\r\n..b\r\nc", [])
    @example(b"a\r\n..b\r\nc", [3])
    @example(b"a\n.b", [])
    @example(b"a\r\nb", [])
    @example(b".", [3])
    def test_what_came_without_dots_needs_no_search_for_them(self, data, cuts):
        decoder = DataDecoder()
        content = b""
        for piece in pieces(data + b"\r\n.\r\n", cuts):
            decoded = decoder.feed(piece)
            content += decoded.content
            if decoded.ended:
                break
        begins = content.startswith(b".") or b"\r\n." in content
        if begins:
            assert decoder.dots or decoder.bare
        elif not cuts:
            assert not decoder.dots or data.startswith(b".") or b"\r\n." in data
        if not (decoder.dots or decoder.bare):
            assert b"".join(map(DataEncoder(dots=False).feed, pieces(content, cuts))) == b"".join(
                map(DataEncoder().feed, pieces(content, cuts))
            )

    @given(TRICKY)
    def test_the_wire_has_one_end_of_data_and_nothing_bare(self, data):
        wire = b"\r\n" + encode(decode(data + b"\r\n.\r\n")[0])
        assert wire.count(b"\r\n.\r\n") == 1
        assert wire.endswith(b"\r\n.\r\n")
        assert re.search(rb"\r(?!\n)|(?<!\r)\n", wire) is None


@pytest.mark.parametrize("length", [998, 1000, 65536, 1048576])
def test_long_lines_are_unchanged(length):
    content = b"x" * length + b"\r\n." + b"y" * length + b"\r\n"
    wire = encode(content, [10, 70000])
    assert decode(wire, list(range(0, len(wire), 4096))) == (content, True, b"", False)
