# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Header fields that are added, forged ones that are removed, and that nothing else changes."""

from __future__ import annotations

import email
import email.policy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filterd import headers
from filterd.findings import Finding, Score
from filterd.headers import Marks, fields, rewrite

NOTHING = Marks("mail.example.com", False, (), (), (), "-")
ADDED = b"X-Virus-Scanned: filter-stack at mail.example.com\r\n"


def header_of(content: bytes) -> bytes:
    """The header block as the analysis gives it."""
    return b"" if content.startswith(b"\r\n") else content.partition(b"\r\n\r\n")[0].removesuffix(b"\r\n")


def changed(content: bytes, added: bytes = ADDED, scored: bool = False, header: bytes | None = None) -> bytes:
    header = header_of(content) if header is None else header
    change = rewrite(header, content.startswith(b"\r\n"), added, scored)
    result = b"".join(change.chunks([content[at : at + 7] for at in range(0, len(content), 7)]))
    assert change.size(len(content)) == len(result)
    return result


def test_nothing_to_say_adds_nothing():
    assert fields(NOTHING) == b""


def test_scanned_mail_says_so():
    assert fields(NOTHING._replace(virus_scanned=True)) == ADDED


def test_the_score_of_mail_that_is_no_spam():
    score = Score(1.25, 5.0, ("HTML_MESSAGE", "SPF_PASS"), "spamd")
    assert fields(NOTHING._replace(scores=(score,))) == (
        b"X-Spam-Score: 1.2\r\n"
        b"X-Spam-Level: *\r\n"
        b"X-Spam-Status: No, score=1.2 required=5.0 tests=[HTML_MESSAGE, SPF_PASS]\r\n"
    )


def test_mail_that_no_scorer_answered_for_says_so():
    text = b"X-Spam-Status: Unknown, no spam scorer answered\r\n"
    assert fields(NOTHING._replace(unscored=True)) == text


def test_the_score_of_spam_is_that_of_the_scorer_that_is_surest():
    scores = (Score(9.0, 8.0, ("A",), "rspamd"), Score(999.5, 5.0, ("GTUBE",), "spamd"))
    text = fields(NOTHING._replace(scores=scores, tags=("spam",)))
    assert text.startswith(b"X-Spam-Flag: YES\r\nX-Spam-Score: 999.5\r\nX-Spam-Level: " + 50 * b"*" + b"\r\n")
    assert b"X-Spam-Status: Yes, score=999.5 required=5.0 tests=[GTUBE]\r\n" in text


def test_an_alert_says_what_was_found_and_where_a_copy_is():
    marks = NOTHING._replace(
        tags=("virus", "encrypted", "spam"),
        findings=(Finding("virus", "Eicar", "clamd"), Finding("encrypted", "zip (a.zip)", "filter")),
        quarantine_id="20261122T180000Z-4f2a9c01d3",
    )
    message = email.message_from_bytes(fields(marks) + b"\r\n", policy=email.policy.default)
    assert message["X-Filter-Alert"] == ("INFECTED, message contains Eicar; ENCRYPTED, message contains zip (a.zip)")
    assert message["X-Quarantine-ID"] == "<20261122T180000Z-4f2a9c01d3>"


@given(st.text(max_size=600), st.lists(st.text(max_size=80), max_size=30))
def test_whatever_was_found_the_fields_are_proper(name, tests):
    marks = NOTHING._replace(
        tags=("banned", "spam"), findings=(Finding("banned", name, "x"),), scores=(Score(7, 5, tuple(tests), "x"),)
    )
    lines = fields(marks).decode("ascii").split("\r\n")
    assert lines.pop() == ""
    for line in lines:
        assert len(line) <= 998
        assert line.strip()
        assert line.isprintable()
        assert line[0] == " " or line.startswith("X-")


MESSAGE = b"Received: from a\r\n by b\r\nSubject: x\r\n\r\nbody\r\n.\r\n"


def test_what_is_added_comes_first_and_nothing_else_changes():
    assert changed(MESSAGE) == ADDED + MESSAGE


def test_nothing_added_and_nothing_forged_is_no_change():
    assert rewrite(header_of(MESSAGE), False, b"", True) == (b"", 0)
    assert changed(MESSAGE, b"") == MESSAGE


@pytest.mark.parametrize(
    ("field", "scored", "stays"),
    [
        (b"X-Filter-Alert: nothing to see", False, False),
        (b"x-filter-alert : folded\r\n and more", False, False),
        (b"X-Quarantine-ID: <1>", False, False),
        (b"X-Virus-Scanned: filter-stack at mail.example.com", False, False),
        (b"X-Virus-Scanned:\r\n filter-stack\r\n\tat other.example.com", False, False),
        (b"X-Virus-Scanned: amavisd-new at mx.example.org", False, True),
        (b"X-Spam-Flag: NO", True, False),
        (b"X-Spam-Status: No, score=-9", True, False),
        (b"X-Spam-Flag: NO", False, True),
        (b"X-Spammer: x", True, True),
        (b"Subject: X-Filter-Alert: x", False, True),
        (b"X-Other: a\r\n X-Filter-Alert: folded into another field", False, True),
    ],
)
@pytest.mark.parametrize("place", ["first", "middle", "last", "only"])
def test_forged_fields_are_removed_wherever_they_stand(field, scored, stays, place):
    others = [b"From: a@example.com", b"To: b@example.com\r\n c@example.com"]
    at = {"first": 0, "middle": 1, "last": 2, "only": 0}[place]
    others = [] if place == "only" else others
    with_it, without = [*others[:at], field, *others[at:]], others
    body = b"\r\nX-Filter-Alert: in the body\r\n"
    content = b"".join(line + b"\r\n" for line in with_it) + body
    wanted = content if stays else b"".join(line + b"\r\n" for line in without) + body
    assert changed(content, ADDED, scored) == ADDED + wanted
    assert changed(content, b"", scored) == wanted


def test_a_body_without_a_header_stays_a_body():
    content = b"This is no field\r\nX-Filter-Alert: x\r\n"
    assert changed(content, header=b"") == ADDED + b"\r\n" + content
    assert changed(content, b"", header=b"") == content
    assert changed(b"\r\nbody\r\n") == ADDED + b"\r\nbody\r\n"


def test_the_line_of_a_mailbox_file_stays_the_first():
    content = b"From alice Mon Jan  1 00:00:00 2026\r\n" + MESSAGE
    assert changed(content) == content[:37] + ADDED + MESSAGE
    assert changed(content.replace(b"Subject", b"X-Filter-Alert")) == content[:37] + ADDED + MESSAGE.replace(
        b"Subject: x\r\n", b""
    )


@given(
    st.lists(st.sampled_from([b"a: b", b"X-Quarantine-ID: x", b" folded", b"c:"]), min_size=1, max_size=8), st.binary()
)
def test_the_body_never_changes(lines, body):
    header = b"\r\n".join([b"From: x", *lines])
    content = header + b"\r\n\r\n" + body
    result = changed(content, ADDED, True, header)
    assert result.startswith(ADDED)
    assert result.endswith(b"\r\n\r\n" + body)
    assert b"X-Quarantine-ID" not in result[: len(result) - len(body)]
    assert headers.rewrite(header, False, b"", True).size(len(content)) == len(result) - len(ADDED)
