# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Mail that gets no disclaimer, and mail without a text that gets one only if asked."""

from __future__ import annotations

import base64
import quopri
import textwrap

import pytest
from harness.disclaimed import BOTH, WORDS, change, parts, reason, text_of
from harness.mail import lines

from filterd.disclaimer.plan import plan
from filterd.disclaimer.rows import MARK, Options


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
