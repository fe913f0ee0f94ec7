# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sends a message by SMTP and follows it through the host to its end, by the host's own records."""

from __future__ import annotations

import json
import re
import smtplib
import time
from dataclasses import dataclass, field

import container
from messages import DELIVERED, DISCLAIMED, QUARANTINED, Sample

#: Seconds that a message may take from its acknowledgement to its end.
PATIENCE = 60.0
QUARANTINE = "/var/lib/vscan/quarantine"

_QUEUED = re.compile(r"queued as ([0-9A-Za-z]+)")
_FILTER_ID = re.compile(r"filter id=([0-9A-Za-z]+)")
_QUARANTINED = re.compile(r"quarantined as (\S+) ")


class Unmet(Exception):
    """What became of a message instead of what was expected."""


@dataclass
class Journey:
    """What is known of a message: its end in words, and what proves each step."""

    sample: Sample
    met: bool = False
    happened: str = ""
    proof: list[tuple[str, str]] = field(default_factory=list)

    def prove(self, step: str, words: str) -> None:
        """Note what proves a step."""
        self.proof.append((step, words.strip()))


def journey(sample: Sample) -> Journey:
    """Send one message and follow it to its end; never raises for what becomes of it."""
    way = Journey(sample)
    began = time.time()
    try:
        front = _send(way)
        if sample.expected == DISCLAIMED:
            front = _prove_disclaimer(way, began, front)
        answer = _status(way, began, "front queue", front, "127.0.0.1")
        _prove_filter(way, began, answer)
        back = _QUEUED.search(answer)
        if sample.expected in (DELIVERED, DISCLAIMED) and back:
            _prove_delivery(way, began, back.group(1))
        elif sample.expected == QUARANTINED and not back:
            _prove_quarantine(way, answer)
        else:
            raise Unmet(f"{'delivered' if back else 'not delivered'}: {answer}")
        way.met, way.happened = True, sample.expected
    except Unmet as unmet:
        way.happened = str(unmet)
    except (OSError, smtplib.SMTPException, container.DemoError) as error:
        way.happened = f"{type(error).__name__}: {error}"
    return way


def _send(way: Journey) -> str:
    """Hand the message to its port and return the queue id under which it was accepted."""
    sample = way.sample
    with smtplib.SMTP(container.address(), sample.port, local_hostname="client.example.com", timeout=30) as client:
        client.ehlo()
        for code, reply in (client.mail(sample.sender), client.rcpt(sample.recipient), client.data(sample.content)):
            if code not in (250, 251):
                raise Unmet(f"port {sample.port} refused it: {code} {reply.decode('ascii', 'replace')}")
    words = f"{code} {reply.decode('ascii', 'replace')}"
    way.prove(f"port {sample.port}", f"{len(sample.content)} bytes, answer: {words}")
    queued = _QUEUED.search(words)
    if not queued:
        raise Unmet(f"accepted without a queue id: {words}")
    return queued.group(1)


def _journal(began: float, pattern: re.Pattern[str]) -> list[str]:
    """The journal's lines since a moment that match a pattern."""
    text = container.inside("journalctl", "--no-pager", "--quiet", "--output=short", f"--since=@{int(began)}")
    return [line for line in text.splitlines() if pattern.search(line)]


def _status(way: Journey, began: float, step: str, queue_id: str, relay: str) -> str:
    """Wait until a queue entry was sent through a relay; return what the relay answered.

    Raises Unmet when it went elsewhere, bounced, or was not sent in time; a deferred one is waited for.
    """
    pattern = re.compile(rf"{queue_id}: to=<.* relay=([^,]+), .* status=(\w+) \((.*)\)$")
    deadline = time.monotonic() + PATIENCE
    while True:
        lines = _journal(began, pattern)
        found = pattern.search(lines[-1]) if lines else None
        via, status, words = found.groups() if found else ("", "not tried", "")
        if status == "sent" and via.startswith(relay):
            way.prove(step, lines[-1])
            return words
        if status in ("sent", "bounced") or time.monotonic() > deadline:
            for line in _journal(began, re.compile(re.escape(queue_id))):
                way.prove(step, line)
            if status in ("sent", "bounced"):
                raise Unmet(f"{status} by {via}, not sent by {relay}: {words}")
            raise Unmet(f"{status} for {PATIENCE:.0f} s: {words}")
        time.sleep(0.5)


