# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The disclaimer in any message: only the intended part differs, by the reading of the standard library's parser."""

from __future__ import annotations

import base64
import email
import itertools
import quopri
import re
import textwrap
from email.message import Message

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from filterd.disclaimer.edits import apply
from filterd.disclaimer.plan import Plan, plan
from filterd.disclaimer.rows import MARK, Options, Row
from filterd.disclaimer.text import compile_text

WORDS = "Dies gehört zur Nachricht \u2013 vertraulich.\nMuster GmbH, Köln"
MARKUP = '<p class="d">Dies gehört zur <b>Nachricht</b> \u2013 vertraulich.<br>\nMuster GmbH, Köln</p>'
PLAIN = "This letter is confidential.\nExample Ltd"


def row(words: str = WORDS, markup: str = MARKUP) -> Row:
    texts = []
    for source, html in ((words, False), (markup, True)):
        text, problems = compile_text(source.encode(), html)
        assert not problems
        texts.append(text if source else None)
    return Row((), (), *texts)


BOTH = row()


def change(content: bytes, which: Row = BOTH, step: int = 0, **options: object) -> tuple[Plan, bytes]:
    """Plan and outcome; the content comes in pieces of `step` bytes."""
    pieces = [content[at : at + step] for at in range(0, len(content), step)] if step else [content]
    found = plan(pieces, which, Options(**options), "anna@example.com", 0.0)
    outcome = b"".join(apply(found.edits, pieces))
    assert len(outcome) == len(content) + found.growth
    if not found.edits:
        assert found.reason
        assert outcome == content
    else:
        head = re.split(rb"\r?\n\r?\n", outcome, maxsplit=1)[0]
        assert found.header == head
    return found, outcome


def lines(*texts: str) -> bytes:
    return "".join(text + "\r\n" for text in texts).encode()


def parts(content: bytes) -> list[Message]:
    return list(email.message_from_bytes(content).walk())


def text_of(part: Message) -> str:
    return part.get_payload(decode=True).decode(part.get_content_charset() or "us-ascii")


def only_text(content: bytes) -> str:
    return text_of(next(part for part in parts(content) if part.get_content_maintype() == "text"))


