# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the content of a message leads to, with no scanner at all: quarantine, or on its way."""

from __future__ import annotations

import gzip
import random

import pytest
from harness.archives import nested_zip, packed_by, tarred, zipped
from harness.clamd import EICAR
from harness.client import lmtp
from harness.mail import attachment, clamav_files, lines, python_mail

NOISE = random.Random(1).randbytes(300_000)
CAUGHT = {
    "the test pattern in a zip": (lambda: attachment(zipped({"a.txt": EICAR}), "a.zip"), "virus"),
    "the test pattern deep in a large archive": (
        lambda: attachment(zipped({"n": NOISE, "x.tgz": tarred({"n": NOISE, "e": EICAR}, "w:gz")}), "a.zip"),
        "virus",
    ),
    "a program by its name": (lambda: attachment(b"x", "invoice.pdf.exe"), "banned"),
    "a program by its name in a zip": (lambda: attachment(zipped({"run.exe": b"x"}), "a.zip"), "banned"),
    "a program under a false name": (lambda: attachment(clamav_files()["clam.exe"], "readme.txt"), "banned"),
    "a program in a 7z": (
        lambda: attachment(packed_by("7z", "p7zip-full", ["a"], {"run.exe": NOISE}, ".7z"), "a.7z"),
        "banned",
    ),
    "too many levels": (lambda: attachment(nested_zip(20), "a.zip"), "unchecked"),
    "two boundaries": (
        lambda: lines("Content-Type: multipart/mixed; boundary=a; boundary=b", "", "--a", "", "x", "--a--"),
        "ambiguous",
    ),
    "a piece of a message": (
        lambda: lines("Content-Type: message/partial; id=1; number=1; total=2", "", "Subject: x", "", "x"),
        "ambiguous",
    ),
}


@pytest.mark.parametrize("name", CAUGHT)
def test_what_is_kept(relay, name):
    make, category = CAUGHT[name]
    assert lmtp(relay.address, make())[0].code == 250
    assert not relay.downstream.transactions
    assert len(relay.daemon.quarantined()) == 1
    assert f"verdict={category} " in relay.daemon.messages()[-1]


@pytest.mark.parametrize("name", python_mail())
def test_the_messages_of_pythons_own_tests_are_delivered_with_their_body_unchanged(relay, name):
    content = python_mail()[name]
    assert lmtp(relay.address, content)[0].code == 250
    _, blank, body = content.partition(b"\r\n\r\n")
    assert relay.one().content.endswith(blank + body)
    assert not relay.daemon.quarantined()


@pytest.mark.parametrize(
    "data", [zipped({"a.txt": b"x" * 1000}), tarred({"a": NOISE}, "w:gz"), gzip.compress(NOISE), NOISE],
    ids=["zip", "tgz", "gz", "noise"],
)  # fmt: skip
def test_ordinary_attachments_leave_as_they_came(relay, data):
    content = attachment(data, "a.dat")
    assert lmtp(relay.address, content)[0].code == 250
    assert relay.one().content.endswith(content.partition(b"\r\n\r\n")[2])
    assert list(relay.daemon.scratch.iterdir()) == []
