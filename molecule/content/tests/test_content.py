# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Viruses, banned files, spam, quarantine and its release, notices: on a host that was provisioned with them."""

from __future__ import annotations

import email
import email.policy
import json
import uuid
import zipfile
from email.message import EmailMessage
from io import BytesIO
from typing import Any

from mailhost import EICAR, MailHost, wait_for

# In two halves, so that no filter takes this file for spam.
GTUBE = "XJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE" + "-TEST-EMAIL*C.34X"


def message(attachment: bytes | None = None, name: str = "", text: str = "Hello.\n") -> tuple[str, str, bytes]:
    """A token, a sender of its own, and the message."""
    token = uuid.uuid4().hex
    sender = f"{token[:12]}@example.org"
    mail = EmailMessage()
    mail["From"] = sender
    mail["To"] = "alice@example.com"
    mail["Subject"] = f"content {token}"
    mail["Message-ID"] = f"<{token}@example.org>"
    mail.set_content(text)
    if attachment is not None:
        mail.add_attachment(attachment, maintype="application", subtype="octet-stream", filename=name)
    return token, sender, mail.as_bytes(policy=email.policy.SMTP)


def packed(name: str, data: bytes) -> bytes:
    """A zip with one file."""
    file = BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, data)
    return file.getvalue()


def kept(mail: MailHost, sender: str) -> dict[str, Any]:
    """The one message of a sender that is in quarantine."""
    entries = wait_for(f"{sender} in quarantine", lambda: mail.quarantined(sender))
    assert len(entries) == 1
    return entries[0]


def categories(entry: dict[str, Any]) -> set[str]:
    return {finding["category"] for finding in entry["findings"]}


def notices(mail: MailHost, user: str, token: str) -> list[bytes]:
    """What a user was told about a message."""
    return [mail.host.file(path).content for path in mail.delivered(token, user)]


def test_a_virus_is_quarantined_and_the_administrator_told(mail: MailHost) -> None:
    token, sender, content = message(EICAR, "invoice.txt")
    mail.send(content, sender)
    entry = kept(mail, sender)
    assert "virus" in categories(entry)
    (notice,) = wait_for("the notice", lambda: notices(mail, "bob", token))
    assert entry["id"].encode() in notice
    assert b"Auto-Submitted: auto-generated" in notice
    # the recipient has nothing, not even a notice: recipients are told of banned files only
    assert not mail.delivered(token, "alice")


def test_a_banned_file_in_a_zip(mail: MailHost) -> None:
    token, sender, content = message(packed("pictures/holiday.jpg.scr", b"no picture"), "pictures.zip")
    mail.send(content, sender)
    entry = kept(mail, sender)
    assert categories(entry) == {"banned"}
    assert any("pictures.zip/pictures/holiday.jpg.scr" in finding["name"] for finding in entry["findings"])
    # administrator and recipient are told
    for user in ("bob", "alice"):
        (notice,) = wait_for(f"the notice to {user}", lambda user=user: notices(mail, user, token))
        assert entry["id"].encode() in notice


def test_spam_is_tagged_for_one_and_quarantined_for_another(mail: MailHost) -> None:
    token, sender, content = message(text=f"Buy now.\n{GTUBE}\n")
    mail.send(content, sender, ("alice@example.com", "bob@example.com"))
    delivered = email.message_from_bytes(mail.wait_delivered(token, "alice"), policy=email.policy.default)
    assert delivered["X-Spam-Flag"] == "YES"
    assert "GTUBE" in delivered["X-Spam-Status"]
    entry = kept(mail, sender)
    assert categories(entry) == {"spam"}
    assert [item["address"] for item in entry["recipients"]] == ["bob@example.com"]
    assert not mail.delivered(token, "bob")


def test_ordinary_mail_is_scanned_and_scored(mail: MailHost) -> None:
    token, sender, content = message(packed("notes.txt", b"harmless"), "notes.zip")
    mail.send(content, sender)
    delivered = mail.wait_delivered(token)
    header = email.message_from_bytes(delivered, policy=email.policy.default)
    assert header["X-Virus-Scanned"] == "filter-stack at content.example.com"
    assert header["X-Spam-Status"].startswith("No, score=")
    assert not mail.quarantined(sender)
    body = content.partition(b"\r\n\r\n")[2].replace(b"\r\n", b"\n")
    assert delivered.endswith(body)


def test_released_mail_arrives_once_and_unchanged(mail: MailHost) -> None:
    # Given a quarantined message for two recipients
    token, sender, content = message(b"MZ", "setup.exe")
    mail.send(content, sender, ("alice@example.com", "bob@example.com"))
    entry = kept(mail, sender)
    wait_for("the notices", lambda: notices(mail, "alice", token) and notices(mail, "bob", token))
    before = len(mail.delivered(token, "alice"))
    # when it is released to one of them, then to all, with a restart of the daemon in between
    release = f"runuser -u vscan -- filter-daemon quarantine release {entry['id']}"
    mail.host.run_expect([0], f"{release} --to alice@example.com")
    mail.host.run_expect([0], "systemctl restart filter-daemon.service")
    mail.host.run_expect([0], release)

    # then each has it once, as it came
    def originals(user: str) -> list[bytes]:
        return [item for item in notices(mail, user, token) if b'filename="setup.exe"' in item and b"\nTVo=" in item]

    for user in ("alice", "bob"):
        wait_for(f"the message for {user}", lambda user=user: originals(user))
    assert len(originals("alice")) == len(originals("bob")) == 1
    assert originals("alice")[0].endswith(content.partition(b"\r\n\r\n")[2].replace(b"\r\n", b"\n"))
    assert len(mail.delivered(token, "alice")) == before + 1
    assert not mail.quarantined(sender)


def test_the_self_report_names_every_scanner(mail: MailHost) -> None:
    report = json.loads(mail.host.run("filter-daemon check --json").stdout)
    words = json.dumps(report)
    assert "EICAR" in words
    assert "GTUBE" in words
