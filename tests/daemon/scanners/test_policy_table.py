# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every category x disposition x protocol: what left the filter, what the client was told, what is in quarantine, who
was told. One daemon for all: the policy has a row for each disposition, chosen by the recipient."""

from __future__ import annotations

import email
import email.policy
import json
from typing import NamedTuple

import pytest
from harness.archives import zipped
from harness.behaviour import reply
from harness.clamd import EICAR
from harness.client import CLEAN, Client, lmtp, smtp
from harness.daemon import Daemon
from harness.downstream import Downstream
from harness.mail import attachment
from harness.scanners import GTUBE

from filterd.findings import CATEGORIES
from filterd.keys.policy import DISPOSITIONS

SENDER = "alice@example.com"
ADMIN = "postmaster@example.com"


def _encrypted() -> bytes:
    archive = bytearray(zipped({"a.txt": b"secret"}))
    for signature, place in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        archive[archive.index(signature) + place] |= 1
    return attachment(bytes(archive), "a.zip")


SAMPLES = {
    "virus": CLEAN + EICAR + b"\r\n",
    "banned": attachment(b"MZ is not even needed", "invoice.exe"),
    "unchecked": b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + 30 * b"--b\r\n\r\nx\r\n" + b"--b--\r\n",
    "encrypted": _encrypted(),
    "ambiguous": b"Content-Type: multipart/mixed; boundary=a; boundary=b\r\n\r\n--a\r\n\r\nx\r\n--a--\r\n",
    "spam": CLEAN + GTUBE + b"\r\n",
    "bad_header": b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nno end\r\n",
    "clean": CLEAN,
}
CODES = {
    "pass": (250, "2.0.0"),
    "tag": (250, "2.0.0"),
    "quarantine": (250, "2.7.0"),
    "discard": (250, "2.7.0"),
    "bounce": (250, "2.7.0"),
    "reject": (554, "5.7.0"),
    "tempfail": (451, "4.7.0"),
}
KEPT = ("quarantine", "discard", "bounce", "reject")


class House(NamedTuple):
    """The filter and what is behind it."""

    daemon: Daemon
    downstream: Downstream

    def clear(self) -> None:
        self.downstream.clear()
        for path in self.daemon.quarantine.glob("*.msg"):
            path.unlink()

    def kept(self) -> list[dict]:
        heads = []
        for path in self.daemon.quarantine.glob("*.msg"):
            head, _, content = path.read_bytes().partition(b"\n")
            heads.append({**json.loads(head), "content": content})
        return heads


@pytest.fixture(scope="module")
def house(tmp_path_factory, spamd):
    downstream = Downstream()
    categories = [category for category in CATEGORIES if category != "clean"]
    daemon = Daemon(
        tmp_path_factory.mktemp("table"),
        downstream.address,
        add_headers=True,
        scanners=[spamd.by_tcp],
        max_parts=20,
        policy=[{"recipients": [f"{word}@"], **dict.fromkeys(CATEGORIES, word)} for word in DISPOSITIONS],
        notify_admin=ADMIN,
        notify_admin_categories=categories,
        notify_recipients=categories,
        notify_limit=10000,
        local_domains=["example.com"],
    ).start()
    yield House(daemon, downstream)
    daemon.finish()
    downstream.stop()


def before_queue(address, content, sender, recipients):
    """As smtpd(8) speaks to a before-queue filter: every command by itself, XFORWARD first."""
    with Client(address) as client:
        client.hello("EHLO", "mail.example.com")
        client.good("XFORWARD NAME=mail.example.org ADDR=192.0.2.7 PROTO=ESMTP HELO=a SOURCE=REMOTE")
        client.good(f"MAIL FROM:<{sender}> SIZE={len(content)} BODY=8BITMIME")
        for recipient in recipients:
            client.good(f"RCPT TO:<{recipient}>")
        return client.data(content)[0]


PROTOCOLS = {"lmtp": lambda *words: lmtp(*words)[0], "smtp": smtp, "before queue": before_queue}


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("word", DISPOSITIONS)
@pytest.mark.parametrize("category", CATEGORIES)
def test_the_table(house, category, word, protocol):
    # Given a recipient for whom all categories have this disposition
    house.clear()
    content, recipient = SAMPLES[category], f"{word}@example.org"
    # when a message of this category comes for it
    answer = PROTOCOLS[protocol](house.daemon.address, content, SENDER, [recipient])

    # then the client is told this,
    assert (answer.code, answer.enhanced[0]) == CODES[word]

    # this leaves,
    mail = [item for item in house.downstream.transactions if item.sender]
    assert len(mail) == (word in ("pass", "tag"))
    for transaction in mail:
        assert transaction.recipients == [recipient]
        assert transaction.content.endswith(content)
        added = transaction.content.removesuffix(content)
        assert (b"X-Filter-Alert: " in added) == (word == "tag" and category not in ("clean", "spam"))
        assert (b"X-Spam-Flag: YES" in added) == (word == "tag" and category == "spam")
        assert (b"X-Spam-Score:" in added) == (category != "virus")  # a virus is not scored as well

    # this is in quarantine,
    kept = house.kept()
    assert len(kept) == (word in KEPT)
    for head in kept:
        assert head["content"] == content
        assert head["sender"] == SENDER
        assert [item["address"] for item in head["recipients"]] == [recipient]
        assert {item["category"] for item in head["findings"]} == ({category} - {"clean"})

    # and these are told.
    told = {item.recipients[0] for item in house.downstream.transactions if not item.sender}
    bad_news = category != "clean" and word != "tempfail"
    wanted = {ADMIN} if bad_news else set()
    wanted |= {recipient} if bad_news and word in ("quarantine", "bounce") else set()
    wanted |= {SENDER} if word == "bounce" else set()
    assert told == wanted
    for transaction in house.downstream.transactions:
        if transaction.recipients == [SENDER]:
            report = email.message_from_bytes(transaction.content, policy=email.policy.default)
            assert report.get_content_type() == "multipart/report"
            assert "Action: failed" in transaction.content.decode()


@pytest.mark.parametrize("verb", ["lmtp", "smtp"])
def test_different_decisions_different_copies(house, verb):
    # Given spam for recipients that want it plain, tagged, and not at all
    house.clear()
    words = ["pass", "quarantine", "tag", "pass"]
    recipients = [f"{word}@{'abcd'[number]}.example" for number, word in enumerate(words)]
    if verb == "lmtp":
        codes = [reply.code for reply in lmtp(house.daemon.address, SAMPLES["spam"], SENDER, recipients)]
        assert codes == [250] * 4
    else:
        assert smtp(house.daemon.address, SAMPLES["spam"], SENDER, recipients).code == 250
    # then there are two copies, each for its recipients, and one in quarantine
    copies = {tuple(item.recipients): item.content for item in house.downstream.transactions if item.sender}
    assert set(copies) == {("pass@a.example", "pass@d.example"), ("tag@c.example",)}
    assert b"X-Spam-Flag" not in copies["pass@a.example", "pass@d.example"]
    assert b"X-Spam-Flag: YES" in copies["tag@c.example",]
    (kept,) = house.kept()
    assert [item["address"] for item in kept["recipients"]] == ["quarantine@b.example"]
    assert b"X-Quarantine-ID: <" + kept["id"].encode() + b">" in copies["tag@c.example",]


def test_one_reply_for_a_refused_and_a_delivered_recipient(house):
    # Given an SMTP client, which hears one reply for all
    house.clear()
    assert smtp(house.daemon.address, SAMPLES["banned"], SENDER, ["pass@example.org", "reject@example.org"]).code == 250
    # then the delivered one has it, and the sender is told of the refused one
    assert [item.recipients for item in house.downstream.transactions if item.sender] == [["pass@example.org"]]
    (report,) = [item for item in house.downstream.transactions if item.recipients == [SENDER]]
    assert b"Final-Recipient: rfc822; reject@example.org" in report.content
    assert b"pass@example.org" not in report.content.partition(b"message/delivery-status")[2]


def test_one_deferred_recipient_defers_all_and_leaves_nothing(house):
    house.clear()
    recipients = ["pass@example.org", "quarantine@example.org", "tempfail@example.org"]
    assert smtp(house.daemon.address, SAMPLES["banned"], SENDER, recipients).code == 451
    assert house.downstream.transactions == []
    assert house.kept() == []


def test_a_copy_that_cannot_be_delivered_after_another_one_was_is_kept(house):
    # Given a downstream that takes the first copy and has trouble with the second
    house.clear()
    house.downstream.on("rcpt", reply(451, "4.3.0 later"), match="tag@")
    # then the client is not asked to send again what others have got, and nothing is lost
    assert smtp(house.daemon.address, SAMPLES["spam"], SENDER, ["pass@example.org", "tag@example.org"]).code == 250
    assert [item.recipients for item in house.downstream.transactions if item.sender and item.accepted] == [
        ["pass@example.org"]
    ]
    (kept,) = house.kept()
    assert [item["address"] for item in kept["recipients"]] == ["tag@example.org"]


def test_incoming_forgeries_of_our_fields_are_removed(house):
    house.clear()
    forged = b"X-Spam-Flag: NO\r\nX-Filter-Alert: all is well\r\nX-Virus-Scanned: amavisd at example.net\r\n"
    assert lmtp(house.daemon.address, forged + CLEAN, SENDER, ["bob@example.com"])[0].code == 250
    (transaction,) = house.downstream.transactions
    assert b"X-Spam-Flag" not in transaction.content
    assert b"X-Filter-Alert" not in transaction.content
    assert transaction.content.endswith(b"X-Virus-Scanned: amavisd at example.net\r\n" + CLEAN)
