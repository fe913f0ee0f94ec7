# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Infected mail never arrives: the EICAR test pattern in every wrapping, and every disposition."""

from __future__ import annotations

import base64
import json
import quopri
import stat

import pytest
from harness.clamd import EICAR
from harness.client import CLEAN, lmtp, smtp

ENCODED = base64.encodebytes(EICAR).replace(b"\n", b"\r\n")


def mixed(*parts: bytes, boundary: bytes = b"b") -> bytes:
    return (
        b'Content-Type: multipart/mixed; boundary="'
        + boundary
        + b'"\r\n\r\n'
        + b"".join(b"--" + boundary + b"\r\n" + part + b"\r\n" for part in parts)
        + b"--"
        + boundary
        + b"--\r\n"
    )


TEXT = b"Content-Type: text/plain\r\n\r\nhello"
BASE64 = b"Content-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n\r\n" + ENCODED
QP = b"Content-Transfer-Encoding: quoted-printable\r\n\r\n" + quopri.encodestring(EICAR).replace(b"\n", b"\r\n")
INFECTED = {
    "as the body": b"Subject: x\r\n\r\n" + EICAR + b"\r\n",
    "without a header": b"\r\n" + EICAR + b"\r\n",
    "without anything else": EICAR + b"\r\n",
    "in a header": b"Subject: " + EICAR + b"\r\n\r\nbody\r\n",
    "base64": BASE64,
    "quoted-printable": QP + b"\r\n",
    "every byte quoted": b"Content-Transfer-Encoding: quoted-printable\r\n\r\n"
    + b"=\r\n".join(b"=%02X" % byte for byte in EICAR)
    + b"\r\n",
    "one character of base64 a line": b"Content-Transfer-Encoding: base64\r\n\r\n"
    + b"".join(bytes([byte]) + b"\r\n" for byte in ENCODED if byte not in b"\r\n"),
    "an attachment": mixed(TEXT, BASE64),
    "an attachment in quoted-printable": mixed(TEXT, QP),
    "after a hundred attachments": mixed(*[TEXT] * 100, BASE64),
    "in a nested multipart": mixed(TEXT, mixed(TEXT, mixed(BASE64, boundary=b"d"), boundary=b"c")),
    "in a message in a message": b"Content-Type: message/rfc822\r\n\r\nContent-Type: message/rfc822\r\n\r\n" + BASE64,
    "in a message that is base64 itself": b"Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    + base64.encodebytes(mixed(TEXT, BASE64)).replace(b"\n", b"\r\n"),
    "in a multipart without end": mixed(TEXT, BASE64)[:-7],
    "in a preamble": mixed(TEXT).replace(b"--b", EICAR + b"\r\n--b", 1),
    "in an epilogue": mixed(TEXT) + EICAR + b"\r\n",
    "with a space before the colon": mixed(TEXT, BASE64.replace(b"Encoding:", b"Encoding :")),
    "with two transfer encodings": mixed(TEXT, b"Content-Transfer-Encoding: 7bit\r\n" + BASE64),
    "with two boundaries": mixed(TEXT, BASE64).replace(b'boundary="b"', b'boundary="x"; boundary="b"'),
    "with a boundary in a comment": mixed(TEXT, BASE64).replace(b"; boundary", b'; x="; boundary=fake"; boundary'),
    "behind two megabytes": mixed(b"\r\n" + b"x" * 70 + b"\r\n" * 2, b"\r\n" + (b"y" * 70 + b"\r\n") * 28000, BASE64),
}


@pytest.mark.parametrize("send", [lmtp, smtp])
@pytest.mark.parametrize("name", INFECTED)
def test_is_quarantined_and_not_delivered(relay, send, name):
    answer = send(relay.address, INFECTED[name])
    answer = answer[0] if isinstance(answer, list) else answer
    assert (answer.code, answer.enhanced) == (250, ["2.7.0"])
    assert not relay.downstream.transactions
    path = relay.daemon.quarantined()[0]
    assert path.read_bytes().split(b"\n", 1)[1] == INFECTED[name]


