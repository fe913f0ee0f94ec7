# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the analysis says of structure, names and types: what misleads is told, what is ordinary is not."""

from __future__ import annotations

import base64
import email.message
import email.policy
import email.utils

import pytest
from harness.clamd import EICAR
from harness.mail import attachment, lines, python_mail

from filterd.content.analysis import Analysis
from filterd.content.rules import Rules
from filterd.findings import AMBIGUOUS, BAD_HEADER, BANNED, ENCRYPTED, UNCHECKED, VIRUS
from filterd.keys.content import ContentKeys

GOOD = ["From: a@example.com", "To: b@example.com", "Subject: x"]
PARTS = ["", "--real", "", "text", "--real--"]


def look(content: bytes, step: int = 0, decode_all: bool = True, **keys: object) -> set[tuple[str, str]]:
    analysis = Analysis(Rules.of(ContentKeys(**keys), decode_all))  # type: ignore[arg-type]
    for start in range(0, len(content), step or len(content)):
        analysis.feed(content[start : start + (step or len(content))])
    return {(finding.category, finding.name) for finding in analysis.finish()}


class TestAmbiguous:
    @pytest.mark.parametrize(
        ("fields", "name"),
        [
            (["Content-Type: multipart/mixed; boundary=real; boundary=fake"], "doubled boundary"),
            (["Content-Type: multipart/mixed; boundary=fake; boundary*=us-ascii''real"], "doubled boundary"),
            (["Content-Type: multipart/mixed; boundary=fake; boundary*0=re; boundary*1=al"], "doubled boundary"),
            (
                ["Content-Type: multipart/mixed; boundary=fake", "Content-Type: multipart/mixed; boundary=real"],
                "doubled boundary",
            ),
            (["Content-Type: text/plain", "Content-Type: multipart/mixed; boundary=real"], "doubled Content-Type"),
            (["Content-Type: text/plain", "content-type: text/html"], "doubled Content-Type"),
            (["Content-Type : multipart/mixed; boundary=real"], "space before the colon of a Content field"),
            (["Content-Type: multipart/mixed boundary=real"], "irregular Content-Type"),
            (['Content-Type: "multipart/mixed"; boundary=real'], "irregular Content-Type"),
            (["Content-Type: (x) multipart/mixed; boundary=real"], "irregular Content-Type"),
            (["Content-Type: multipart / mixed; boundary=real"], "irregular Content-Type"),
            (["Content-Type: multipart/mixed;\0 boundary=real"], "NUL in a Content field"),
            (["this is no field", "Content-Type: multipart/mixed; boundary=real"],
             "Content field behind the end of a header"),
        ],
    )  # fmt: skip
    def test_what_a_message_holds(self, fields, name):
        assert (AMBIGUOUS, name) in look(lines(*GOOD, *fields, *PARTS))

    @pytest.mark.parametrize(
        ("fields", "name"),
        [
            (
                ["Content-Transfer-Encoding: 7bit", "Content-Transfer-Encoding: base64"],
                "doubled Content-Transfer-Encoding",
            ),
            (["Content-Transfer-Encoding : base64"], "space before the colon of a Content field"),
            (["Content-Transfer-Encoding: base-64"], "misspelt Content-Transfer-Encoding"),
            (["Content-Transfer-Encoding: base64, 7bit"], "misspelt Content-Transfer-Encoding"),
            (["Content-Transfer-Encoding: x-base64"], "misspelt Content-Transfer-Encoding"),
            (["Content-Transfer-Encoding: quoted printable"], "misspelt Content-Transfer-Encoding"),
            (["Content-Type: message/partial; id=1; number=1; total=2"], "message/partial"),
            (
                ["Content-Type: image/jpeg; name=a.jpg", "Content-Disposition: attachment; filename=a.html"],
                "conflicting file names",
            ),
            (
                ["Content-Disposition: attachment; filename=a.jpg; filename*=utf-8''a.zip"],
                "conflicting file names",
            ),
            (["Content-Disposition: attachment; filename*=utf-8''a%E2%80%AEgpj.zip"],
             "direction override in a file name"),
        ],
    )  # fmt: skip
    @pytest.mark.parametrize("inside", [False, True])
    def test_what_a_part_holds(self, fields, name, inside):
        around = ["Content-Type: multipart/mixed; boundary=real", "", "--real"] if inside else []
        after = ["--real--"] if inside else []
        assert (AMBIGUOUS, name) in look(lines(*GOOD, *around, *fields, "", "QUJD", *after))

    def test_two_delimiters_in_use(self):
        content = lines(*GOOD, "Content-Type: multipart/mixed; boundary=a b", "", "--a b", "", "1", "--a", "", "2")
        assert (AMBIGUOUS, "doubled boundary") in look(content)

    def test_a_boundary_that_is_the_end_of_another(self):
        content = lines(
            *(*GOOD, "Content-Type: multipart/mixed; boundary=b", "", "--b"),
            *("Content-Type: multipart/mixed; boundary=b--", "", "--b--", "", "x", "--b----", "--b--"),
        )
        assert (AMBIGUOUS, "boundary that is the end of another one") in look(content)

    def test_parts_that_only_appear_when_a_multipart_is_decoded(self):
        content = lines(*GOOD, "Content-Type: multipart/mixed; boundary=b", "Content-Transfer-Encoding: base64", "")
        assert (AMBIGUOUS, "parts only inside an encoding") in look(content + base64.encodebytes(b"--b\r\n\r\nx\r\n"))

    @pytest.mark.parametrize("step", [0, 1000, 65536])
    def test_fields_that_stand_too_deep_in_a_header(self, step):
        content = b"X: y\r\n" * 400_000 + lines("Content-Type: multipart/mixed; boundary=real", *PARTS)
        found = look(content, step)
        assert (BAD_HEADER, "header too long") in found
        assert step == 0 or (AMBIGUOUS, "Content field behind the end of a header") in found

    def test_a_flood_of_banned_names_does_not_hide_it(self):
        parts = "".join(f"--b\r\nContent-Disposition: a; filename={number}.exe\r\n\r\n" for number in range(500))
        content = lines(*GOOD, "Content-Type: multipart/mixed; boundary=b; boundary=c", "") + parts.encode()
        assert (AMBIGUOUS, "doubled boundary") in look(content)


