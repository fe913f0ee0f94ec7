# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Disclaimers in the daemon: outgoing mail gets its text, all other mail leaves as it came."""

from __future__ import annotations

import email
import random

import pytest
from harness import disclaimer, disclaimer_corpus
from harness.clamd import EICAR
from harness.client import Client
from harness.downstream import parameters

LETTER = b"From: Anna <anna@example.com>\r\nSubject: x\r\n\r\nHello\r\n"
TEXT = "Vertraulich, nur für Sie."
ROWS = [
    {"recipients": ["example.com"]},
    {"recipients": ["example.org"], "text": "Confidential."},
    {"text": TEXT, "html": f"<p>{TEXT}</p>"},
]
INSIDE = {"disclaimers": ROWS, "disclaimer_clients": ["192.0.2.0/24", "2001:db8::/32"]}


def send(daemon, content: bytes, *recipients: str, client: str = "192.0.2.7", sender: str = "anna@example.com"):
    """One message from a host by LMTP."""
    with Client(daemon.address) as connection:
        connection.hello("LHLO")
        connection.good(f"XFORWARD ADDR={client}")
        connection.envelope(sender, recipients or ("bob@example.net",))
        return connection.data(content, len(recipients) or 1)


def body(content: bytes) -> str:
    message = email.message_from_bytes(content)
    return message.get_payload(decode=True).decode(message.get_content_charset() or "us-ascii")


def test_outgoing_mail_gets_the_text(start_daemon, downstream):
    daemon = start_daemon(**INSIDE, disclaimer_header="X-Terms: https://www.example.com/terms")
    send(daemon, LETTER)
    (transaction,) = downstream.accepted
    assert body(transaction.content) == f"Hello\r\n\r\n{TEXT}\r\n"
    message = email.message_from_bytes(transaction.content)
    assert message["x-terms"] == "https://www.example.com/terms"
    assert message["x-filter-disclaimer"].startswith("added by filter-stack at ")
    assert parameters(transaction.mail)["SIZE"] == str(len(transaction.content))


@pytest.mark.parametrize("client", ["198.51.100.1", "[UNAVAILABLE]", "IPV6:2001:db9::1"])
def test_other_mail_leaves_as_it_came(start_daemon, downstream, client):
    send(start_daemon(**INSIDE), LETTER, client=client)
    assert downstream.accepted[0].content == LETTER


def test_ipv6_clients_and_ports_are_told_apart(start_daemon, downstream):
    daemon = start_daemon(disclaimers=ROWS, disclaimer_clients=["2001:db8::/32"])
    send(daemon, LETTER, client="IPV6:2001:db8::7")
    assert b"Vertraulich" in downstream.accepted[-1].content
    other = start_daemon(disclaimers=ROWS, disclaimer_listen=["127.0.0.1:1"])
    send(other, LETTER)
    assert downstream.accepted[-1].content == LETTER


def test_each_recipient_gets_the_text_meant_for_him(start_daemon, downstream):
    daemon = start_daemon(**INSIDE)
    replies = send(daemon, LETTER, "a@example.com", "b@example.org", "c@example.net", "d@example.org")
    assert [reply.code for reply in replies] == [250] * 4
    bodies = {line: body(one.content) for one in downstream.accepted for line in one.rcpts}
    bodies = {line.partition("<")[2].partition(">")[0]: text for line, text in bodies.items()}
    assert bodies == {
        "a@example.com": "Hello\r\n",
        "b@example.org": "Hello\r\n\r\nConfidential.\r\n",
        "c@example.net": f"Hello\r\n\r\n{TEXT}\r\n",
        "d@example.org": "Hello\r\n\r\nConfidential.\r\n",
    }
    assert len(downstream.accepted) == 3


def test_marks_of_the_filter_and_the_disclaimer_stand_side_by_side(start_daemon, downstream, clamd):
    daemon = start_daemon(**INSIDE, add_headers=True, scanners=[{"type": "clamd", "socket": str(clamd.path)}])
    forged = b"X-Filter-Alert: nothing\r\n"
    send(daemon, forged + LETTER)
    message = email.message_from_bytes(downstream.accepted[0].content)
    assert message["x-filter-alert"] is None
    assert message["x-virus-scanned"]
    assert message["x-filter-disclaimer"]
    assert body(downstream.accepted[0].content) == f"Hello\r\n\r\n{TEXT}\r\n"


def test_a_virus_gets_no_disclaimer_and_null_senders_none_either(start_daemon, downstream):
    daemon = start_daemon(**INSIDE)
    assert send(daemon, LETTER + EICAR)[0].code == 250
    assert not downstream.accepted
    send(daemon, LETTER, sender="")
    assert downstream.accepted[0].content == LETTER


@pytest.mark.parametrize("content", [b"", b"\r\n", b"\r\nHello\r\n", b"Subject: x\r\n", b"Hello\r\nWorld\r\n"])
def test_odd_mail_is_delivered(start_daemon, downstream, content):
    assert send(start_daemon(**INSIDE), content)[0].code == 250
    delivered = downstream.accepted[0].content
    assert content.strip() in delivered
    assert (b"Vertraulich" in delivered) == (b"World" not in content)


def test_large_attachments_stream_through(start_daemon, downstream):
    daemon = start_daemon(**INSIDE, message_size_limit=52428800, workers=1)
    attachment = random.Random(1).randbytes(3000000).hex().encode()
    lines = b"\r\n".join(attachment[at : at + 76] for at in range(0, len(attachment), 76))
    head = b"From: a@example.com\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nHello\r\n--b\r\n"
    content = head + b"Content-Type: application/pdf\r\n\r\n" + lines * 4 + b"\r\n--b--\r\n"
    send(daemon, content)
    delivered = downstream.accepted[0].content
    assert lines * 4 in delivered
    assert delivered.index(b"Vertraulich") < delivered.index(b"application/pdf")


def test_wrong_keys_are_named(start_daemon, tmp_path):
    for rows, words in (
        ([{"text": "${nonsense}"}], "text:1: has the unknown variable"),
        ([{"html": "<p>x"}], "html:1: has <p>, which is never closed"),
        ([{"text_file": "/etc/passwd"}], "unknown key 'text_file'"),
        ("x", "it takes a list"),
    ):
        with pytest.raises(Exception, match="disclaimers") as refused:
            start_daemon(disclaimers=rows)
        assert words in str(refused.value)


def test_mail_that_others_collected_differs_by_the_text_alone(start_daemon, downstream):
    """The corpora of the pipe program's test, by the daemon: the same mail is changed, and in the same way."""
    passed = {f"on_{name}": "pass" for name in ("banned", "encrypted", "ambiguous", "bad_header", "unchecked")}
    rows = [{"text": disclaimer.TEXT, "html": disclaimer.HTML}]
    daemon = start_daemon(disclaimers=rows, disclaimer_clients=["192.0.2.0/24"], add_headers=False, **passed)
    changed = 0
    for name, collected in disclaimer_corpus.corpus():
        content = collected.replace(b"\n", b"\r\n")
        assert [reply.code for reply in send(daemon, content)] == [250], name
        after = downstream.accepted.pop().content
        if after != content:
            changed += 1
            assert disclaimer_corpus.difference(content, after) == [], name
    assert changed == 23 + 44 + 44