@pytest.mark.parametrize("offset", range(0, 70, 9))
@pytest.mark.parametrize("name", ["as the body", "base64"])
def test_in_two_packets(relay, name, offset):
    content = INFECTED[name]
    cut = content.index(EICAR if name == "as the body" else ENCODED[:20]) + offset
    with relay.client("LHLO") as client:
        client.envelope()
        client.good("DATA")
        client.send(content[:cut])
        assert client.silent(0.01)
        client.send(content[cut:] + b".\r\n")
        assert "quarantined" in client.reply().text


@pytest.mark.parametrize(
    "content",
    [
        CLEAN,
        b"Subject: x\r\n\r\n" + EICAR[:-1] + b"\r\n",
        b"Subject: x\r\n\r\n" + EICAR[:30] + b"\r\n" + EICAR[30:] + b"\r\n",
        b"Subject: x\r\n\r\n" + EICAR.lower() + b"\r\n",
        mixed(b"\r\n" + EICAR[:30], b"\r\n" + EICAR[30:]),
        b"Content-Type: text/plain\r\n\r\n" + ENCODED,  # base64 that is not said to be
    ],
)
def test_what_is_not_infected_arrives(relay, content):
    assert lmtp(relay.address, content)[0].code == 250
    assert relay.one().content == content


class TestQuarantineFile:
    def test_tells_everything(self, relay):
        with relay.client("LHLO") as client:
            client.good("XFORWARD IDENT=4FQB ADDR=192.0.2.1")
            client.good("MAIL FROM:<ü@example.com> SMTPUTF8 ENVID=x")
            client.good("RCPT TO:<b@example.com> NOTIFY=NEVER")
            client.good("RCPT TO:<c@example.com>")
            answer = client.data(INFECTED["an attachment"], 2)[0]
        path = relay.daemon.quarantined()[0]
        assert path.name.removesuffix(".msg") in answer.text
        head, content = path.read_bytes().split(b"\n", 1)
        assert content == INFECTED["an attachment"]
        data = json.loads(head)
        assert data["sender"] == "ü@example.com"
        assert data["parameters"] == {"SMTPUTF8": "", "ENVID": "x"}
        assert [item["address"] for item in data["recipients"]] == ["b@example.com", "c@example.com"]
        assert data["recipients"][0]["parameters"] == {"NOTIFY": "NEVER"}
        assert data["xforward"] == {"IDENT": "4FQB", "ADDR": "192.0.2.1"}
        assert [item["name"] for item in data["findings"]] == ["Eicar-Test-Signature"]
        line = relay.daemon.messages()[-1]
        assert "verdict=virus findings=Eicar-Test-Signature disposition=discard" in line
        assert f"quarantine={path.name.removesuffix('.msg')}" in line

    def test_is_private(self, relay):
        lmtp(relay.address, INFECTED["as the body"])
        assert stat.S_IMODE(relay.daemon.quarantined()[0].stat().st_mode) == 0o640


@pytest.mark.parametrize("send", [lmtp, smtp])
@pytest.mark.parametrize(
    ("setting", "code", "enhanced", "kept"),
    [("discard", 250, "2.7.0", 1), ("reject", 554, "5.7.0", 1), ("tempfail", 451, "4.7.0", 0)],
)
def test_what_becomes_of_a_virus(start_daemon, downstream, send, setting, code, enhanced, kept):
    daemon = start_daemon(on_virus=setting)
    answer = send(daemon.address, INFECTED["base64"])
    answer = answer[0] if isinstance(answer, list) else answer
    assert (answer.code, answer.enhanced) == (code, [enhanced])
    assert len(daemon.quarantined()) == kept
    assert not downstream.transactions


@pytest.mark.parametrize(
    ("setting", "code", "delivered", "kept"),
    [("pass", 250, 1, 0), ("quarantine", 250, 0, 1), ("reject", 554, 0, 1), ("tempfail", 451, 0, 0)],
)
def test_what_becomes_of_mail_that_could_not_be_checked(
    start_daemon, downstream, clamd, setting, code, delivered, kept
):
    daemon = start_daemon(on_unchecked=setting, scanners=[clamd.settings])
    clamd.verdict = lambda content: "Heuristics.Limits.Exceeded.MaxFileSize FOUND"
    assert lmtp(daemon.address)[0].code == code
    assert len(downstream.accepted) == delivered
    assert len(daemon.quarantined()) == kept
    assert "verdict=unchecked" in daemon.messages()[-1]
