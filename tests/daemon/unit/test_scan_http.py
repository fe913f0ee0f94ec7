# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""HTTP responses, whole and broken, in pieces of any size."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filterd.scan.http import HttpViolation, Response, request

OK = b"HTTP/1.1 200 OK\r\n"


def read(*pieces: bytes) -> Response:
    response = Response()
    for piece in pieces:
        response.feed(piece)
    return response


def test_a_request():
    head = request("POST", "/checkv2", [("Host", "localhost"), ("Rcpt", "<a@b>")])
    assert head == b"POST /checkv2 HTTP/1.1\r\nHost: localhost\r\nRcpt: <a@b>\r\n\r\n"


@pytest.mark.parametrize(
    ("data", "body", "keep"),
    [
        (OK + b"Content-Length: 3\r\n\r\nabc", b"abc", True),
        (OK + b"content-length:0\r\n\r\n", b"", True),
        (OK + b"Content-Length: 3\r\nConnection: Close\r\n\r\nabc", b"abc", False),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\na", b"a", False),
        (b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\na", b"a", True),
        (b"HTTP/1.1 200\r\nContent-Length: 1\r\n\r\na", b"a", True),
        (
            OK + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nA ;x=y\r\n0123456789\r\n0\r\n\r\n",
            b"abc0123456789",
            True,
        ),
        (OK + b"Transfer-Encoding: Chunked\r\n\r\n0\r\nTrailer: x\r\n\r\n", b"", True),
        # more than was asked: the connection is not used again
        (OK + b"Content-Length: 1\r\n\r\naHTTP/1.1 200 OK\r\n", b"a", False),
    ],
)
def test_a_whole_answer(data, body, keep):
    # Given an answer at once or byte by byte, then it is whole at its end and not before
    assert (read(data).body, read(data).whole, read(data).keep) == (body, True, keep)
    response = Response()
    for number in range(len(data)):
        assert not response.whole or number > data.rindex(body[-1:] or b"\n")
        response.feed(data[number : number + 1])
    assert (response.whole, response.body) == (True, body)


def test_an_answer_that_ends_with_the_connection():
    response = read(OK + b"\r\nabc", b"def")
    assert not response.whole
    response.feed(b"")
    assert (response.whole, response.body, response.keep) == (True, b"abcdef", False)


@pytest.mark.parametrize(
    "pieces",
    [
        [b""],
        [b"ICY 200 OK\r\n"],
        [b"\r\nHTTP/1.1 200 OK\r\n"],
        [b"SPAMD/1.1 0 EX_OK\r\n"],
        [b"HTTP/2.0 200 OK\r\n\r\n"],
        [b"HTTP/1.1 20 OK\r\n\r\n"],
        [b"HTTP/1.1 100 Continue\r\n\r\n"],
        [OK[:-4], b""],
        [OK + b"Content-Length: 3\r\n\r\nab", b""],
        [OK + b"Content-Length: -3\r\n\r\nab"],
        [OK + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd"],
        [OK + b"Content-Length: 3, 3\r\n\r\nabc"],
        [OK + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n"],
        [OK + b"Transfer-Encoding: gzip\r\n\r\nabc"],
        [OK + b"Transfer-Encoding: gzip, chunked\r\n\r\nabc"],
        [OK + b"Transfer-Encoding: chunked\r\n\r\nx\r\nabc"],
        [OK + b"Transfer-Encoding: chunked\r\n\r\n-1\r\nabc"],
        [OK + b"Transfer-Encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n"],
        [OK + b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n", b""],
        [OK + b"Transfer-Encoding: chunked\r\n\r\n" + b"1" * 5000],
        [OK + b"Content Length: 3\r\n\r\nabc"],
        [OK + b" folded\r\n\r\nabc"],
        [OK + b"X: " + b"x" * 70000],
        [OK + b"X: a\0b\r\n\r\n"],
    ],
    ids=lambda pieces: repr(pieces)[:60],
)
def test_no_answer(pieces):
    with pytest.raises(HttpViolation) as caught:
        read(*pieces)
    assert len(str(caught.value)) < 400


_PIECES = st.sampled_from(
    [OK, b"\r\n", b"Content-Length: 3\r\n", b"Transfer-Encoding: chunked\r\n", b"3\r\n", b"abc", b"0\r\n\r\n", b""]
)


@given(st.lists(_PIECES | st.binary(max_size=9), max_size=12))
def test_anything_is_an_answer_or_none(pieces):
    # Given anything at all in any pieces
    with contextlib.suppress(HttpViolation):
        read(*pieces)


@given(st.binary(max_size=200), st.lists(st.integers(1, 20), max_size=20), st.data())
def test_any_body_in_any_chunks_and_pieces(body, sizes, data):
    # Given a body in chunks of any sizes, in packets of any sizes
    wire, rest = OK + b"Transfer-Encoding: chunked\r\n\r\n", body
    for size in sizes:
        if rest:
            wire += b"%x\r\n%s\r\n" % (len(rest[:size]), rest[:size])
            rest = rest[size:]
    wire += (b"%x\r\n%s\r\n" % (len(rest), rest) if rest else b"") + b"0\r\n\r\n"
    response = Response()
    while wire:
        size = data.draw(st.integers(1, len(wire)))
        response.feed(wire[:size])
        wire = wire[size:]
    # then it is the same body
    assert (response.whole, response.keep, response.body) == (True, True, body)
