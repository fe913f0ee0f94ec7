# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The messages of the benchmark, the same in each run."""

from __future__ import annotations

import base64
import io
import random
import zipfile
from email.message import EmailMessage
from email.policy import default
from pathlib import Path

_WORDS = (
    "the",
    "mail",
    "host",
    "takes",
    "each",
    "message",
    "whole",
    "looks",
    "at",
    "every",
    "part",
    "and",
    "keeps",
    "it",
)


def _text(size: int, seed: int) -> str:
    source = random.Random(seed)
    lines: list[str] = []
    total = 0
    while total < size:
        line = " ".join(source.choices(_WORDS, k=12))
        lines.append(line)
        total += len(line) + 2
    return "\n".join(lines) + "\n"


def _message(subject: str) -> EmailMessage:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "alice@example.com", "bob@example.com", subject
    message["Date"] = "Sun, 22 Nov 2026 12:00:00 +0000"
    message["Message-ID"] = f"<bench-{len(subject)}@example.com>"
    return message


def _plain(size: int) -> bytes:
    message = _message(f"{size} bytes")
    message.set_content(_text(size - 400, size))
    return message.as_bytes(policy=default)


def _realistic() -> bytes:
    source = random.Random(4)
    message = _message("Offer and figures")
    message.set_content(_text(3000, 1))
    message.add_alternative(
        "<html><body><p>" + _text(8000, 2).replace("\n", "</p>\n<p>") + "</p></body></html>", subtype="html"
    )
    pdf = b"%PDF-1.4\n" + base64.b64encode(source.randbytes(36000)) + b"\n%%EOF\n"
    message.add_attachment(pdf, maintype="application", subtype="pdf", filename="offer.pdf")
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo("figures.csv"), _text(60000, 3))
        archive.writestr(zipfile.ZipInfo("picture.bin"), source.randbytes(34000))
    message.add_attachment(packed.getvalue(), maintype="application", subtype="zip", filename="figures.zip")
    return message.as_bytes(policy=default)


def write(directory: Path) -> dict[str, Path]:
    """Write them, with LF as smtp-source wants its files, and return their paths by name."""
    directory.mkdir(exist_ok=True)
    contents = {
        "4 KiB": _plain(4096),
        "100 KiB": _plain(102400),
        "2 MiB": _plain(2097152),
        "realistic": _realistic(),
    }
    paths = {}
    for name, content in contents.items():
        paths[name] = directory / (name.replace(" ", "") + ".eml")
        paths[name].write_bytes(content)
    return paths


def write_large(directory: Path) -> Path:
    """One of 25 MB, with an attachment that does not compress."""
    path = directory / "large.eml"
    if not path.exists():
        message = _message("A large one")
        message.set_content("See the attachment.\n")
        noise = random.Random(25).randbytes(18_000_000)
        message.add_attachment(noise, maintype="application", subtype="octet-stream", filename="noise.bin")
        path.write_bytes(message.as_bytes(policy=default))
    return path