def _prove_disclaimer(way: Journey, began: float, front: str) -> str:
    """Follow the message through the disclaimer program; return the queue id with which it came back."""
    _status(way, began, "disclaimer", front, "disclaimer")
    identifier = re.compile(rf"cleanup\[\d+\]: (?!{front})(\w+): message-id={re.escape(way.sample.message_id)}")
    deadline = time.monotonic() + PATIENCE
    while True:
        for line in _journal(began, identifier):
            back = line.rpartition(": message-id=")[0].rpartition(" ")[2]
            if lines := _journal(began, re.compile(rf"pickup\[\d+\]: {back}: uid=")):
                way.prove("sendmail", lines[-1])
                return back
        if time.monotonic() > deadline:
            raise Unmet("the disclaimer program took it, and it did not come back by sendmail")
        time.sleep(0.2)


def _prove_filter(way: Journey, began: float, answer: str) -> None:
    """Find the filter's own line on the message."""
    identity = _FILTER_ID.search(answer)
    if not identity:
        raise Unmet(f"the filter's answer names no id: {answer}")
    pattern = re.compile(rf" message id={identity.group(1)} front=")
    deadline = time.monotonic() + 5
    while not (lines := _journal(began, pattern)):
        if time.monotonic() > deadline:
            raise Unmet(f"the filter has logged nothing for its id {identity.group(1)}")
        time.sleep(0.2)
    way.prove("filter", lines[-1])


def _prove_delivery(way: Journey, began: float, back: str) -> None:
    """Follow the reinjected message into the mailbox and compare what lies there."""
    sample = way.sample
    _status(way, began, "back queue", back, "local")
    paths = _mailbox_files(sample)
    if len(paths) != 1:
        raise Unmet(f"{len(paths)} copies in the mailbox: {paths}")
    body = container.inside_bytes("cat", paths[0]).partition(b"\n\n")[2]
    if body != sample.body + sample.added.encode():
        wanted = "the one that was sent and the disclaimer" if sample.added else "the one that was sent"
        raise Unmet(f"delivered, but the body is not {wanted}: {paths[0]}")
    behind = f'; behind it "{" / ".join(sample.added.split(chr(10))).strip(" /")}"' if sample.added else ""
    way.prove("mailbox", f"{paths[0]}: body of {len(sample.body)} bytes is the one that was sent{behind}")


def _prove_quarantine(way: Journey, answer: str) -> None:
    """See that the message lies in the quarantine, why, and in no mailbox."""
    sample = way.sample
    named = _QUARANTINED.search(answer)
    if not named:
        raise Unmet(f"not delivered, but the filter names no quarantine: {answer}")
    path = f"{QUARANTINE}/{named.group(1)}.msg"
    head, _, content = container.inside_bytes("cat", path).partition(b"\n")
    if not content.replace(b"\r\n", b"\n").endswith(sample.body):
        raise Unmet(f"the quarantined message is not the one that was sent: {path}")
    findings = [f"{finding['name']} by {finding['source']}" for finding in json.loads(head)["findings"]]
    if not any(f" by {sample.scanner}" in finding for finding in findings):
        raise Unmet(f"found by another scanner than {sample.scanner}: {', '.join(findings)}")
    if paths := _mailbox_files(sample):
        raise Unmet(f"quarantined, and delivered all the same: {paths}")
    way.prove("quarantine", f"{path}: {', '.join(findings)}; in no mailbox")


def _mailbox_files(sample: Sample) -> list[str]:
    """Files in the Maildirs that hold the message, found by its Message-ID."""
    # grep -r fails where there is no Maildir yet
    text = container.inside(
        "sh",
        "-c",
        'grep -rlF -- "$1" /home/*/Maildir/new /home/*/Maildir/cur 2>/dev/null',
        "sh",
        sample.message_id,
        check=False,
    )
    return text.split()