class TestBadHeader:
    @pytest.mark.parametrize(
        ("texts", "name"),
        [
            (["Content-Type: multipart/mixed; boundary=real", "", "--real", "", "x"], "unterminated multipart"),
            (["Content-Type: multipart/mixed; boundary=real", "", "x"], "multipart without parts"),
            (["Content-Type: multipart/mixed", "", "x"], "multipart without boundary"),
            (["Content-Type: multipart/mixed; boundary*=us-ascii''real", *PARTS], "boundary in extended form"),
            (["Content-Type: message/external-body; access-type=local-file", "", "X: y", ""], "message/external-body"),
            (["this is no field", "", "x"], "no empty line after the header"),
            (["X: a\0b", "", "x"], "NUL in header"),
            (["Subject: y", "", "x"], "repeated Subject"),
            (["from : y", "", "x"], "repeated From"),
            (["Content-Transfer-Encoding: none", "", "x"], "unknown Content-Transfer-Encoding"),
            (["Content-Transfer-Encoding: 7bit", "Content-Transfer-Encoding: 8bit", "", "x"],
             "repeated Content-Transfer-Encoding"),
            (["Content-Type: text/plain", "Content-Type: text/plain; charset=utf-8", "", "x"], "repeated Content-Type"),
            (["Content-Type: message/rfc822", "Content-Transfer-Encoding: base64", "", "QUJD"],
             "encoded multipart or message"),
        ],
    )  # fmt: skip
    def test_what_is_broken_but_hides_nothing(self, texts, name):
        assert look(lines(*GOOD, *texts)) == {(BAD_HEADER, name)} or name == "encoded multipart or message"
        assert (BAD_HEADER, name) in look(lines(*GOOD, *texts))

    def test_header_bytes_that_are_no_utf_8(self):
        assert look(b"Subject: Gr\xfc\xdfe\r\n\r\nx\r\n") == {(BAD_HEADER, "8-bit header that is not UTF-8")}
        assert look("Subject: Grüße\r\n\r\nx\r\n".encode()) == set()


