# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a scanner is given of a message."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filterd.content.analysis import Analysis
from filterd.content.kept import Room
from filterd.content.rules import Rules
from filterd.content.streams import MAIL_LIMIT
from filterd.content.uuencode import OldEncodings
from filterd.keys.content import ContentKeys

ATTACHMENT = bytes(range(256)) * 8
TEXT = b"A line of text that says nothing at all.\r\n" * 10


def message(text: bytes = TEXT, attachment: bytes = ATTACHMENT) -> bytes:
    encoded = base64.encodebytes(attachment).replace(b"\n", b"\r\n")
    return (
        b'Content-Type: multipart/mixed; boundary="b"\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\n' + text + b"\r\n"
        b"--b\r\nContent-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n\r\n"
        + encoded
        + b"--b--\r\n"
    )


def given_to_scanner(mode: str, content: bytes, step: int = 1000, room: Room = lambda _size: False) -> list[bytes]:
    pieces = [content[start : start + step] for start in range(0, len(content), step)]
    analysis = Analysis(room=room)
    for piece in pieces:
        analysis.feed(piece)
    analysis.finish()
    return [b"".join(stream) for stream in analysis.streams(mode, pieces, len(content))]


def test_a_small_text_message_is_scanned_once_as_mail():
    content = b"Subject: hello\r\n\r\n" + TEXT
    assert given_to_scanner("auto", content) == [content]


def test_attachments_are_scanned_by_themselves_too():
    content = message()
    assert given_to_scanner("auto", content) == [content, ATTACHMENT]


def test_of_a_large_message_the_beginning_is_scanned_as_mail_and_every_part_by_itself():
    text = TEXT * 200
    content = message(text)
    assert given_to_scanner("auto", content) == [content[:MAIL_LIMIT], text, ATTACHMENT]


@pytest.mark.parametrize("line", [b"begin 644 tool.exe\r\n", b"=ybegin line=128 size=4 name=a\r\n",
                                  b"(This file must be converted with BinHex 4.0)\r\n"])  # fmt: skip
def test_text_in_encodings_of_another_age_makes_a_large_message_be_scanned_whole(line):
    content = message(TEXT * 200 + line + TEXT)
    assert given_to_scanner("auto", content) == [content, ATTACHMENT]


MARKS = [
    b"begin 644 tool.exe\r\n",
    b"=ybegin line=128 size=4 name=a\r\n",
    b"(This file must be converted with BinHex 4.0)\r\n",
]


@pytest.mark.parametrize("mark", MARKS)
@pytest.mark.parametrize("step", [7, 1000, 1000000])
@pytest.mark.parametrize("lines", [10, 300, 1000])
def test_text_in_encodings_of_another_age_is_noticed_at_the_latest_while_a_scanner_reads(mark, step, lines):
    text = TEXT * (lines // 10) + mark + TEXT
    content = message(text)
    pieces = [content[start : start + step] for start in range(0, len(content), step)]
    analysis = Analysis(Rules.of(ContentKeys(), decode_all=False))
    for piece in pieces:
        analysis.feed(piece)
    analysis.finish()
    given = [b"".join(stream) for stream in analysis.streams("auto", pieces, len(content))]
    assert content in given
    assert ATTACHMENT in given


@given(data=st.binary(max_size=400), step=st.integers(1, 50), mark=st.sampled_from(MARKS), lead=st.binary(max_size=90))
def test_marks_are_found_however_the_text_is_cut(data, step, mark, lead):
    text = lead + b"\n" + mark + data
    search = OldEncodings()
    for start in range(0, len(text), step):
        search.feed(text[start : start + step])
    assert search.found


def test_an_attachment_that_calls_itself_text_is_still_scanned_by_itself():
    content = message().replace(b"application/octet-stream", b"text/plain")
    assert given_to_scanner("auto", content) == [content, ATTACHMENT]


def test_the_other_modes_give_what_their_names_say():
    content = message(TEXT * 200)
    assert given_to_scanner("whole", content) == [content]
    assert given_to_scanner("parts", content) == [TEXT * 200, ATTACHMENT]
    assert given_to_scanner("both", content) == [content, TEXT * 200, ATTACHMENT]


def test_every_reading_of_a_part_with_two_encodings_is_given():
    body = base64.encodebytes(ATTACHMENT).replace(b"\n", b"\r\n")
    content = (
        b"Content-Type: application/x\r\nContent-Transfer-Encoding: base64\r\n"
        b"Content-Transfer-Encoding: quoted-printable"
        b"\r\n\r\n" + body
    )
    given = given_to_scanner("parts", content)
    assert ATTACHMENT in given
    assert len(given) == 2


def test_text_that_ends_within_the_beginning_is_not_given_twice():
    content = message(attachment=bytes(range(256)) * 200)
    assert given_to_scanner("auto", content) == [content[:MAIL_LIMIT], bytes(range(256)) * 200]


@pytest.mark.parametrize("over", [0, 1])
def test_text_is_given_by_itself_as_soon_as_its_end_is_not_within_the_beginning(over):
    text = TEXT * 60
    end = message(text, ATTACHMENT * 10).index(b"\r\n--b", 200) + len(b"\r\n--b\r\n")
    text = text[: MAIL_LIMIT - end + over] if end > MAIL_LIMIT else b"x" * (MAIL_LIMIT - end + over) + text
    given = given_to_scanner("auto", message(text, ATTACHMENT * 10))
    assert (text in given) == bool(over)
    assert ATTACHMENT * 10 in given


@given(
    step=st.integers(100, 70000),
    mode=st.sampled_from(["auto", "whole", "parts", "both"]),
    room=st.integers(0, 60000),
    lines=st.integers(1, 1000),
)
def test_what_is_kept_in_memory_is_what_would_be_read_again(step, mode, room, lines):
    content = message(TEXT * (lines // 10) + b"x" * lines, ATTACHMENT * 8)
    have = [room]

    def take(size: int) -> bool:
        have[0] -= size
        return have[0] >= 0

    assert given_to_scanner(mode, content, step, take) == given_to_scanner(mode, content, step)


@given(step=st.integers(1, 5000), mode=st.sampled_from(["auto", "whole", "parts", "both"]))
def test_the_pieces_in_which_a_message_came_do_not_matter(step, mode):
    content = message(TEXT * 100)
    assert given_to_scanner(mode, content, step) == given_to_scanner(mode, content, len(content))
