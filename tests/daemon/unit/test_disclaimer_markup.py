# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A disclaimer in HTML, in any charset and transfer encoding, and beside a plain text."""

from __future__ import annotations

import base64
import itertools
import quopri

import pytest
from harness.disclaimed import WORDS, change, parts, row, text_of
from harness.mail import lines


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
