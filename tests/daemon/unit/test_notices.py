# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Notices: who is told, who never is, and that what anybody wrote into a message cannot change what they say."""

from __future__ import annotations

import email
import email.policy
import re
from typing import Any

import pytest
from harness.effort import growth
from hypothesis import given
from hypothesis import strategies as st

from filterd import config, mailtext, notice_templates, notices, notifier
from filterd.findings import BANNED, SPAM, VIRUS, Finding
from filterd.notice_templates import NAMES, TemplateError, Templates
from filterd.notices import Event
from filterd.smtp.esmtp import Envelope, Recipient

HEADER = (
    b"From: =?utf-8?q?J=C3=B6rg?= <joerg@example.com>\r\nSubject: an\r\n\toffer\r\n"
    b"Date: Sun, 22 Nov 2026 18:00:00 +0000\r\nMessage-ID: <1@example.com>"
)
LOCAL = "127.0.0.1"


def settings(**keys: Any) -> config.Config:
    return config.from_json({"hostname": "filter.example.com", **keys})


def event(
    sender: str = "alice@example.com",
    recipients: tuple[str, ...] = ("bob@example.com",),
    client: str = LOCAL,
    header: bytes = HEADER,
    category: str = VIRUS,
    disposition: str = "quarantine",
    names: tuple[str, ...] = ("Test.Virus",),
    xforward: dict[str, str] | None = None,
    **parameters: str,
) -> Event:
    told = tuple(Recipient(address, dict(parameters)) for address in recipients)
    envelope = Envelope(sender, {}, list(told), xforward or {}, True, "client.example.com")
    findings = tuple(Finding(category, name, "clamd") for name in names)
    return Event("0123456789", envelope, client, header, findings, category, disposition, told, "20261122T180000Z-0123")


def built(of: Event, templates: Templates = notice_templates.BUILT_IN, **keys: Any) -> list[tuple[Envelope, bytes]]:
    return notices.build(settings(**keys), templates, of)


def read(content: bytes) -> email.message.EmailMessage:
    """The message, which must be right in form."""
    assert re.search(rb"\r(?!\n)|(?<!\r)\n", content) is None
    assert max(len(line) for line in content.split(b"\r\n")) <= 998
    message = email.message_from_bytes(content, policy=email.policy.SMTP)
    assert not message.defects
    return message


class TestAdministrator:
    def test_is_told_of_viruses(self):
        [(envelope, content)] = built(event(), notify_admin="postmaster@example.com")
        message = read(content)
        assert (envelope.sender, [item.address for item in envelope.recipients]) == ("", ["postmaster@example.com"])
        assert envelope.recipients[0].parameters == {"NOTIFY": "NEVER"}
        assert message["Subject"] == "a virus in mail from <alice@example.com>"
        assert message["From"] == "MAILER-DAEMON@filter.example.com"
        assert message["To"] == "postmaster@example.com"
        assert message["Auto-Submitted"] == "auto-generated"
        assert message["Message-ID"] == "<0123456789.admin@filter.example.com>"
        text = message.get_content().replace("\r\n", "\n")
        for words in (
            "Test.Virus",
            "bob@example.com",
            "127.0.0.1",
            "20261122T180000Z-0123",
            "an offer",
            "  Subject: an\n  \toffer\n",
            "it is in quarantine",
        ):
            assert words in text

    @pytest.mark.parametrize(
        ("keys", "of", "count"),
        [
            ({}, event(), 0),
            ({"notify_admin": "root"}, event(), 1),
            ({"notify_admin": "root"}, event(category=BANNED), 1),
            ({"notify_admin": "root"}, event(category=SPAM), 0),
            ({"notify_admin": "root", "notify_admin_categories": [SPAM]}, event(category=SPAM), 1),
            ({"notify_admin": "root", "notify_admin_categories": []}, event(), 0),
            ({"notify_admin": "root"}, event(disposition="tempfail"), 0),
            ({"notify_admin": "root"}, event(disposition="reject"), 1),
            ({"notify_admin": "root"}, event(sender="", header=b"List-Id: x"), 1),
        ],
    )
    def test_is_told_of_what_the_configuration_says(self, keys, of, count):
        assert len(built(of, **keys)) == count

    def test_is_told_of_many_recipients_in_short(self):
        [(_, content)] = built(event(recipients=tuple(f"{n}@example.com" for n in range(999))), notify_admin="root")
        assert "and 949 more" in read(content).get_content()


