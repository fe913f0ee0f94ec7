# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A disclaimer behind a plain text: charsets, transfer encodings, format=flowed; nothing else changes."""

from __future__ import annotations

import base64
import email
import quopri

import pytest
from harness.disclaimed import PLAIN, WORDS, change, only_text, parts, row, text_of
from harness.mail import lines

from filterd.disclaimer.rows import MARK


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
