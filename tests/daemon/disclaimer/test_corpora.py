# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Mail that others collected, through both programs; and signed mail, whose signature must still be good."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from harness.disclaimer import Program
from harness.disclaimer_corpus import corpus, difference, leaves
from harness.mail import installed

MARK = "X-Filter-Disclaimer"
HEAD = b"From: Anna <anna@example.com>\nTo: bob@example.org\nSubject: files\nMIME-Version: 1.0\n"


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
