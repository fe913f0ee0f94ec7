# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The disclaimer in any message: only the intended part differs, by the reading of the standard library's parser."""

from __future__ import annotations

import base64
import quopri
import re
from email.message import Message

import pytest
from harness.disclaimed import WORDS, change, parts, text_of
from harness.mail import lines
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from filterd.disclaimer import transfer
from filterd.disclaimer.rows import MARK

LEAF_TEXT = st.text(alphabet=st.sampled_from("abc XYZ=.-<>äöü€中\n"), max_size=120)
CHARSETS = st.sampled_from(["us-ascii", "utf-8", "iso-8859-1", "windows-1252", "iso-2022-jp", "gb18030"])
ENCODINGS = st.sampled_from(["", "7bit", "8bit", "quoted-printable", "base64"])


@st.composite
def leaves(draw) -> bytes:
    """A part that is not a container, with header."""
    kind = draw(st.sampled_from(["text/plain", "text/html", "text/plain; format=flowed", "image/png", "", "text/csv"]))
    charset, encoding = draw(CHARSETS), draw(ENCODINGS)
    raw = draw(LEAF_TEXT).encode(charset, "replace").replace(b"\n", b"\r\n")
    if kind == "text/html":
        raw = b"<html><body>" + raw.replace(b"<", b"&lt;") + draw(st.sampled_from([b"", b"</body></html>", b"</body>"]))
    if not kind:
        raw = bytes(byte & 0x7F for byte in raw).replace(b"\x1b", b"")
    if encoding == "base64":
        raw = base64.encodebytes(raw).replace(b"\n", b"\r\n")
    elif encoding == "quoted-printable":
        raw = quopri.encodestring(raw.replace(b"\r\n", b"\n")).replace(b"\n", b"\r\n")
    raw += draw(st.sampled_from([b"", b"\r\n", b"\r\n\r\n"]))
    # What looks like a delimiter ends a part for anybody.
    raw = re.sub(rb"(?m)^--", b"..", raw)
    fields = []
    if kind:
        quoted = draw(st.booleans())
        fields.append(f"Content-Type: {kind}; charset=" + (f'"{charset}"' if quoted else charset))
    if encoding:
        fields.append(f"Content-Transfer-Encoding: {encoding}")
    if draw(st.integers(0, 5)) == 0:
        fields.append('Content-Disposition: attachment; filename="a.txt"')
    fields = draw(st.permutations(fields))
    return lines(*fields, "") + raw


@st.composite
def trees(draw, depth: int = 0) -> bytes:
    if depth > 2 or draw(st.integers(0, 2)) == 0:
        return draw(leaves())
    kind = draw(st.sampled_from(["mixed", "alternative", "related"]))
    boundary = f"b{depth}x{draw(st.integers(0, 999))}"
    body = draw(st.sampled_from([b"", b"preamble\r\n"]))
    for child in draw(st.lists(trees(depth + 1), min_size=1, max_size=3)):
        body += f"--{boundary}\r\n".encode() + child + b"\r\n"
    return lines(f'Content-Type: multipart/{kind}; boundary="{boundary}"', "") + body + f"--{boundary}--\r\n".encode()


TREES = st.tuples(st.sampled_from([b"", b"MIME-Version: 1.0\r\n"]), trees()).map(
    lambda pair: b"From: Anna <anna@example.com>\r\n" + pair[0] + pair[1]
)


def fields_of(part: Message) -> list[tuple[str, str]]:
    """All fields but those that may change with the text."""
    changing = ("content-type", "content-transfer-encoding", "mime-version", MARK.lower())
    return [(name, value) for name, value in part.items() if name.lower() not in changing]


def parameters(part: Message) -> dict[str, str]:
    return {name: value for name, value in part.get_params([])[1:] if name != "charset"}


def flat(text: str) -> str:
    return re.sub(r"\s+", "", text)


@pytest.mark.slow
@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(TREES, st.integers(1, 60), st.sampled_from([b"\r\n", b"\n"]))
@example(b"From: a\r\nContent-Type: text/plain\r\n\r\n", 7, b"\r\n")
def test_in_any_tree_only_texts_differ_and_only_by_the_text(content, step, line_end):
    content = content.replace(b"\r\n", line_end)
    whole, outcome = change(content)
    stepwise, same = change(content, step=step)
    assert (whole, outcome) == (stepwise, same)
    if not whole.edits:
        return
    before, after = parts(content), parts(outcome)
    assert [part.get_content_type() for part in before] == [part.get_content_type() for part in after]
    changed = 0
    for number, old in enumerate(before):
        new = after[number]
        assert fields_of(old) == fields_of(new)
        if old.is_multipart():
            assert (old.preamble, old.epilogue) == (new.preamble, new.epilogue)
            assert (
                old.items() == [item for item in new.items() if item[0] not in (MARK, "MIME-Version")]
                or old["mime-version"]
            )
            continue
        if old.get_payload() == new.get_payload():
            assert old["content-type"] == new["content-type"]
            continue
        changed += 1
        assert old.get_content_maintype() == "text"
        assert old.get_content_disposition() != "attachment"
        assert parameters(old) == parameters(new)
        charset = old.get_content_charset() or "us-ascii"
        source = old.get_payload(decode=True).decode(charset, "replace")
        text = text_of(new) if "\ufffd" not in source else new.get_payload(decode=True).decode(charset, "replace")
        if old.get_content_type() == "text/html":
            start, _, rest = flat(text).partition(flat('<p class="d">'))
            assert start + rest.partition("</p>")[2] == flat(source)
        else:
            assert flat(text).startswith(flat(source))
            added = flat(text)[len(flat(source)) :]
            assert added in (
                flat(WORDS),
                flat("Dies gehoert zur Nachricht - vertraulich. Muster GmbH, Koeln"),
                flat("Dies gehört zur Nachricht - vertraulich. Muster GmbH, Köln"),
            )
    assert changed


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=400), st.integers(1, 50))
def test_bytes_of_any_kind_end_nothing(content, step):
    assert change(content)[1] == change(content, step=step)[1]


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.sampled_from(
            (
                *(b"Content-Type: ", b"multipart/mixed", b"; boundary=b", b"\r\n", b"\n", b"--b", b"--", b"\r\n\r\n"),
                *(b"text/html", b"--b--", b"=", b"base64", b"Content-Transfer-Encoding: ", b"</body>", b"<!--", b" "),
                *(b"\xfc", b"charset=", b";"),
            )
        ),
        max_size=40,
    ).map(b"".join),
    st.integers(1, 20),
)
def test_pieces_of_mail_in_any_order_are_read_alike_in_pieces(content, step):
    assert change(content)[1] == change(content, step=step)[1]


@settings(max_examples=500, deadline=None)
@given(
    st.lists(st.sampled_from((b"=", b" ", b"\t", b"\r", b"\n", b"\r\n", b"4", b"1", b"x", b"=0A", b"\xfc"))).map(
        b"".join
    )
)
@example(b"=\r\n\n \t \r\na1=\r \n")
def test_quoted_printable_is_decoded_at_once_as_line_by_line(raw):
    assert transfer.decode(raw, "quoted-printable") == b"".join(data for data, _, _ in transfer._quoted_lines(raw))