class TestPlainText:
    def test_a_text_comes_behind_a_blank_line_at_the_end(self):
        _, outcome = change(lines("Subject: x", "", "Hello"), row(PLAIN, ""))
        assert outcome.endswith(b"\r\n\r\nHello\r\n\r\nThis letter is confidential.\r\nExample Ltd\r\n")

    def test_nothing_else_of_an_ascii_message_changes_for_an_ascii_text(self):
        content = lines("Subject: x", "", "Hello")
        _, outcome = change(content, row(PLAIN, ""))
        assert outcome.startswith(f"{MARK}: added by filter-stack at localhost\r\n".encode() + content)

    def test_ascii_mail_becomes_quoted_printable_utf_8_for_a_text_that_is_not_ascii(self):
        _, outcome = change(lines("Subject: x", "", "1 = 1", "end "))
        part = parts(outcome)[0]
        assert part["mime-version"] == "1.0"
        assert (part.get_content_charset(), part["content-transfer-encoding"]) == ("utf-8", "quoted-printable")
        assert text_of(part) == f"1 = 1\r\nend \r\n\r\n{WORDS}\r\n".replace("\r\n", "\n").replace("\n", "\r\n")
        assert outcome.isascii()

    @pytest.mark.parametrize("charset", ["iso-8859-15", "windows-1252", "utf-8", "mac-roman"])
    def test_a_charset_that_has_the_characters_stays(self, charset):
        words = "Grüße aus Köln"
        head = lines(
            "Subject: x", f"Content-Type: text/plain; charset={charset}", "Content-Transfer-Encoding: 8bit", ""
        )
        _, outcome = change(head + "Müller\r\n".encode(charset), row(words, ""))
        assert head in outcome.split(b"\r\n", 1)[1]
        assert only_text(outcome) == f"Müller\r\n\r\n{words}\r\n"

    @pytest.mark.parametrize("encoding", ["8bit", "quoted-printable", "base64"])
    @pytest.mark.parametrize("charset", ["koi8-r", "iso-8859-2", "shift_jis", "gb2312", "iso-2022-jp", "utf-7", "hz"])
    def test_a_charset_that_has_them_not_becomes_utf_8(self, charset, encoding):
        body = {"koi8-r": "Привет", "iso-8859-2": "Cześć", "shift_jis": "日本語", "iso-2022-jp": "日本語"}.get(
            charset, "中文"
        )
        raw = f"{body} = 1\r\n".encode(charset)
        raw = {"base64": base64.encodebytes, "quoted-printable": quopri.encodestring}.get(encoding, bytes)(raw)
        head = lines(
            "Subject: x", f"Content-Type: text/plain; charset={charset}", f"Content-Transfer-Encoding: {encoding}"
        )
        words = "Grüße für € 7 \u2013 ф中"
        _, outcome = change(head + b"\r\n" + raw.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n"), row(words, ""))
        part = parts(outcome)[0]
        text = text_of(part)
        assert text.replace("\r\n", "\n") == f"{body} = 1\n\n{words}\n"
        if charset not in ("gb2312", "hz", "utf-7"):
            assert part.get_content_charset() == "utf-8"
        expected = "quoted-printable" if encoding == "8bit" and raw.isascii() and charset != "utf-7" else encoding
        assert part["content-transfer-encoding"] == expected

    @pytest.mark.parametrize("mark", ["", "\ufeff"])
    @pytest.mark.parametrize("charset", ["utf-16", "utf-16le", "utf-16be", "utf-32"])
    def test_utf_16_stays_what_it_is(self, charset, mark):
        codec = {"utf-16": "utf-16be", "utf-32": "utf-32le"}.get(charset, charset)
        mark = "\ufeff" if charset == "utf-32" else mark
        raw = base64.encodebytes((mark + "Hello\r\n").encode(codec)).replace(b"\n", b"\r\n")
        head = lines(
            "Subject: x", f"Content-Type: text/plain; charset={charset}", "Content-Transfer-Encoding: base64", ""
        )
        _, outcome = change(head + raw)
        decoded = parts(outcome)[0].get_payload(decode=True).decode(codec)
        assert decoded == mark + "Hello\r\n\r\n" + WORDS.replace("\n", "\r\n") + "\r\n"

    @pytest.mark.parametrize("declared", ["us-ascii", "x-unknown", "utf-8", "iso-8859-1"])
    def test_what_is_not_in_its_charset_is_not_converted_and_the_text_gives_way(self, declared):
        body = b"M\xfcller \x93x\x94\r\n"
        head = lines(
            "Subject: x", f"Content-Type: text/plain; charset={declared}", "Content-Transfer-Encoding: 8bit", ""
        )
        _, outcome = change(head + body, row("Grüße \u2013 für 7 €", ""))
        assert head + body in outcome
        end = outcome.split(head + body)[1].strip()
        assert end == (
            "Grüße \u2013 für 7 €".encode()
            if declared == "utf-8"
            else b"Gr\xfc\xdfe - f\xfcr 7 EUR"
            if declared == "iso-8859-1"
            else b"Gruesse - fuer 7 EUR"
        )

    def test_a_signature_stays_above(self):
        _, outcome = change(lines("Subject: x", "", "Hello", "-- ", "Anna"), row(PLAIN, ""))
        assert b"-- \r\nAnna\r\n\r\nThis letter" in outcome

    @pytest.mark.parametrize("end", ["", "\r\n", "\r\n\r\n", "\r\n\r\n\r\n"])
    def test_one_blank_line_is_between_them(self, end):
        content = (
            lines("Content-Type: multipart/mixed; boundary=b", "", "--b", "") + f"Hello{end}\r\n--b--\r\n".encode()
        )
        _, outcome = change(content, row(PLAIN, ""))
        gap = only_text(outcome)[5:].partition("This")[0]
        assert gap == (end if end.count("\n") > 1 else "\r\n\r\n")

    def test_a_message_without_body_gets_one(self):
        for content in (b"Subject: x\r\n\r\n", b"Subject: x\r\n", b"Subject: x", b"\r\n", b""):
            _, outcome = change(content, row(PLAIN, ""))
            message = email.message_from_bytes(outcome)
            assert message.get_payload() == "This letter is confidential.\r\nExample Ltd\r\n"
            assert message["subject"] == ("x" if b"x" in content else None)

    def test_lf_mail_stays_lf_mail(self):
        _, outcome = change(lines("Subject: x", "", "Hello").replace(b"\r\n", b"\n"))
        assert b"\r" not in outcome
        assert only_text(outcome) == f"Hello\n\n{WORDS}\n"


class TestFlowed:
    def body(self, *texts: str, delsp: bool = False, words: str = PLAIN) -> str:
        kind = "Content-Type: text/plain; format=flowed" + ("; delsp=yes" if delsp else "")
        _, outcome = change(lines("Subject: x", kind, "", *texts), row(words, ""))
        return outcome.decode().partition("\r\n\r\n")[2]

    def test_a_last_line_that_flows_is_ended_first(self):
        assert self.body("Hello ") == "Hello \r\n\r\n\r\n" + PLAIN.replace("\n", "\r\n") + "\r\n"

    def test_a_signature_separator_does_not_flow(self):
        assert self.body("Hello", "-- ").startswith("Hello\r\n-- \r\n\r\nThis")

    @pytest.mark.parametrize("delsp", [False, True])
    def test_long_lines_flow_and_read_as_they_were(self, delsp):
        words = "Indented:\n  two\n> no quotation\nFrom here\n" + "word " * 60 + "end"
        added = self.body("Hello", delsp=delsp, words=words).partition("\r\n\r\n")[2].split("\r\n")[:-1]
        assert all(len(line) <= 78 for line in added)
        unfolded = ""
        for line in added:
            text = line.removeprefix(" ")
            if text.endswith(" "):
                unfolded += text[:-1] if delsp else text
            else:
                unfolded += text + "\n"
        assert unfolded == words + "\n"


class TestHtml:
    def content(self, page: str, charset: str = "utf-8", encoding: str = "8bit", end: str = "") -> bytes:
        raw = page.encode(charset)
        if encoding == "base64":
            raw = base64.encodebytes(raw).replace(b"\n", b"\r\n")
        if encoding == "quoted-printable":
            raw = quopri.encodestring(raw.replace(b"\r\n", b"\n")).replace(b"\n", b"\r\n")
        kind = f"Content-Type: text/html; charset={charset}"
        return lines("Subject: x", kind, f"Content-Transfer-Encoding: {encoding}", "") + raw + end.encode()

    @pytest.mark.parametrize(
        ("charset", "encoding"),
        [
            *itertools.product(["utf-8", "iso-2022-jp", "shift_jis"], ["8bit", "quoted-printable", "base64"]),
            ("utf-16le", "base64"),  # others are not for it (RFC 2781 section 3.1)
        ],
    )
    @pytest.mark.parametrize("filler", ["", "a", "ab", "= " * 60, "日本語"])
    def test_it_comes_before_the_end_of_the_body_in_any_encoding(self, charset, encoding, filler):
        page = f"<html><body>Hello {filler}</BODY></html>\r\n"
        content = self.content(page, charset, encoding)
        _, outcome = change(content)
        text = text_of(parts(outcome)[0])
        before, rest = text.split('<p class="d">')
        added, after = rest.split("</p>")
        assert before.rstrip("\r\n") == f"<html><body>Hello {filler}"
        assert after.strip() == "</BODY></html>"
        assert "geh&#246;rt" in added
        head = content.partition(b"\r\n\r\n")[0]
        assert head in outcome
        assert max(map(len, outcome.split(b"\r\n"))) <= max(200, *map(len, content.split(b"\r\n")))

    def test_a_line_is_broken_only_where_the_text_goes_in(self):
        content = self.content("<body>one\r\ntwo</body>\r\n")
        _, outcome = change(content)
        assert b"<body>one\r\ntwo\r\n<p class" in outcome
        assert outcome.endswith(b"</p>\r\n</body>\r\n")

    def test_all_alternatives_get_their_own_variant(self):
        content = lines(
            *("Content-Type: multipart/alternative; boundary=b", "", "--b", "", "Hello", "--b"),
            *("Content-Type: multipart/related; boundary=c", "", "--c", "Content-Type: text/html", "", "<p>Hello</p>"),
            *(
                "--c",
                "Content-Type: image/png",
                "Content-Disposition: inline; filename=a.png",
                "",
                "PNG",
                "--c--",
                "--b--",
            ),
        )
        _, outcome = change(content)
        kinds = [part.get_content_type() for part in parts(outcome)]
        assert kinds == ["multipart/alternative", "text/plain", "multipart/related", "text/html", "image/png"]
        assert text_of(parts(outcome)[1]) == f"Hello\r\n\r\n{WORDS}".replace("\n", "\r\n").replace("\r\r", "\r")
        assert "geh&#246;rt" in text_of(parts(outcome)[3])
        assert outcome.count(b"PNG") == content.count(b"PNG")

    def test_a_missing_variant_is_made_of_the_other(self):
        _, outcome = change(self.content("<p>x</p>\r\n"), row("a < b & c\nnext", ""))
        assert b"<div><br>a &lt; b &amp; c<br>\r\nnext</div>" in outcome
        _, outcome = change(lines("Subject: x", "", "Hello"), row("", "<p>one &amp; <b>two</b></p><p>three</p>"))
        assert outcome.endswith(b"Hello\r\n\r\none & two\r\nthree\r\n")


def reason(content: bytes, **options: object) -> str:
    return change(content, **options)[0].reason


class TestLeftAlone:
    def multipart(self, kind: str, *inner: str) -> bytes:
        return lines(f"Content-Type: {kind}; boundary=b", "", "--b", "", "Hello", "--b", *inner, "--b--")

    @pytest.mark.parametrize(
        "kind",
        ["signed", "encrypted", "report", "form-data"],
    )
    def test_containers_whose_content_must_stay(self, kind):
        inner = self.multipart(f"multipart/{kind}", "", "x")
        assert reason(inner)
        assert reason(lines("Content-Type: multipart/mixed; boundary=q", "", "--q") + inner + lines("--q--"))

    @pytest.mark.parametrize(
        "kind",
        [
            *(
                "application/pkcs7-mime; smime-type=signed-data",
                "application/x-pkcs7-mime",
                "text/calendar; method=REPLY",
            ),
            *("text/calendar; method=request", "message/partial; id=a; number=1", "text/enriched", "message/rfc822"),
        ],
    )
    def test_types_that_take_no_text(self, kind):
        assert reason(lines(f"Content-Type: {kind}", "", "Hello"), without_text=True)

    def test_a_calendar_reply_with_a_text(self):
        inner = "Content-Type: text/calendar; method=REPLY"
        assert reason(self.multipart("multipart/alternative", inner, "", "x")) == "a calendar reply"
        assert not reason(self.multipart("multipart/alternative", inner.replace("REPLY", "REQUEST"), "", "x"))

    @pytest.mark.parametrize(
        "field",
        [
            *("DKIM-Signature: v=1", "ARC-Seal: i=1", "Auto-Submitted: auto-replied", f"{MARK}: x", "Content-MD5: x"),
            *("Content-Type: text/plain\r\nContent-Type: text/html", "Content-Type: text", "no field at all"),
            *("Content-Transfer-Encoding: x-uuencode", "Content-Type: text/plain; charset*0=utf-; charset*1=8"),
            *(
                "Content-Type: multipart/mixed",
                "Content-Type: multipart/mixed; boundary=b\r\nContent-Transfer-Encoding: base64",
            ),
            *("Content-Type: multipart/mixed; boundary=b", "Content-Disposition: attachment"),
        ],
    )
    def test_fields_that_say_so(self, field):
        assert reason(lines("Subject: x", field, "", "Hello"))

    def test_auto_submitted_no_is_a_letter(self):
        assert not reason(lines("Auto-Submitted: no", "", "Hello"))

    @pytest.mark.parametrize("field", ["List-Id: <x>", "Precedence: bulk"])
    def test_mail_of_lists_only_if_asked(self, field):
        assert not reason(lines(field, "", "Hello"))
        assert reason(lines(field, "", "Hello"), skip_lists=True)

    def test_pgp_in_the_text(self):
        assert reason(lines("Subject: x", "", "-----BEGIN PGP SIGNED MESSAGE-----", "Hello"))
        encoded = base64.b64encode(b"-----BEGIN PGP MESSAGE-----\r\nx").decode()
        assert reason(lines("Content-Transfer-Encoding: base64", "", encoded))

    def test_mail_without_sender(self):
        assert plan([lines("Subject: x", "", "Hello")], BOTH, Options(), "", 0.0).reason

    def test_mail_that_has_it_already(self):
        _, outcome = change(lines("Subject: x", "", "Hello"))
        assert reason(outcome) == "it has a disclaimer"

    @pytest.mark.parametrize("encoding", ["quoted-printable", "base64", "8bit"])
    def test_an_answer_that_quotes_it(self, encoding):
        quoted = textwrap.indent("Hello\n\n" + textwrap.fill(WORDS, 20), "> ") + "\n\nFine!\n"
        raw = quoted.encode()
        raw = {"base64": base64.encodebytes, "quoted-printable": quopri.encodestring}.get(encoding, bytes)(raw)
        head = lines("Content-Type: text/plain; charset=utf-8", f"Content-Transfer-Encoding: {encoding}", "")
        assert reason(head + raw.replace(b"\n", b"\r\n")) == "it has this disclaimer in its text"

    def test_an_answer_without_charset_that_quotes_it(self):
        assert reason(lines("Subject: x", "", f"> {WORDS}".replace("\n", " "))) == "it has this disclaimer in its text"

    def test_an_answer_in_html_that_quotes_it(self):
        page = "<blockquote><p>Dies geh&ouml;rt zur <i>Nachricht</i> &ndash; vertraulich.<br>Muster GmbH, K&#246;ln"
        assert reason(lines("Content-Type: text/html", "", page)) == "it has this disclaimer in its text"

    def test_structures_that_readers_read_differently(self):
        assert reason(
            lines("Content-Type: multipart/mixed; boundary=b", "", "--b", "", "one", "--b", "Content-Type: x")
        )
        assert reason(lines("Content-Type: multipart/mixed; boundary=b", "", "--b", "", "one"))
        assert reason(lines("Content-Type: multipart/mixed; boundary=b", "", "no part"))
        inner = lines("Content-Type: multipart/mixed; boundary=bb", "", "--bb", "", "x", "--bb--")
        assert reason(lines("Content-Type: multipart/mixed; boundary=b", "", "--b") + inner + lines("--b--"))
        assert reason(lines("Content-Transfer-Encoding: base64", "", "SGVsbG8=SGVsbG8="))

    def test_more_text_than_is_kept(self):
        content = lines("Subject: x", "", *["Hello"] * 1000)
        assert reason(content, text_limit=6000)
        assert not reason(content, text_limit=7000)


class TestWithoutText:
    PDF = (
        "Content-Type: application/pdf; name=a.pdf",
        "Content-Transfer-Encoding: base64",
        "Content-Disposition: attachment; filename=a.pdf",
    )

    def test_only_if_asked(self):
        assert reason(lines(*self.PDF, "", "AAAA")) == "without text"

    def test_the_message_becomes_the_second_part(self):
        content = lines("Subject: x", *self.PDF, "X-Last: y", "", "AAAA")
        _, outcome = change(content, without_text=True)
        message, text, pdf = parts(outcome)
        assert (message["subject"], message["x-last"], message.get_content_type()) == ("x", "y", "multipart/mixed")
        assert text_of(text) == WORDS.replace("\n", "\r\n")
        assert (pdf.get_content_type(), pdf.get_payload(), pdf.get_filename()) == (
            "application/pdf",
            "AAAA\r\n",
            "a.pdf",
        )
        assert not message.defects

    def test_a_multipart_gets_one_part_more(self):
        content = lines("Content-Type: multipart/mixed; boundary=b", "", "--b", *self.PDF, "", "AAAA", "--b--")
        _, outcome = change(content, without_text=True)
        assert [part.get_content_type() for part in parts(outcome)] == [
            "multipart/mixed",
            "text/plain",
            "application/pdf",
        ]
        assert text_of(parts(outcome)[1]) == WORDS.replace("\n", "\r\n")


# Any tree

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