class TestLimits:
    def test_parts(self):
        content = lines("Content-Type: multipart/mixed; boundary=b", "") + b"--b\r\n\r\nx\r\n" * 10 + b"--b--\r\n"
        assert look(content, max_parts=11) == set()
        assert look(content, max_parts=10) == {(UNCHECKED, "too many parts")}

    @pytest.mark.parametrize("kind", ["multipart/mixed; boundary=%d\r\n\r\n--%d", "message/rfc822\r\nX: %d %d\r\n"])
    def test_depth(self, kind):
        content = b"".join(b"Content-Type: " + (kind % (level, level)).encode() + b"\r\n" for level in range(101))
        assert (UNCHECKED, "parts too deep") in look(content + b"\r\nx\r\n")
        assert (UNCHECKED, "parts too deep") not in look(content + b"\r\nx\r\n", max_mime_depth=101)

    def test_messages_side_by_side_are_not_deep(self):
        part = b"--b\r\nContent-Type: message/rfc822\r\n\r\nX: y\r\n\r\nz\r\n"
        content = lines("Content-Type: multipart/digest; boundary=b", "") + part * 200 + b"--b--\r\n"
        assert look(content) == set()

    def test_encoded_messages(self):
        head = b"Content-Type: message/rfc822\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
        assert (UNCHECKED, "encoded messages too deep") in look(head * 30 + b"\r\nx\r\n")

    def test_a_message_with_too_many_parts_is_scanned_in_one_piece(self):
        content = attachment(b"x" * 100)
        analysis = Analysis(Rules.of(ContentKeys(max_parts=2)))
        analysis.feed(content)
        analysis.finish()
        for mode in ("auto", "whole", "parts", "both"):
            assert [b"".join(stream) for stream in analysis.streams(mode, [content], len(content))] == [content]


class TestBanned:
    @pytest.mark.parametrize("name", ["run.exe", "RUN.EXE", "run.exe. .", "x.pdf.scr", "dir/run.exe", "dir\\run.exe"])
    def test_names(self, name):
        found = look(attachment(b"nothing", name))
        assert {category for category, _ in found} == {BANNED}

    def test_the_finding_names_extension_and_file(self):
        assert look(attachment(b"nothing", "invoice.pdf.exe")) == {(BANNED, "exe (invoice.pdf.exe)")}

    def test_every_reading_of_a_name_counts(self):
        content = lines("Content-Type: a/b; name=a", "Content-Disposition: x; filename*0=a.e; filename*1=xe", "", "x")
        assert look(content) == {(BANNED, "exe (a.exe)")}

    def test_an_empty_file_has_a_name_too(self):
        assert (BANNED, "exe (a.exe)") in look(lines("Content-Type: x/y; name=a.exe", "", ""))

    def test_double_extensions_of_programs_that_are_not_banned(self):
        content = attachment(b"nothing", "a.pdf.reg")
        assert look(content) == {(BANNED, "double extension (a.pdf.reg)")}
        assert look(content, banned_double_extensions=False) == set()
        assert look(attachment(b"nothing", "a.reg")) == set()

    def test_the_list_is_a_choice(self):
        assert look(attachment(b"nothing", "run.exe"), banned_extensions=("pdf",)) == set()
        assert look(attachment(b"nothing", "a.pdf"), banned_extensions=("pdf",)) == {(BANNED, "pdf (a.pdf)")}

    @pytest.mark.parametrize("step", [0, 100])
    def test_a_program_under_a_false_name(self, step):
        program = b"MZ" + b"\0" * 58 + (128).to_bytes(4, "little") + b"\0" * 64 + b"PE\0\0" + b"\0" * 2000
        found = look(attachment(program, "readme.txt", "text/plain"), step)
        assert found == {(BANNED, "application/x-msdownload (readme.txt)")}

    def test_a_declared_type(self):
        found = look(attachment(b"x", "a.dat", "application/x-msdownload"))
        assert found == {(BANNED, "application/x-msdownload (a.dat)")}

    def test_what_a_file_really_is_counts_more_than_a_careless_declaration(self):
        assert look(attachment(b"%PDF-1.4\n", "a.pdf", "application/x-msdownload")) == set()


