# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Mail that others collected, through both programs; and signed mail, whose signature must still be good."""

from __future__ import annotations

import base64
import email
import os
import re
import subprocess
from collections.abc import Iterator
from email.message import Message
from pathlib import Path

import pytest
from harness.disclaimer import HTML, TEXT, Program
from harness.mail import clamav_files, installed, python_mail

MARK = "X-Filter-Disclaimer"
HEAD = b"From: Anna <anna@example.com>\nTo: bob@example.org\nSubject: files\nMIME-Version: 1.0\n"


def corpus() -> Iterator[tuple[str, bytes]]:
    """Names and messages with LF."""
    for name, content in python_mail().items():
        yield name, content.replace(b"\r\n", b"\n")
    for name, data in clamav_files().items():
        attachment = base64.encodebytes(data)
        for kind, body in (("plain", b"Hello\n"), ("html", b"<html><body>Hello</body></html>\n")):
            yield (
                f"{name} beside {kind}",
                HEAD
                + b'Content-Type: multipart/mixed; boundary="=_b"\n\n--=_b\nContent-Type: text/'
                + kind.encode()
                + b"\n\n"
                + body
                + b"--=_b\nContent-Type: application/octet-stream\nContent-Transfer-Encoding: base64\n"
                + b'Content-Disposition: attachment; filename="'
                + name.encode()
                + b'"\n\n'
                + attachment
                + b"--=_b--\n",
            )


def leaves(content: bytes) -> list[Message]:
    return [part for part in email.message_from_bytes(content).walk() if not part.is_multipart()]


def difference(before: bytes, after: bytes) -> list[str]:
    """What differs besides the text, by the standard library's reading."""
    old, new = leaves(before), leaves(after)
    if [part.get_content_type() for part in old] != [part.get_content_type() for part in new]:
        return ["other parts"]
    found = []
    changed = 0
    for number, part in enumerate(old):
        same = new[number]
        if part.get_payload() == same.get_payload():
            if number and part.items() != same.items():
                found.append("the header of an untouched part")
            continue
        changed += 1
        if part.get_content_maintype() != "text" or part.get_content_disposition() == "attachment":
            found.append("a part that is no text of the letter")
            continue
        found += text_difference(part, same)
    if after != before and not changed:
        found.append("no text was added")
    if not after.replace(b"\n\n", b"\n", 1):
        found.append("empty")
    return found


def text_difference(part: Message, same: Message) -> list[str]:
    declared = same.get_content_charset() or "us-ascii"
    raw = same.get_payload(decode=True)
    try:
        text = raw.decode(declared)
    except (UnicodeDecodeError, LookupError):
        return ["the text is not in the charset that it declares"]
    if same["content-transfer-encoding"] in ("quoted-printable", "base64") and not same.get_payload().isascii():
        return ["bytes above 127 in quoted-printable or base64"]
    source = part.get_payload(decode=True).decode(part.get_content_charset() or "us-ascii", "replace")
    old, new = re.sub(r"\s+", "", source), re.sub(r"\s+", "", text)
    begins = os.path.commonprefix([old, new])  # noqa: RUF071
    ends = os.path.commonprefix([old[len(begins) :][::-1], new[len(begins) :][::-1]])  # noqa: RUF071
    if len(begins) + len(ends) != len(old):
        return ["the text that was there is another"]
    added = new[len(begins) : len(new) - len(ends)]
    wanted = {re.sub(r"\s+", "", words) for words in (TEXT, HTML)}
    return (
        []
        if added in wanted or sorted(added) in [sorted(words) for words in wanted]
        else [f"the added text is {added[:60]!r}"]
    )


def test_ours_changes_nothing_but_the_text(program):
    made: Program = program()
    changed = 0
    for name, content in corpus():
        result = made.run(content)
        assert (result.returncode, result.stderr) == (0, b""), name
        (after,) = made.messages()
        if after == content:
            continue
        changed += 1
        assert difference(content, after) == [], name
        added = MARK.encode() + b": added by filter-stack at localhost\n"
        assert after.count(added) == content.count(added) + 1
    assert changed >= 100
    assert made.left() == []


