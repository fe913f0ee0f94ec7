# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real Postfix on both sides: what arrives in the end is what would have arrived without the filter.

Each test sends all its messages at once and waits for them together; the sender's address tells them apart.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from typing import NamedTuple

import pytest
from harness.behaviour import free_port, wait_until
from harness.clamd import EICAR
from harness.client import CLEAN, Client, stuff
from harness.daemon import Daemon
from harness.downstream import Downstream, Transaction, parameters
from harness.postfix import WAYS, Postfix
from harness.samples import CONTENTS, ENDINGS, SMUGGLED

#: It installs Postfix where it is missing.
pytestmark = pytest.mark.slow
#: Header fields that Postfix adds or writes anew.
_POSTFIX_FIELDS = re.compile(rb"(?im)^(?:Received|Message-Id|Date|From|Return-Path):.*\r\n(?:[ \t].*\r\n)*")


class Chain(NamedTuple):
    """Postfix, the daemon, Postfix again, and the server where all mail ends."""

    postfix: Postfix
    daemon: Daemon
    sink: Downstream

    def send(self, way: str, wire: bytes, sender: str, recipients: tuple[str, ...] = ("b@example.com",)) -> list[int]:
        """One message by SMTP; the codes for RCPT and for the end of data."""
        port = self.daemon.port if way == "filter" else self.postfix.ports[way]
        with Client(("127.0.0.1", port)) as client:
            client.hello()
            client.good(f"MAIL FROM:<{sender}>")
            codes = [client.command(f"RCPT TO:<{recipient}>").code for recipient in recipients]
            client.good("DATA")
            client.send(wire)
            return [*codes, client.reply().code]

    def arrived(self, sender: str) -> list[Transaction]:
        """What has arrived from this sender."""
        return [transaction for transaction in self.sink.accepted if transaction.sender == sender]

    def wait_for(self, *senders: str) -> None:
        """Wait until something from each of them has arrived."""
        for sender in senders:
            wait_until(lambda sender=sender: self.arrived(sender), f"mail from {sender}", 30)


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chain]:
    sink = Downstream()
    filter_port = free_port()
    postfix = Postfix(filter_port, sink.port)
    daemon = Daemon(
        tmp_path_factory.mktemp("daemon"),
        f"127.0.0.1:{postfix.ports['back']}",
        listen=[f"127.0.0.1:{filter_port}"],
        workers=2,
    )
    try:
        postfix.start()
        daemon.start()
        yield Chain(postfix, daemon, sink)
        daemon.finish()
    finally:
        daemon.kill()
        postfix.stop()
        sink.stop()


@pytest.fixture(autouse=True)
def fresh(chain: Chain) -> None:
    chain.sink.clear()


def test_the_filter_offers_what_the_smtpd_behind_it_has(chain):
    with Client(("127.0.0.1", chain.postfix.ports["back"])) as client:
        behind = client.hello()
    with chain.daemon.client() as client:
        offered = client.hello()
    assert set(offered["XFORWARD"].split()) == set(behind.pop("XFORWARD").split())
    del offered["XFORWARD"]
    assert offered == {key: value for key, value in behind.items() if key not in {"VRFY", "ETRN", "CHUNKING"}}


def test_content_arrives_as_it_would_without_the_filter(chain):
    # Given each kind of content, when it is sent every way, then all ways deliver the same bytes.
    sent = {}
    for number, (name, content) in enumerate(CONTENTS.items()):
        for way in ("plain", *WAYS):
            sender = f"c{number}.{way}@example.com"
            sent[name, way] = sender
            assert chain.send(way, stuff(content), sender) == [250, 250], (name, way)
    chain.wait_for(*sent.values())
    for (name, way), sender in sent.items():
        (transaction,) = chain.arrived(sender)
        (plain,) = chain.arrived(sent[name, "plain"])
        assert _POSTFIX_FIELDS.sub(b"", transaction.content) == _POSTFIX_FIELDS.sub(b"", plain.content), (name, way)


def test_nothing_can_be_smuggled(chain):
    # Given every ending, sent to each public smtpd and to the filter itself, then each makes one message and no more.
    ways = ["filter"]
    if "forbid_bare_newline" in (chain.postfix.home / "main.cf").read_text():
        ways += WAYS
    sent = {}
    for number, ending in enumerate(ENDINGS):
        for way in ways:
            sender = f"s{number}.{way}@example.com"
            sent[sender] = ending
            chain.send(way, b"Subject: x\r\n\r\nbody" + ending + SMUGGLED + b"\r\n.\r\n", sender)
    chain.wait_for(*sent)
    time.sleep(0.5)
    smuggled = {sender: sent[sender] for sender in sent if len(chain.arrived(sender)) != 1}
    assert smuggled == {}
    assert len(chain.sink.accepted) == len(sent)
    assert all(transaction.recipients == ["b@example.com"] for transaction in chain.sink.accepted)


@pytest.mark.parametrize("way", WAYS)
def test_a_virus_does_not_arrive(chain, way):
    before = len(chain.daemon.quarantined())
    assert chain.send(way, stuff(b"Subject: x\r\n\r\n" + EICAR + b"\r\n"), "v@example.com") == [250, 250]
    chain.send(way, stuff(CLEAN), "after@example.com")
    chain.wait_for("after@example.com")
    wait_until(lambda: len(chain.daemon.quarantined()) == before + 1, "the virus in quarantine")
    assert not chain.arrived("v@example.com")