class TestTestPattern:
    """With no scanner it is found anywhere; with one, only what nobody else will read is decoded to its end."""

    BINARY = b"%PDF-1.4\n" + bytes(range(256)) * 100

    def test_at_the_end_of_an_attachment_without_scanner(self):
        assert look(attachment(self.BINARY + EICAR), 1000) == {(VIRUS, "Eicar-Test-Signature")}

    @pytest.mark.parametrize("decode_all", [True, False])
    @pytest.mark.parametrize("data", [EICAR, EICAR + BINARY, b"a,b\r\n" * 1000 + EICAR])
    def test_in_what_is_small_and_at_the_beginning_always(self, decode_all, data):
        assert (VIRUS, "Eicar-Test-Signature") in look(attachment(data, "a.csv"), 1000, decode_all)

    @pytest.mark.parametrize("data", [BINARY + EICAR, b"a,b\r\n" * 10000 + EICAR])
    def test_at_the_end_of_what_is_large_while_the_scanner_reads(self, data):
        content = attachment(data)
        pieces = [content[start : start + 1000] for start in range(0, len(content), 1000)]
        analysis = Analysis(Rules.of(ContentKeys(), decode_all=False))
        for piece in pieces:
            analysis.feed(piece)
        assert analysis.finish() == []
        for stream in analysis.streams("parts", pieces, len(content)):
            b"".join(stream)
        assert [finding.category for finding in analysis.pattern_findings()] == [VIRUS]