class TestRecipients:
    def test_are_told_and_not_of_each_other(self):
        [(envelope, content)] = built(event(recipients=("b@example.com", "c@example.com")), notify_recipients=[VIRUS])
        assert [item.address for item in envelope.recipients] == ["b@example.com", "c@example.com"]
        message = read(content)
        assert message["To"] == "undisclosed-recipients:;"
        assert b"b@example.com" not in content
        assert "20261122T180000Z-0123" in message.get_content()

    def test_with_addresses_of_every_script(self):
        plain, international = built(event(recipients=("b@example.com", "ü@example.com")), notify_recipients=[VIRUS])
        assert plain[0].parameters == {}
        assert international[0].parameters == {"BODY": "8BITMIME", "SMTPUTF8": ""}
        assert read(international[1])["To"] == "ü@example.com"

    @pytest.mark.parametrize(
        "of",
        [
            event(sender=""),
            event(category=SPAM),
            event(disposition="discard"),
            event(disposition="pass"),
            event(disposition="reject"),
            event(header=b"Precedence: bulk"),
            event(recipients=("mailer-daemon@filter.example.com",)),
        ],
    )
    def test_are_not_told(self, of):
        assert built(of, notify_recipients=[VIRUS]) == []


class TestSender:
    def test_gets_a_delivery_status_report_without_the_content(self):
        [(envelope, content)] = built(event(), notify_senders=[VIRUS])
        assert (envelope.sender, envelope.recipients[0].address) == ("", "alice@example.com")
        message = read(content)
        assert message.get_content_type() == "multipart/report"
        assert message["Subject"] == "Your message was not delivered: a virus"
        text, status, header = message.iter_parts()
        assert "because a virus was found in it: Test.Virus" in text.get_content()
        assert "delivered to the others" not in text.get_content()
        per_recipient = status.get_payload()[1]
        assert (per_recipient["Action"], per_recipient["Status"]) == ("failed", "5.7.1")
        assert per_recipient["Final-Recipient"] == "rfc822; bob@example.com"
        assert header.get_content_type() == "text/rfc822-headers"

    @pytest.mark.parametrize(
        ("keys", "of"),
        [
            ({}, event(client="127.9.9.9")),
            ({}, event(client="::1")),
            ({}, event(client="IPV6:::1")),
            ({}, event(client="-", xforward={"SOURCE": "LOCAL"})),
            ({"local_networks": ["192.0.2.0/24"]}, event(client="192.0.2.7")),
            ({"local_domains": ["example.com"]}, event(client="192.0.2.7", sender="alice@EXAMPLE.com")),
            ({"local_domains": [".example.com"]}, event(client="192.0.2.7", sender="alice@a.b.example.com")),
            ({}, event(header=b"Auto-Submitted: no")),
            ({}, event(header=b"Precedence: first-class")),
            ({}, event(NOTIFY="FAILURE,DELAY")),
            ({}, event(disposition="discard")),
        ],
    )
    def test_is_told_where_it_is_safe(self, keys, of):
        assert len(built(of, notify_senders=[VIRUS], **keys)) == 1

    @pytest.mark.parametrize(
        ("keys", "of"),
        [
            ({}, event(client="192.0.2.7")),
            ({}, event(client="-")),
            ({}, event(client="-", xforward={"SOURCE": "REMOTE"})),
            ({}, event(client="192.0.2.7", xforward={"SOURCE": "LOCAL"})),
            ({}, event(client="unknown")),
            ({"local_networks": []}, event()),
            ({"local_domains": ["example.com"]}, event(client="192.0.2.7", sender="alice@notexample.com")),
            ({"local_domains": [".example.com"]}, event(client="192.0.2.7")),
            ({}, event(sender="")),
            ({}, event(sender="local-user")),
            ({}, event(sender="mailer-daemon@filter.example.com")),
            ({}, event(sender="MAILER-DAEMON@example.org")),
            ({}, event(sender="owner-list@example.com")),
            ({}, event(sender="list-bounces@example.com")),
            ({"notify_admin": "alice@example.com", "notify_admin_categories": []}, event()),
            ({"notify_from": "Alice@example.com"}, event()),
            ({}, event(header=b"X: y\r\nAuto-Submitted: auto-replied; x=y")),
            ({}, event(header=b"Auto-Submitted:\r\n auto-generated")),
            ({}, event(header=b"Auto-Submitted: no\r\nAuto-Submitted: auto-replied")),
            ({}, event(header=b"PRECEDENCE : junk")),
            ({}, event(header=b"List-Unsubscribe: <x>")),
            ({}, event(header=b"List-Id: <x>")),
            ({}, event(NOTIFY="NEVER")),
            ({}, event(category=SPAM)),
            ({}, event(disposition="reject")),
            ({}, event(disposition="bounce")),
            ({}, event(disposition="tag")),
            ({}, event(disposition="tempfail")),
        ],
    )
    def test_is_not_told(self, keys, of):
        assert built(of, notify_senders=[VIRUS], **keys) == []


