# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""trace and audit on a host with a real Postfix on both sides: the story of each kind of end."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator
from typing import NamedTuple

import pytest
from harness.behaviour import close, free_port, wait_until
from harness.clamd import EICAR, Clamd
from harness.client import Client, stuff
from harness.daemon import Daemon
from harness.downstream import Downstream
from harness.postfix import Postfix

from filterd.operate import postfix_log, trace
from filterd.operate.record import Privacy

#: It installs Postfix where it is missing.
pytestmark = pytest.mark.slow


class Host(NamedTuple):
    """Postfix, the daemon with a scanner, Postfix again, and the server where all mail ends."""

    postfix: Postfix
    daemon: Daemon
    sink: Downstream
    clamd: Clamd

    def send(self, way: str, name: str, text: bytes = b"Hello\r\n", recipient: str = "bob@example.com") -> str:
        """One message; the reply to its end."""
        with Client(("127.0.0.1", self.postfix.ports[way])) as client:
            client.hello()
            client.envelope(f"{name}@example.org", [recipient])
            client.good("DATA")
            client.send(stuff(b"Message-ID: <%s@example.org>\r\nSubject: x\r\n\r\n" % name.encode() + text))
            return client.reply().lines[0]

    def run(self, *arguments: str) -> tuple[int, str]:
        """A command that reads this Postfix' log."""
        done = self.daemon.run(*arguments, "--log", str(self.postfix.home / "log" / "mail.log"))
        return done.returncode, done.stdout.decode()

    def trace(self, word: str) -> str:
        """The story without its times."""
        return re.sub(r"(?m)^\S+ \S+  ", "", self.run("trace", word)[1])

    def logged(self, pattern: str) -> None:
        """Wait for a line of Postfix' log."""
        wait_until(lambda: re.search(pattern, self.postfix.log), f"{pattern} in Postfix' log", 30)


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    sink = Downstream()
    filter_port = free_port()
    postfix = Postfix(filter_port, sink.port)
    directory = tmp_path_factory.mktemp("host")
    clamd = Clamd(directory / "clamd.ctl")
    daemon = Daemon(
        directory / "daemon",
        f"127.0.0.1:{postfix.ports['back']}",
        listen=[f"127.0.0.1:{filter_port}"],
        workers=2,
        scanners=[{**clamd.settings, "timeout": 5}],
        on_banned="reject",
    )
    try:
        postfix.start()
        daemon.start()
        yield Host(postfix, daemon, sink, clamd)
        daemon.finish()
    finally:
        daemon.kill()
        postfix.stop()
        clamd.stop()
        sink.stop()


@pytest.fixture(autouse=True)
def _behave(host: Host) -> Iterator[None]:
    yield
    host.clamd.clear()


@pytest.mark.parametrize("way", ["lmtp", "smtp"])
def test_a_delivered_message(host, way):
    host.send(way, f"delivered-{way}")
    host.logged(rf"from=<delivered-{way}@example.org>")
    wait_until(
        lambda: [one for one in host.sink.accepted if one.sender.startswith(f"delivered-{way}")], "its arrival", 30
    )
    wait_until(lambda: "so <bob@example.com>: delivered" in host.trace(f"<delivered-{way}@example.org>"), "its end", 30)
    story = host.trace(f"<delivered-{way}@example.org>")
    # The first and the second pass through Postfix, and the filter between them, in this order
    order = [
        "Postfix took it as",
        "handed it to the filter",
        "found nothing: clean",
        "handed on to Postfix as",
        "sent (",
    ]
    places = [story.index(words) for words in order]
    assert places == sorted(places)
    # and each of its names finds the same story
    front = re.search(r"Postfix took it as (\w+)", story).group(1)
    back = re.search(r"handed on to Postfix as (\w+)", story).group(1)
    assert host.trace(front) == host.trace(back) == story
    assert story in host.trace(f"delivered-{way}@example.org") + "\n"


def test_a_quarantined_and_released_message(host):
    host.send("lmtp", "released", EICAR + b"\r\n")
    wait_until(lambda: "in quarantine" in host.trace("<released@example.org>"), "the quarantine", 30)
    story = host.trace("<released@example.org>")
    assert "Eicar" in story
    quarantine_id = re.search(r"put into quarantine as (\S+)", story).group(1)
    assert host.daemon.run("quarantine", "release", quarantine_id).returncode == 0
    wait_until(lambda: "so <bob@example.com>: delivered" in host.trace(quarantine_id), "its delivery", 30)
    story = host.trace(quarantine_id)
    assert story.index("put into quarantine") < story.index("released from quarantine") < story.index("sent (")


def test_a_deferred_and_later_delivered_message(host):
    host.clamd.on("verdict", close())
    host.send("lmtp", "deferred")
    wait_until(lambda: "asked to come again" in host.trace("<deferred@example.org>"), "the deferral", 30)
    assert "so <bob@example.com>: deferred" in host.trace("<deferred@example.org>")
    host.clamd.clear()
    # postqueue(1) would first ask for pickup(8), which this Postfix does not have: its time is made to have come.
    for path in (host.postfix.home / "queue" / "deferred").rglob("*"):
        if path.is_file():
            os.utime(path)
    subprocess.run(["postfix", "-c", str(host.postfix.home), "reload"], check=True)
    wait_until(lambda: "so <bob@example.com>: delivered" in host.trace("<deferred@example.org>"), "its delivery", 30)
    story = host.trace("<deferred@example.org>")
    assert story.index("asked to come again") < story.index("handed on to Postfix as")