class TestOrdinaryMail:
    """Whoever writes like this is let through without a word."""

    @pytest.mark.parametrize("name", python_mail())
    def test_the_messages_of_pythons_own_tests(self, name):
        graver = {AMBIGUOUS, BANNED, UNCHECKED, ENCRYPTED, VIRUS}
        assert not {finding for finding in look(python_mail()[name]) if finding[0] in graver}

    def test_a_message_of_pythons_library(self):
        message = email.message.EmailMessage(policy=email.policy.SMTP)
        message["From"], message["To"] = "Ä <a@example.com>", "b@example.com, c@example.com"
        message["Subject"] = "Grüße " * 30
        message["Date"] = email.utils.localtime()
        message.set_content("Hallo\n")
        message.add_alternative("<p>Hallo</p>\n", subtype="html")
        message.add_attachment(b"%PDF-1.4\n", maintype="application", subtype="pdf", filename="Bericht für März.pdf")
        inner = email.message.EmailMessage(policy=email.policy.SMTP)
        inner.set_content("inner\n")
        inner.add_attachment("text\n", filename="a.txt")
        message.add_attachment(inner)
        assert look(message.as_bytes()) == set()

    @pytest.mark.parametrize(
        "fields",
        [
            # Outlook
            ['Content-Type: image/png; name="image001.png"', 'Content-Description: image001.png',
             'Content-Disposition: inline; filename="image001.png"; size=1234;',
             '\tcreation-date="Sat, 21 Nov 2026 10:00:00 GMT"', 'Content-ID: <image001.png@01D9>',
             'Content-Transfer-Encoding: base64'],
            ['Content-Type: application/vnd.openxmlformats-officedocument.spreadsheetml.sheet;',
             '\tname="=?iso-8859-1?Q?=DCbersicht.xlsx?="', 'Content-Disposition: attachment;',
             '\tfilename="=?iso-8859-1?Q?=DCbersicht.xlsx?="', 'Content-Transfer-Encoding: base64'],
            # Apple Mail
            ["Content-Disposition: attachment;", "\tfilename*=utf-8''Fu%CC%88r%20dich.pdf",
             'Content-Type: application/pdf;', '\tx-unix-mode=0644;',
             '\tname="=?utf-8?B?RsO8ciBkaWNoLnBkZg==?="', 'Content-Transfer-Encoding: base64'],
            ['Content-Type: text/html;', '\tcharset=us-ascii', 'Content-Transfer-Encoding: 7bit'],
            # Thunderbird
            ['Content-Type: text/plain; charset=UTF-8;', ' name="=?UTF-8?Q?gr=C3=BC=C3=9Fe=2Etxt?="',
             'Content-Disposition: attachment;', " filename*0*=UTF-8''%67%72%C3%BC%C3%9F; filename*1*=%65%2E%74%78%74",
             'Content-Transfer-Encoding: base64'],
            # Gmail
            ['Content-Type: text/plain; charset="UTF-8"; format=flowed; delsp=yes'],
            ['Content-Type: application/octet-stream; name="notes.txt"',
             'Content-Disposition: attachment; filename="notes.txt"', 'Content-Transfer-Encoding: base64',
             'X-Attachment-Id: f_1', 'Content-ID: <f_1>'],
            # signed and encrypted mail
            ['Content-Type: application/pkcs7-signature; name="smime.p7s"',
             'Content-Disposition: attachment; filename="smime.p7s"', 'Content-Transfer-Encoding: base64'],
            ['Content-Type: application/pgp-signature; name="OpenPGP_signature.asc"',
             'Content-Disposition: attachment; filename="OpenPGP_signature"'],
            # calendars, names cut differently, careless case and blanks
            ['Content-Type: text/calendar; charset=utf-8; method=REQUEST', 'Content-Transfer-Encoding: 8BIT'],
            ['Content-Type: application/ics; name=invite.ics', 'Content-Disposition: attachment; filename=invite.ics;'],
            ['CONTENT-TYPE: TEXT/PLAIN; CHARSET=US-ASCII', 'content-transfer-encoding: 7BIT '],
            ['Content-Type: application/pdf; name=Invoice No. 12.pdf',
             'Content-Disposition: attachment; filename="Invoice No. 12.pdf"', 'Content-Transfer-Encoding: Base64'],
            ['Content-Type: text/plain; charset="utf-8" (Plain text)', 'Content-Transfer-Encoding: 8bit (really)'],
        ],
    )  # fmt: skip
    def test_parts_of_common_clients(self, fields):
        content = lines(
            *("From: a@example.com", "To: b@example.com", "Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=", "Date: x"),
            *(
                "MIME-Version: 1.0",
                "Content-Type: multipart/mixed;",
                ' boundary="----=_NextPart_000_0001_01D9.0A1B2C3D"',
            ),
            *("", "This is a multi-part message in MIME format.", ""),
            *("------=_NextPart_000_0001_01D9.0A1B2C3D", *fields, "", "QUJDREVGRw==", ""),
            *("------=_NextPart_000_0001_01D9.0A1B2C3D--", ""),
        )
        assert look(content) == set()

    def test_boundaries_that_begin_alike(self):
        content = lines(
            *("Content-Type: multipart/mixed; boundary=Apple-Mail-1", "", "--Apple-Mail-1"),
            *("Content-Type: multipart/alternative; boundary=Apple-Mail-10", "", "--Apple-Mail-10", "", "x"),
            *("--Apple-Mail-10--", "", "--Apple-Mail-1--"),
        )
        assert look(content) == set()
