# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What spamd and rspamd answer, read into a score or refused."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filterd.findings import ScannerFailure, Score
from filterd.scan import rspamd, spamd
from filterd.smtp.esmtp import Envelope, Recipient


def spamd_answer(spam: bytes = b"True ; 7.5 / 5.0", body: bytes = b"ONE,TWO", length: int | None = None) -> bytes:
    size = len(body) if length is None else length
    return b"SPAMD/1.1 0 EX_OK\r\nContent-length: %d\r\nSpam: %s\r\n\r\n%s" % (size, spam, body)


# spamd


def test_what_spamd_says():
    assert spamd.read_score(spamd_answer(), None, "s") == Score(7.5, 5.0, ("ONE", "TWO"), "s")


def test_a_threshold_of_our_own():
    assert spamd.read_score(spamd_answer(b"False ; -1.2 / 5.0", b""), 0.5, "s") == Score(-1.2, 0.5, (), "s")


def test_names_are_bounded_and_printable():
    # Given a rule's name with line ends, and thousands of rules
    score = spamd.read_score(spamd_answer(body=b"A\r\nB," + b"X" * 5000 + b",R" * 5000), None, "s")
    assert score.tests[0].isprintable()
    assert max(map(len, score.tests)) <= 100
    assert len(score.tests) <= 200


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"SPAMD/1.1 0 EX_OK\r\n",
        b"SPAMD/1.0 76 Bad header line: (Content-Length mismatch)\r\n",
        b"SPAMD/1.1 0 EX_OK\r\nSpam: True ; 7.5 / 5.0\r\n\r\n",
        b"SPAMD/1.1 0 EX_OK\r\nContent-length: 0\r\n\r\n",
        spamd_answer(length=6),
        spamd_answer(length=8),
        spamd_answer(b"True ; nan / 5.0"),
        spamd_answer(b"True ; 1e999 / 5.0"),
        spamd_answer(b"True ; 7.5"),
        spamd_answer(b"Maybe ; 7.5 / 5.0"),
        spamd_answer(b"True ; 7.5 / 5.0\r\nSpam: False ; 0 / 5"),
        spamd_answer().replace(b"\r\n", b"\n"),
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        bytes(range(256)),
    ],
    ids=lambda answer: repr(answer)[:50],
)
def test_what_is_no_answer_of_spamd(answer):
    with pytest.raises(ScannerFailure) as caught:
        spamd.read_score(answer, None, "s")
    assert str(caught.value).startswith("s: ")
    assert len(str(caught.value)) < 1000


@given(st.lists(st.sampled_from([spamd_answer(), b"\r\n", b"Spam: ", b"True ; 1 / 2"]) | st.binary(max_size=9)))
def test_anything_is_a_score_or_a_failure_of_spamd(pieces):
    with contextlib.suppress(ScannerFailure):
        spamd.read_score(b"".join(pieces), None, "s")


# rspamd


def rspamd_answer(**changed: object) -> bytes:
    data = {"score": 7.5, "required_score": 15.0, "symbols": {"ONE": {"score": 3}, "TWO": {}}, "action": "no action"}
    return json.dumps({**data, **changed}).encode()


def test_what_rspamd_says():
    assert rspamd.read_score(rspamd_answer(), None, "r") == Score(7.5, 15.0, ("ONE", "TWO"), "r")
    assert rspamd.read_score(rspamd_answer(required_score=None), 6, "r") == Score(7.5, 6, ("ONE", "TWO"), "r")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b"null",
        b"{" * 100000,
        b"[" * 100000,
        b"\xff",
        b"<html>",
        rspamd_answer(score=None),
        rspamd_answer(score="7.5"),
        rspamd_answer(score=True),
        rspamd_answer(score=float("nan")),
        rspamd_answer(score=float("inf")),
        rspamd_answer(score=1e300),
        rspamd_answer(score=10**400),
        rspamd_answer(required_score=None),
        rspamd_answer(symbols=["ONE"]),
        b'{"error": "Unauthorized"}',
    ],
    ids=lambda body: repr(body)[:50],
)
def test_what_is_no_answer_of_rspamd(body):
    with pytest.raises(ScannerFailure) as caught:
        rspamd.read_score(body, None, "r")
    assert len(str(caught.value)) < 1000


_JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: st.dictionaries(st.sampled_from(["score", "required_score", "symbols", "x"]), inner),
    max_leaves=8,
)


@given(_JSON)
def test_any_json_is_a_score_or_a_failure_of_rspamd(data):
    with contextlib.suppress(ScannerFailure):
        rspamd.read_score(json.dumps(data).encode(), None, "r")


def test_what_rspamd_is_told_of_the_envelope():
    # Given a message with all that XFORWARD tells
    xforward = {"NAME": "mx.example.net", "ADDR": "192.0.2.1", "HELO": "a+2Bb", "IDENT": "4Xk2mZ1q", "PROTO": "ESMTP"}
    envelope = Envelope(
        "a@example.net", {}, [Recipient("b@example.com", {}), Recipient("c@d", {})], xforward, True, "x"
    )
    assert rspamd.envelope_fields(envelope, "192.0.2.1", "id") == [
        ("From", "<a@example.net>"),
        ("Rcpt", "<b@example.com>"),
        ("Rcpt", "<c@d>"),
        ("IP", "192.0.2.1"),
        ("Hostname", "mx.example.net"),
        ("Helo", "a+b"),
        ("Queue-Id", "4Xk2mZ1q"),
    ]


def test_what_is_unknown_of_the_envelope_is_left_out():
    # Given a bounce from this host itself, IPv6, and attributes that are not available
    envelope = Envelope("", {}, [Recipient("b@example.com", {})], {"NAME": "[UNAVAILABLE]", "HELO": ""}, True, "x")
    fields = dict(rspamd.envelope_fields(envelope, "-", "id"))
    assert fields == {"From": "<>", "Rcpt": "<b@example.com>", "Queue-Id": "id"}
    assert dict(rspamd.envelope_fields(envelope, "IPV6:2001:db8::1", "id"))["IP"] == "2001:db8::1"


@given(st.text(max_size=20), st.text(max_size=20), st.text(max_size=20))
def test_nothing_in_the_envelope_makes_a_field_of_its_own(sender, recipient, helo):
    # Given anything at all in the envelope, line ends too, then each field is one line of ASCII
    envelope = Envelope(sender, {}, [Recipient(recipient, {})], {"HELO": helo, "NAME": "x\r\nPassword: y"}, True, "x")
    for name, value in rspamd.envelope_fields(envelope, helo, "id"):
        assert value.isascii(), name
        assert value.isprintable(), name
