# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests need of a mail host: sending to its port 25 from outside, and looking into its mailboxes and logs."""

from __future__ import annotations

import json
import smtplib
import time
import uuid
import zipfile
from collections.abc import Callable
from email.message import EmailMessage
from io import BytesIO
from typing import Any

from testinfra.host import Host

#: In two halves, so that no scanner takes this file for the virus that it is not.
EICAR = b"X5O!P%@AP[4\\PZX54(P^)7CC)7}$" + b"EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"


class TooBig(Exception):
    """Port 25 refused the message for its size."""


def wait_for(what: str, condition: Callable[[], Any], seconds: float = 60) -> Any:
    """Ask until the answer is true, and return it."""
    deadline = time.monotonic() + seconds
    while True:
        answer = condition()
        if answer:
            return answer
        assert time.monotonic() < deadline, f"waited {seconds} seconds in vain: {what}"
        time.sleep(0.5)


def eicar_zip() -> bytes:
    """The EICAR test file, packed."""
    packed = BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("invoice.com", EICAR)
    return packed.getvalue()


class MailHost:
    """One host under test."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.name = host.check_output("hostname -s")
        self.address = host.check_output("hostname -I").split()[0]

    # Sending

    @staticmethod
    def message(attachment: bytes | None = None, subject: str = "") -> tuple[str, bytes]:
        """A message, and the token by which it is found again."""
        token = uuid.uuid4().hex
        message = EmailMessage()
        message["From"] = "Tester <tester@example.org>"
        message["To"] = "alice@example.com"
        message["Subject"] = f"{subject} {token}".strip()
        message["Message-ID"] = f"<{token}@example.org>"
        message.set_content("Hello.\n")
        if attachment is not None:
            message.add_attachment(attachment, maintype="application", subtype="octet-stream", filename="file.bin")
        return token, message.as_bytes().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")

    def send(
        self, content: bytes, sender: str = "tester@example.org", recipients: tuple[str, ...] = ("alice@example.com",)
    ) -> str:
        """Send it to port 25 from outside, and return the queue id that Postfix gave it."""
        with smtplib.SMTP(self.address, 25, timeout=60) as client:
            client.ehlo("client.example.org")
            code, reply = client.mail(sender)
            assert code == 250, reply
            for recipient in recipients:
                code, reply = client.rcpt(recipient)
                assert code == 250, reply
            code, reply = client.data(content)
            if code == 552:
                raise TooBig(reply)
            assert code == 250, reply
        return reply.decode().rpartition("queued as ")[2]

    # What became of it

    def delivered(self, token: str, user: str = "alice") -> list[str]:
        """The files in the user's mailbox that hold the token."""
        return self.host.run(f"grep -rlsF {token} /home/{user}/Maildir/new").stdout.split()

    def wait_delivered(self, token: str, user: str = "alice", seconds: float = 60) -> bytes:
        """Wait until it is there, and return it as it was delivered."""
        path = wait_for(f"mail {token} for {user}", lambda: self.delivered(token, user), seconds)[0]
        return self.host.file(path).content

    def log(self, pattern: str) -> str:
        """The lines of the journal that match."""
        return self.host.run(f"journalctl --no-pager -o cat --grep '{pattern}' --case-sensitive=true").stdout

    def quarantined(self, sender: str) -> list[dict[str, Any]]:
        """What is in quarantine from this sender."""
        entries = json.loads(self.host.check_output("filter-daemon quarantine list --json"))
        return [entry for entry in entries if entry["sender"] == sender]

    def queue(self) -> list[dict[str, Any]]:
        """What waits in Postfix' queue."""
        return [json.loads(line) for line in self.host.check_output("postqueue -j").splitlines()]

    def flush(self) -> bool:
        """Have Postfix try its queue now. True when it is empty."""
        if not self.queue():
            return True
        self.host.check_output("postqueue -f")
        time.sleep(2)
        return not self.queue()
