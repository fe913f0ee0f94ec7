# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Mail that others have made, with a real clamd, header fields switched on and the default policy: what is infected
ends in quarantine, all else leaves with its body and its signatures as they came."""

from __future__ import annotations

import base64

import dkim
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from harness.client import lmtp
from harness.mail import attachment, clamav_files, python_mail


@pytest.fixture
def filtering(start_daemon, real_clamd):
    return start_daemon(scanners=[real_clamd.settings], add_headers=True)


def body(content: bytes) -> bytes:
    return content.partition(b"\r\n\r\n")[2]


@pytest.mark.parametrize("declared", ["application/octet-stream", "text/plain"])
def test_every_wrapping_of_the_test_program_ends_in_quarantine(filtering, downstream, declared):
    files = clamav_files()
    assert len(files) >= 44
    delivered = []
    for name, data in files.items():
        reply = lmtp(filtering.address, attachment(data, "sample.dat", declared))[0]
        assert reply.code == 250, name
        if downstream.transactions:
            delivered.append(name)
            downstream.clear()
    assert delivered == []
    assert len(list(filtering.quarantine.glob("*.msg"))) == len(files)


def test_the_mail_of_other_peoples_tests_leaves_with_its_body_unchanged(filtering, downstream):
    mails = python_mail()
    assert len(mails) >= 45
    for name, content in mails.items():
        downstream.clear()
        assert lmtp(filtering.address, content)[0].code == 250, name
        (transaction,) = downstream.accepted
        assert transaction.content.startswith(b"X-Virus-Scanned: ") or content.startswith(b"From "), name
        assert body(transaction.content).endswith(body(content)), name
        assert transaction.content.endswith(content.partition(b"\r\n")[2]), name


@pytest.mark.parametrize("canonicalization", [(b"simple", b"simple"), (b"relaxed", b"relaxed")])
def test_signatures_still_verify(filtering, downstream, canonicalization):
    # Given signed messages, also with header fields that the filter looks at
    secret = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    private = secret.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
    public = secret.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    record = b"v=DKIM1; k=rsa; p=" + base64.b64encode(public)
    for content in (
        b"From: a@example.com\r\nSubject: long\r\n words\r\n\r\n..dots\r\n trailing \t\r\n\r\n\r\n",
        attachment(b"\0\1\2" * 5000, "data.bin"),
        b"From: a@example.com\r\nX-Spam-Status: No\r\nSubject: " + b"x" * 900 + b"\r\n\r\n8bit \xc3\xbc\r\n",
    ):
        downstream.clear()
        signature = dkim.sign(content, b"test", b"example.com", private, canonicalize=canonicalization)
        # when they have passed, with fields added
        assert lmtp(filtering.address, signature + content)[0].code == 250
        (transaction,) = downstream.accepted
        assert transaction.content.startswith(b"X-Virus-Scanned: ")
        # then their signatures are valid
        assert dkim.verify(transaction.content, dnsfunc=lambda *_, **__: record)
        assert not dkim.verify(
            transaction.content.replace(b"\r\n\r\n", b"\r\n\r\n!", 1), dnsfunc=lambda *_, **__: record
        )
