# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The messages that the demo sends, and what has to become of each."""

from __future__ import annotations

import io
import os
import zipfile
from dataclasses import dataclass
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import formatdate, make_msgid

SENDER = "carol@client.example.com"
#: Where mail from outside comes in, and mail from inside, which gets the disclaimer.
OUTSIDE, INSIDE = 25, 2525

#: As the inventory has it; it is for whoever gets the letter, so it has characters that mail can spoil.
DISCLAIMER = "This letter of ${sender_name} is for its recipient only.\nDemo GmbH \u2013 Köln"

# In two parts, so that no scanner mistakes this file for an infected one.
# https://www.eicar.org/download-anti-malware-testfile/
EICAR = b"X5O!P%@AP[4\\PZX54(P^)7CC)7}$" + b"EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"

#: In demo.hdb by its checksum, so that clamd finds it; the filter itself knows EICAR alone, in archives too.
KNOWN_TO_CLAMD = b"A harmless file of the demo, which the demo's database of signatures knows, and nothing else does.\n"

DELIVERED = "delivered, unchanged"
DISCLAIMED = "delivered, with its disclaimer"
QUARANTINED = "quarantined, not delivered"


@dataclass(frozen=True)
class Sample:
    """One message of the demo.

    content is what goes over the wire, with CR LF line ends; scanner, where set, is
    who must have found the virus, as the filter's quarantine names its source; added is what
    the mailbox has behind the body as it was sent.
    """

    title: str
    recipient: str
    expected: str
    content: bytes
    message_id: str
    scanner: str = ""
    sender: str = SENDER
    port: int = OUTSIDE
    added: str = ""

    @property
    def body(self) -> bytes:
        """All after the header, with line ends as a Maildir has them."""
        return self.content.partition(b"\r\n\r\n")[2].replace(b"\r\n", b"\n")


def _compose(
    recipient: str,
    subject: str,
    text: str,
    attachment: tuple[str, bytes] | None = None,
    sender: str = f"Carol <{SENDER}>",
) -> tuple[bytes, str]:
    message = EmailMessage(policy=SMTP)
    message["Date"] = formatdate()
    message["From"] = sender
    message["To"] = f"<{recipient}>"
    message["Subject"] = subject
    message["Message-ID"] = identifier = make_msgid(domain="client.example.com")
    message.set_content(text)
    if attachment:
        name, content = attachment
        message.add_attachment(content, maintype="application", subtype="octet-stream", filename=name)
    return message.as_bytes(), identifier


def _zipped(name: str, content: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, content)
    return buffer.getvalue()


def _nearly(limit: int) -> int:
    """Bytes of attachment that make a message of 98.6 % of limit.

    Base64 makes 78 bytes on the wire (76 and the line end) out of 57.
    """
    return (limit * 986 // 1000 - 2000) * 57 // 78


def samples(domain: str, size_limit: int) -> list[Sample]:
    """The messages, for a host with that mail domain and message_size_limit (bytes)."""
    alice, bob = f"alice@{domain}", f"bob@{domain}"
    clean, clean_id = _compose(alice, "Minutes", "Dear Alice,\n\nthe minutes: nothing happened.\n\n.\nCarol\n")
    eicar, eicar_id = _compose(alice, "Invoice", "See the attachment.\n", ("invoice.com", EICAR))
    zipped, zipped_id = _compose(
        bob, "Your parcel", "Open the archive.\n", ("parcel.zip", _zipped("parcel.com", EICAR))
    )
    known, known_id = _compose(
        bob, "Your notes", "Open the archive.\n", ("notes.zip", _zipped("notes.bin", KNOWN_TO_CLAMD))
    )
    large, large_id = _compose(bob, "Photos", "All of them.\n", ("photos.bin", os.urandom(_nearly(size_limit))))
    letter, letter_id = _compose(bob, "Angebot", "Lieber Bob,\n\nhübsche Grüße.\n", sender=f"Alice <{alice}>")
    added = "\n" + DISCLAIMER.replace("${sender_name}", "Alice") + "\n"
    size = f"{len(large) / 1e6:.1f} MB of {size_limit / 1e6:.2f} MB"
    return [
        Sample("clean", alice, DELIVERED, clean, clean_id),
        Sample("EICAR, attached", alice, QUARANTINED, eicar, eicar_id),
        Sample("EICAR in a zip", bob, QUARANTINED, zipped, zipped_id),
        Sample("known to clamd, in a zip", bob, QUARANTINED, known, known_id, "clamd"),
        Sample(f"large ({size})", bob, DELIVERED, large, large_id),
        Sample("from inside", bob, DISCLAIMED, letter, letter_id, sender=alice, port=INSIDE, added=added),
    ]