@pytest.mark.parametrize("way", WAYS)
def test_parameters_arrive(chain, way):
    with Client(("127.0.0.1", chain.postfix.ports[way])) as client:
        client.hello()
        client.good("MAIL FROM:<jürgen@example.com> SMTPUTF8 BODY=8BITMIME RET=HDRS ENVID=QQ+2B1")
        client.good("RCPT TO:<bärbel@exämple.com> NOTIFY=SUCCESS,FAILURE ORCPT=utf-8;x@y")
        client.good("RCPT TO:<c@example.com> NOTIFY=NEVER ORCPT=rfc822;C@example.com")
        assert client.data("Subject: Grüße\r\n\r\nä\r\n".encode())[0].code == 250
    chain.wait_for("jürgen@example.com")
    (transaction,) = chain.arrived("jürgen@example.com")
    assert {**parameters(transaction.mail), "SIZE": ""} == {
        "SIZE": "",
        "BODY": "8BITMIME",
        "SMTPUTF8": "",
        "RET": "HDRS",
        "ENVID": "QQ+2B1",
    }
    assert {line.partition("> ")[0][9:]: parameters(line) for line in transaction.rcpts} == {
        "bärbel@exämple.com": {"NOTIFY": "SUCCESS,FAILURE", "ORCPT": "utf-8;x@y"},
        "c@example.com": {"NOTIFY": "NEVER", "ORCPT": "rfc822;C@example.com"},
    }


@pytest.mark.parametrize("way", WAYS)
def test_one_bounce_for_a_recipient_that_does_not_exist(chain, way):
    sender = f"bounce.{way}@example.com"
    chain.send(way, stuff(CLEAN), sender, ("gone@example.com", "c@example.com"))
    chain.wait_for(sender, "")
    time.sleep(0.3)
    assert [item.recipients for item in chain.arrived(sender)] == [["c@example.com"]]
    (bounce,) = chain.arrived("")
    assert bounce.recipients == [sender]
    assert b"Final-Recipient: rfc822; gone@example.com\r\n" in bounce.content
    assert b"Status: 5.1.1\r\n" in bounce.content


@pytest.mark.parametrize(("way", "delivered"), [("lmtp", 1), ("smtp", 0), ("proxy", 0), ("proxy-speed", 0)])
def test_a_recipient_that_is_deferred(chain, way, delivered):
    # LMTP can say so for one recipient; by SMTP the whole message waits, and nothing is delivered twice.
    sender = f"later.{way}@example.com"
    codes = chain.send(way, stuff(CLEAN), sender, ("later@example.com", "c@example.com"))
    assert codes[-1] == (450 if way.startswith("proxy") else 250)
    chain.send("lmtp", stuff(CLEAN), f"end.{way}@example.com")
    chain.wait_for(f"end.{way}@example.com", *[sender] * delivered)
    assert [item.recipients for item in chain.arrived(sender)] == [["c@example.com"]] * delivered


def test_the_smtpd_behind_the_filter_logs_the_client(chain):
    with chain.daemon.client() as client:
        client.hello("LHLO")
        client.good(
            "XFORWARD NAME=spike.example.org ADDR=192.0.2.7 PORT=4711 PROTO=ESMTP HELO=x IDENT=4FQB SOURCE=REMOTE"
        )
        client.envelope("known@example.com")
        assert client.data(CLEAN)[0].code == 250
    wait_until(
        lambda: "orig_queue_id=4FQB, orig_client=spike.example.org[192.0.2.7]" in chain.postfix.log,
        "the client in Postfix' log",
    )


@pytest.mark.parametrize("way", ["lmtp", "smtp"])
def test_a_message_can_be_followed_by_its_queue_ids(chain, way):
    # front queue id -> filter -> back queue id, as the administrator greps for it.
    sender = f"trace.{way}@example.com"
    chain.send(way, stuff(CLEAN), sender)
    chain.wait_for(sender)
    line = chain.daemon.wait_for_log(f"from=<{sender}>")
    front, back = re.search(r"front=(\w+) .*queued as (\w+)", line).groups()
    sent = rf"{front}: to=<b@example.com>, relay=127.0.0.1.*status=sent \(250 2.0.0 Ok: .*queued as {back}\)"
    wait_until(lambda: re.search(sent, chain.postfix.log), "both queue ids in one line of Postfix' log")
    assert re.search(rf"{back}: client=.*, orig_queue_id={front}, ", chain.postfix.log)


@pytest.mark.parametrize("way", WAYS)
def test_a_released_message_arrives_once_and_unchanged(chain, way):
    # Given a virus in quarantine, and a daemon that is killed and started again
    sender = f"release.{way}@example.com"
    before = set(chain.daemon.quarantined())
    content = b"Subject: x\r\n\r\n..\r\n" + bytes(range(128, 256)) + EICAR + b"\r\n"
    chain.send(way, stuff(content), sender, ("b@example.com", "c@example.com"))
    [path] = wait_until(lambda: set(chain.daemon.quarantined()) - before, "the virus in quarantine")
    kept = path.read_bytes().partition(b"\n")[2]
    chain.daemon.kill()
    chain.daemon.start()
    # when it is released, then Postfix takes it past the filter, and it arrives once at each
    result = chain.daemon.run("quarantine", "release", path.name.removesuffix(".msg"))
    assert result.returncode == 0, result
    chain.wait_for(sender)
    time.sleep(0.3)
    assert sorted(address for item in chain.arrived(sender) for address in item.recipients) == [
        "b@example.com",
        "c@example.com",
    ]
    # and it is what the filter had got, byte for byte, behind the fields that Postfix adds
    for item in chain.arrived(sender):
        assert _POSTFIX_FIELDS.sub(b"", item.content) == _POSTFIX_FIELDS.sub(b"", kept)
        assert item.content.endswith(kept.partition(b"\r\n\r\n")[2])
    assert not path.exists()
