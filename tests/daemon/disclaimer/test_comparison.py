# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The comparison of docs/disclaimers.md, measured: the bundled program, and alterMIME alone, as guides run it."""

from __future__ import annotations

import base64
import email
import subprocess
from collections import Counter
from collections.abc import Callable
from email.message import Message
from pathlib import Path
from typing import NamedTuple

import pytest
from harness.disclaimer import HTML, TEXT, Program
from harness.disclaimer_corpus import corpus, difference
from harness.mail import installed

PAGE = (Path(__file__).parents[3] / "docs/disclaimers.md").read_text()
WORDS = "Vertraulich \u2013 für Sie."
MOJIBAKE = "für".encode().decode("latin-1")
HEAD = b"From: Anna <anna@example.com>\nTo: bob@example.org\nSubject: x\nMIME-Version: 1.0\n"


class Alone:
    """alterMIME without anything around it."""

    def __init__(self, home: Path, text: str, html: str) -> None:
        installed("altermime", Path("/usr/bin/altermime"))
        self.home = home
        (home / "alone.txt").write_text(text + "\n")
        (home / "alone.html").write_text(html + "\n")

    def run(self, content: bytes) -> int:
        """The exit status, negative for a signal; what became of the message is in the file."""
        (self.home / "message").write_bytes(content)
        return self.start()

    def start(self) -> int:
        """The same for what is in the file."""
        options = {"input": "message", "disclaimer": "alone.txt", "disclaimer-html": "alone.html"}
        command = ["altermime", *(f"--{name}={self.home / file}" for name, file in options.items())]
        return subprocess.run(command, capture_output=True, check=False).returncode

    def through(self, content: bytes) -> bytes:
        """What became of a message."""
        assert self.run(content) == 0
        return (self.home / "message").read_bytes()


@pytest.fixture
def alone(tmp_path: Path) -> Alone:
    return Alone(tmp_path, WORDS, f"<p>{WORDS}</p>")


def cell(label: str) -> list[str]:
    """The cells of a row of the page."""
    (row,) = (line for line in PAGE.splitlines() if line.startswith(f"| {label} |"))
    return [words.strip() for words in row.strip("|").split("|")[1:]]


def test_the_corpora(program, tmp_path):
    ours: Program = program()
    bare = Alone(tmp_path, TEXT, HTML)
    found: dict[str, tuple[Counter[str], Counter[str]]] = {}
    for name, content in corpus():
        kind = name.rpartition(" beside ")[2] if " beside " in name else "CPython's"
        assert ours.run(content).returncode == 0
        (after,) = ours.messages()
        for number, outcome in enumerate((after, bare.through(content))):
            word = "same" if outcome == content else "other" if difference(content, outcome) else "text"
            found.setdefault(kind, (Counter(), Counter()))[number][word] += 1
    for label, kind, word in (
        ("CPython's: only the text differs", "CPython's", "text"),
        ("left as they are", "CPython's", "same"),
        ("other differences", "CPython's", "other"),
        ("beside plain text: only the text differs", "plain", "text"),
        ("beside HTML: only the text differs", "html", "text"),
    ):
        measured = [str(counts[word]) for counts in found[kind]]
        assert [words.split()[0] for words in cell(label)] == measured, label
    assert {sum(counts.values()) for counts in found["CPython's"]} == {47}
    assert {sum(counts.values()) for kind in ("plain", "html") for counts in found[kind]} == {44}


class Case(NamedTuple):
    """A row of the second table: a message, and what is true of it after each program."""

    label: str
    content: bytes
    ours: Callable[[Message], object]
    alone: Callable[[Message], object]


def text(message: Message) -> str:
    """The text of the first part that has one."""
    part = next(part for part in message.walk() if part.get_content_maintype() == "text")
    return part.get_payload(decode=True).decode(part.get_content_charset() or "us-ascii", "replace")


def utf_8(message: Message) -> bool:
    return message.get_content_charset() == "utf-8" and WORDS in text(message)


def raw(message: Message) -> bool:
    return WORDS.encode() in message.as_bytes()


def typed(kind: bytes, encoding: bytes, body: bytes) -> bytes:
    return HEAD + b"Content-Type: " + kind + b"\nContent-Transfer-Encoding: " + encoding + b"\n\n" + body