def test_altermime_is_never_worse_than_deferred(program):
    """What gets through has its attachments; its texts differ as docs/disclaimers.md says."""
    made: Program = program("altermime")
    for name, content in corpus():
        result = made.run(content)
        if result.returncode:
            assert result.returncode == 75, name
            assert made.messages() == []
            continue
        (after,) = made.messages()
        old = [part for part in leaves(content) if part.get_content_maintype() != "text"]
        new = [part for part in leaves(after) if part.get_content_maintype() != "text"]
        assert [part.get_payload() for part in old] == [part.get_payload() for part in new], name
    assert made.left() == []


# Signatures


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    """A certificate and its key."""
    installed("openssl", Path("/usr/bin/openssl"))
    paths = tmp_path / "cert.pem", tmp_path / "key.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=Anna"),
            *("-addext", "extendedKeyUsage=emailProtection", "-out", paths[0], "-keyout", paths[1]),
        ],
        capture_output=True,
        check=True,
    )
    return paths


@pytest.mark.parametrize("options", [[], ["-nodetach"]], ids=["multipart/signed", "application/pkcs7-mime"])
@pytest.mark.parametrize("name", ["bundled", "altermime"])
def test_smime_signatures_verify(program, certificate, name, options):
    cert, key = certificate
    sign = ["openssl", "smime", "-sign", "-signer", cert, "-inkey", key, "-text", *options]
    signed = subprocess.run(sign, input=b"Hello\n", capture_output=True, check=True).stdout
    content = b"From: Anna <anna@example.com>\nTo: bob@example.org\n" + signed.replace(b"\r\n", b"\n")
    after = program(name).through(content)
    assert after == content
    verify = ["openssl", "smime", "-verify", "-CAfile", cert, "-text"]
    assert b"Hello" in subprocess.run(verify, input=after, capture_output=True, check=True).stdout


@pytest.mark.parametrize("form", ["inline", "mime"])
@pytest.mark.parametrize("name", ["bundled", "altermime"])
def test_pgp_signatures_verify(program, tmp_path, name, form):
    installed("gpg", Path("/usr/bin/gpg"))
    home = tmp_path / "gpg"
    home.mkdir(mode=0o700)
    gpg = ["gpg", "--homedir", str(home), "--batch", "--quiet", "--pinentry-mode", "loopback", "--passphrase", ""]
    try:
        subprocess.run([*gpg, "--quick-generate-key", "anna@example.com"], capture_output=True, check=True)
        if form == "inline":
            signed = subprocess.run([*gpg, "--clearsign"], input=b"Hello\n", capture_output=True, check=True).stdout
            content = b"From: anna@example.com\nSubject: x\n\n" + signed
            after = program(name).through(content)
            subprocess.run([*gpg, "--verify"], input=after.partition(b"\n\n")[2], capture_output=True, check=True)
        else:
            part = b"Content-Type: text/plain\r\n\r\nHello\r\n"
            made = subprocess.run([*gpg, "-a", "--detach-sign"], input=part, capture_output=True, check=True).stdout
            kind = b'multipart/signed; micalg=pgp-sha256; protocol="application/pgp-signature"; boundary=b'
            content = HEAD + b"Content-Type: " + kind + b"\n\n--b\n" + part.replace(b"\r\n", b"\n") + b"\n--b\n"
            content += b"Content-Type: application/pgp-signature\n\n" + made + b"--b--\n"
            after = program(name).through(content)
            inside = after.split(b"--b\n")[1][:-1].replace(b"\n", b"\r\n")
            (tmp_path / "signature").write_bytes(after.split(b"--b\n")[2].partition(b"\n\n")[2].partition(b"--b--")[0])
            verify = [*gpg, "--verify", str(tmp_path / "signature"), "-"]
            subprocess.run(verify, input=inside, capture_output=True, check=True)
        assert after == content
    finally:
        subprocess.run(["gpgconf", "--homedir", str(home), "--kill", "all"], capture_output=True, check=False)