EVIL = "x\r\nBcc: evil@example.com\r\n\r\n$sender\x1b[2J\x00\x85\u2028=?utf-8?q?a?="


class TestNothingCanBeInjected:
    def test_by_what_is_in_the_message(self):
        of = event(
            sender=f"a{EVIL}@example.com",
            recipients=(f"b{EVIL}@example.com",),
            client=LOCAL,
            header=b"Subject: " + EVIL.encode() + b"\r\nFrom: \xff\xfe\r\n" + b"X: " + b"y" * 50_000,
            names=(EVIL, "v" * 10_000),
            xforward={"NAME": EVIL},
        )
        made = built(of, notify_admin="root", notify_recipients=[VIRUS], notify_senders=[VIRUS])
        assert len(made) == 3
        for _, content in made:
            # What a report returns of the header is as the sender wrote it; all else is ours.
            ours = re.split(rb"-headers\r\n", content)[0]
            assert not re.search(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]", ours)
            message = email.message_from_bytes(content, policy=email.policy.SMTP)
            assert message["Bcc"] is None
            part = next(message.iter_parts()) if message.is_multipart() else message
            assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028]", part.get_content().replace("\r\n", "\n"))

    @given(st.text(), st.text(), st.binary())
    def test_by_any_text(self, subject, address, header):
        of = event(recipients=(address + "x",), header=header, names=(subject,))
        for _, content in built(of, notify_admin="root@example.com", notify_recipients=[VIRUS]):
            head = content.partition(b"\r\n\r\n")[0]
            names = [line.partition(b":")[0] for line in head.split(b"\r\n") if not line.startswith((b" ", b"\t"))]
            assert names == [
                *(b"From", b"To", b"Subject", b"Date", b"Message-ID", b"Auto-Submitted", b"MIME-Version"),
                *(b"Content-Type", b"Content-Transfer-Encoding"),
            ]
            assert max(len(line) for line in content.split(b"\r\n")) <= 998


class TestText:
    @given(st.text(max_size=300))
    def test_a_field_is_read_as_it_was_written(self, text):
        line = mailtext.field("Subject", text)
        assert line.isascii()
        assert all(len(piece) <= 78 or len(piece.split()) <= 2 for piece in line.split("\r\n"))
        message = email.message_from_bytes(line.encode("ascii") + b"\r\n\r\n", policy=email.policy.default)
        expected = mailtext.one_line(text, mailtext.VALUE_LIMIT).encode("utf-8", "replace").decode()
        assert " ".join(str(message["Subject"] or "").split()) == expected

    def test_a_part_is_as_simple_as_can_be(self):
        assert mailtext.plain("a\nb\n").content == "a\r\nb\r\n"
        assert "7bit" in mailtext.plain("a").header[1]
        assert "base64" in mailtext.plain("ä").header[1]
        assert "base64" in mailtext.plain("a" * 1000).header[1]