def test_a_rejected_message(host):
    banned = b"--b\r\nContent-Disposition: attachment; filename=a.exe\r\n\r\nMZ\r\n--b--\r\n"
    host.send("lmtp", "rejected", banned)  # as text it is none
    text = b"Hello\r\n"
    with Client(("127.0.0.1", host.postfix.ports["lmtp"])) as client:
        client.hello()
        client.envelope("rejected2@example.org", ["bob@example.com"])
        client.good("DATA")
        head = b"Message-ID: <rejected2@example.org>\r\nContent-Disposition: attachment; filename=a.exe\r\n\r\n"
        client.send(stuff(head + text))
        client.reply()
    notice = "sender non-delivery notification"
    wait_until(lambda: notice in host.trace("<rejected2@example.org>"), "the bounce", 30)
    story = host.trace("<rejected2@example.org>")
    assert story.index("handed it to the filter") < story.index("rejected: 554 5.7.0") < story.index(notice)
    assert "so <bob@example.com>: rejected" in story or "so <bob@example.com>: bounced" in story


def test_before_the_queue(host):
    reply = host.send("proxy", "proxied")
    wait_until(lambda: "so <bob@example.com>: delivered" in host.trace("<proxied@example.org>"), "its delivery", 30)
    identity = re.search(r"filter id=(\w+)", reply).group(1)
    assert "handed on to Postfix as" in host.trace(identity)


def test_nobody_knows_what_never_was(host):
    status, _ = host.run("trace", "<never@example.org>")
    assert status == 1


def test_audit_agrees_with_postfix_and_misses_any_line(host, tmp_path):
    # Given mail of all kinds that has come to rest
    for number in range(30):
        host.send(("lmtp", "smtp", "proxy")[number % 3], f"n{number}", EICAR + b"\r\n" if number % 5 == 0 else b"x\r\n")
    wait_until(lambda: sum(one.sender.startswith("n") for one in host.sink.accepted) == 24, "all clean mail", 30)
    wait_until(lambda: host.run("audit")[0] == 0, "audit to be content", 30)
    # then each acknowledged message that is not in a copy of the ledger is found by Postfix' log alone
    lines = host.daemon.ledger.read_text().splitlines(keepends=True)
    numbers = [number for number, line in enumerate(lines) if '"sender":"n' in line]
    for number in numbers[::4]:
        copy = tmp_path / "copy.jsonl"
        copy.write_text("".join(lines[:number] + lines[number + 1 :]))
        status, text = host.run("audit", "--json", "--ledger", str(copy))
        assert status == 1
        identity = json.loads(lines[number])["id"]
        assert [problem for problem in json.loads(text)["problems"] if identity in problem]


def test_an_attempt_and_the_next_one_within_a_second():
    identities = ("0123456789", "abcdef0123")
    ends = (
        {"end": "deferred", "reply": "451 4.3.0 no"},
        {"end": "delivered", "reply": "250 2.0.0 Ok", "queue_id": "4BAC"},
    )
    lines = [
        {
            "event": "message",
            "id": identity,
            "front": "4F00000001",
            "seconds": [0, 0, 0, 0.1],
            "sender": "a",
            "size": 1,
            "client": "-",
            "message_id": "<x@y>",
            "verdict": "clean",
            "disposition": "pass",
            "time": 1.8e9 + moment,
            "recipients": [{"address": "bob@example.com", **end}],
        }
        for identity, end, moment in zip(identities, ends, (0.3, 0.9), strict=True)
    ]
    # Given Postfix' log with whole seconds
    text = (
        "2027-01-15T08:00:00+00:00 mx postfix/lmtp[1]: 4F00000001: to=<bob@example.com>, relay=h[192.0.2.1]:1, "
        "delay=1, "
        "delays=0/0/0/1, dsn=4.3.0, status=deferred (host h[192.0.2.1] said: 451 4.3.0 no, filter id=0123456789)"
    )
    log = [postfix_log.parse(text, 1.8e9)]
    (story,) = trace.stories(trace.Wanted("<x@y>", Privacy("full")), lambda: lines, lambda: log, set())
    # then what it says of the first attempt stands before the second one
    told = "\n".join(event.words for event in story.events)
    assert re.search("(?s)asked to come again.*deferred .host h.*handed it to the filter.*handed on to Postfix", told)


def test_recipients_that_the_ledger_has_as_hashes_are_told_by_their_names_in_postfix_log():
    privacy = Privacy("hashed", b"a key")
    recipient = {"address": privacy.address("bob@example.com"), "end": "delivered", "queue_id": "4BAC000001"}
    line = {"event": "message", "time": 1.8e9, "id": "0123456789", "front": "4F00000001", "seconds": [0, 0, 0, 0.1]}
    line |= {"sender": "#1", "size": 1, "client": "-", "message_id": "<x@y>", "verdict": "clean", "disposition": "pass"}
    line["recipients"] = [{**recipient, "reply": "250 2.0.0 Ok"}]
    text = "2027-01-15T08:00:01+00:00 mx postfix/local[1]: 4BAC000001: to=<bob@example.com>, relay=local, delay=1, "
    log = [postfix_log.parse(text + "delays=0/0/0/1, dsn=2.0.0, status=sent (delivered to maildir)", 1.8e9)]
    for word in ("bob@example.com", "<x@y>"):
        (story,) = trace.stories(trace.Wanted(word, privacy), lambda: [line], lambda: log, set())
        assert story.ends == {"bob@example.com": "delivered"}
        assert [event.words for event in story.events if "handed on" in event.words] == [
            "for <bob@example.com> it was handed on to Postfix as 4BAC000001"
        ]