LATIN = b"text/plain; charset=iso-8859-1"
CASES = [
    Case(
        "us-ascii",
        HEAD + b"\nHello\n",
        lambda m: utf_8(m) and m["content-transfer-encoding"] == "quoted-printable",
        raw,
    ),
    Case("ISO 8859-1, 8bit", typed(LATIN, b"8bit", b"M\xfcller\n"), utf_8, lambda m: raw(m) and MOJIBAKE in text(m)),
    Case(
        "ISO 8859-1, quoted-printable",
        typed(LATIN, b"quoted-printable", b"M=FCller\n"),
        lambda m: utf_8(m) and m.get_payload().isascii(),
        lambda m: raw(m) and MOJIBAKE in text(m),
    ),
    *(
        Case(
            "base64, plain or HTML",
            typed(b"text/" + kind + b"; charset=utf-8", b"base64", base64.encodebytes(b"<p>Hello</p>\n")),
            lambda m: "Vertraulich" in text(m),
            lambda m: "Vertraulich" not in text(m),
        )
        for kind in (b"plain", b"html")
    ),
    Case(
        "HTML with `</body>` in a comment",
        typed(b"text/html", b"7bit", b"<body>\n<!-- </body> -->\nHello\n</body>\n"),
        lambda m: text(m).index("Hello") < text(m).index("Vertraulich") < text(m).rindex("</body>"),
        lambda m: text(m).index("<!--") < text(m).index("Vertraulich") < text(m).index("-->"),
    ),
    Case(
        "HTML in quoted-printable, `</bo=` `dy>`",
        typed(b"text/html", b"quoted-printable", b"<html><body>\nHello\n</bo=\ndy></html>\n"),
        lambda m: text(m).index("Vertraulich") < text(m).index("</body>"),
        lambda m: text(m).index("Vertraulich") > text(m).index("</body>") and "=0A" in m.get_payload(),
    ),
    Case(
        "format=flowed, last line ends in a space",
        typed(b"text/plain; charset=utf-8; format=flowed", b"8bit", b"Hello \n"),
        lambda m: f"Hello \n\n\n{WORDS}" in text(m),
        lambda m: f"Hello \n{WORDS}" in text(m).replace("\n\n", "\n") and "Hello \n\n\n" not in text(m),
    ),
    *(
        Case(label, content, lambda m: "Vertraulich" not in text(m), lambda m: "Vertraulich" in text(m))
        for label, content in (
            ("inline PGP", HEAD + b"\n-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\nHello\n"),
            ("DKIM-Signature", b"DKIM-Signature: v=1\n" + HEAD + b"\nHello\n"),
            ("delivery report, Auto-Submitted", b"Auto-Submitted: auto-replied\n" + HEAD + b"\nHello\n"),
            (
                "delivery report, Auto-Submitted",
                HEAD
                + b"Content-Type: multipart/report; report-type=delivery-status; boundary=b\n\n--b\n"
                + b"Content-Type: text/plain\n\nFailed\n--b\nContent-Type: message/delivery-status\n\n"
                + b"Reporting-MTA: dns; x\n\n--b--\n",
            ),
        )
    ),
    Case(
        "an answer that quotes the text",
        typed(b"text/plain; charset=utf-8", b"8bit", f"> Hello\n> {WORDS}\n\nFine!\n".encode()),
        lambda m: text(m).count(WORDS) == 1,
        lambda m: text(m).count(WORDS) == 2,
    ),
    *(
        Case(
            "multipart/signed, S/MIME, calendar reply",
            content,
            lambda m: "Vertraulich" not in m.as_string(),
            lambda m: "Vertraulich" not in m.as_string(),
        )
        for content in (
            HEAD
            + b"Content-Type: multipart/signed; boundary=b; protocol=x; micalg=x\n\n--b\nContent-Type: text/plain\n\n"
            b"Hello\n--b\nContent-Type: application/pgp-signature\n\nx\n--b--\n",
            typed(b"application/pkcs7-mime; smime-type=signed-data", b"base64", b"AAAA\n"),
            typed(b"text/calendar; method=REPLY", b"7bit", b"BEGIN:VCALENDAR\nEND:VCALENDAR\n"),
        )
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.label)
def test_one_by_one(program, alone, case):
    rows = [{"text": WORDS, "html": f"<p>{WORDS}</p>"}]
    after = program(rows=rows).through(case.content)
    assert case.ours(email.message_from_bytes(after)), after
    outcome = alone.through(case.content)
    assert case.alone(email.message_from_bytes(outcome)), outcome
    words = cell(case.label)
    assert (words[0] == "left alone") == (after == case.content)
    assert (words[1] in ("left alone", "not added")) == (outcome == case.content)


def test_what_alterMIME_says_when_it_cannot_work(alone):  # noqa: N802 (the program's name)
    (alone.home / "alone.txt").rename(alone.home / "gone")
    assert alone.run(HEAD + b"\nHello\n") < 0
    assert cell("missing text") == ["stays in the queue", "ends with a signal; pipe(8) returns the mail"]
    (alone.home / "message").unlink()
    (alone.home / "gone").rename(alone.home / "alone.txt")
    assert alone.start() == 0
    assert cell("message that cannot be read") == ["stays in the queue", "exit status 0"]