class TestTemplates:
    def test_files_are_used_in_place_of_what_is_built_in(self, tmp_path):
        (tmp_path / "admin.txt").write_text("Subject: Grüße über $category\n\n$findings für $$5\n")
        templates = notice_templates.load(str(tmp_path))
        assert templates.recipient is notice_templates.BUILT_IN.recipient
        [(_, content)] = built(event(), templates, notify_admin="root")
        message = read(content)
        assert message["Subject"] == "Grüße über virus"
        assert message.get_content() == "Test.Virus für $5\r\n"

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ("", "line 1 held ''; it takes Subject: and a text"),
            ("Hello\n\nx\n", "line 1 held 'Hello'; it takes Subject: and a text"),
            ("Subject: \n\nx\n", "line 1 held"),
            ("Subject: x\nbody\n", "line 2 held 'body'; it takes an empty line"),
            ("Subject: x\n\n", "line 2 held"),
            ("Subject: $nonsense\n\nx\n", "line 1 held $nonsense; known names: $hostname"),
            ("Subject: x\n\nfor 5 $ only\n", "line 3 held a $ without a name; $$ is a dollar sign"),
            ("Subject: x\n\n${sender\n", "line 3 held a $ without a name"),
        ],
    )
    def test_a_wrong_one_is_named(self, tmp_path, text, words):
        (tmp_path / "sender.txt").write_text(text)
        with pytest.raises(TemplateError) as caught:
            notice_templates.load(str(tmp_path))
        assert str(caught.value).startswith(f"{tmp_path}/sender.txt: {words}")

    def test_one_that_is_no_text(self, tmp_path):
        (tmp_path / "sender.txt").write_bytes(b"Subject: \xff")
        with pytest.raises(TemplateError, match="is not UTF-8 at byte 9"):
            notice_templates.load(str(tmp_path))
        (tmp_path / "sender.txt").write_bytes(b"x" * 100_000)
        with pytest.raises(TemplateError, match="is larger than 65536 bytes"):
            notice_templates.load(str(tmp_path))
        with pytest.raises(TemplateError, match="is not a directory"):
            notice_templates.load(str(tmp_path / "missing"))

    def test_every_name_has_a_value(self):
        text = notice_templates.parse("x", "Subject: x\n\n" + "".join(f"{name}=${name}\n" for name in NAMES))
        [(_, content)] = built(event(), Templates(text, text, text), notify_admin="root")
        assert all(f"{name}=" in read(content).get_content() for name in NAMES)


class TestLimit:
    def test_so_many_in_an_hour_and_one_line_in_the_log(self, capfd):
        now = [0.0]
        limited = notifier.Notifier(settings(notify_admin="root", notify_limit=3), lambda: now[0])
        assert sum(len(limited.notices(event())) for _ in range(10)) == 3
        assert len(capfd.readouterr().err.splitlines()) == 1
        now[0] = 3599.0
        assert limited.notices(event()) == []
        now[0] = 3600.0
        assert len(limited.notices(event())) == 1
        assert "8 notices were not sent" in capfd.readouterr().err

    def test_bounces_are_not_limited(self):
        limited = notifier.Notifier(settings(notify_limit=1))
        assert all(limited.bounce(event(disposition="bounce")) for _ in range(3))
        assert limited.bounce(event(disposition="bounce", client="192.0.2.1")) is None

    def test_a_wrong_template_does_not_keep_a_worker_from_starting(self, capfd):
        limited = notifier.Notifier(settings(notification_templates="/nowhere/at/all", notify_admin="root"))
        assert len(limited.notices(event())) == 1
        assert "the built-in texts of notices are used: /nowhere/at/all: is not a directory" in capfd.readouterr().err


EVERYBODY: dict[str, Any] = {"notify_admin": "root", "notify_recipients": [VIRUS], "notify_senders": [VIRUS]}


class TestLongHeaders:
    @pytest.mark.parametrize(("begin", "piece"), [(b"Subject: ", b"\r\n "), (b"", b"\n"), (b"Precedence:", b" ")])
    def test_hold_up_nobody_and_are_not_by_people(self, begin, piece):
        # Given a header of a megabyte, then a notice takes no time that other mail would feel, and no sender is told
        def prepare(number):
            return event(header=begin + piece * number)

        assert growth(prepare, lambda of: built(of, **EVERYBODY), 100_000) < 3
        made = built(prepare(1_000_000), **EVERYBODY)
        assert [envelope.recipients[0].address for envelope, _ in made] == ["root"]

    def test_many_recipients_take_little_time(self):
        def prepare(number):
            return event(recipients=tuple(f"{n}@example.com" for n in range(number)))

        assert growth(prepare, lambda of: built(of, **EVERYBODY), 250) < 3
        assert len(built(prepare(1000), **EVERYBODY)) == 3
