# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module mail_probe as Ansible runs it, against Postfix' own smtp-sink and against servers that misbehave.

Its way through a whole Postfix, log and all, is proven by the Molecule scenarios, whose playbooks use it.
"""

from __future__ import annotations

import email
import email.policy
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ...conftest import RunModule
from ...smtp_server import serving

AT = "2026-11-22T18:00:00+0000 mail.example.com"


class Sink:
    """A running smtp-sink, and the messages that it took."""

    def __init__(self, entry: str, directory: Path) -> None:
        self.entry = entry
        self.directory = directory

    def messages(self) -> list[bytes]:
        return [path.read_bytes() for path in sorted(self.directory.iterdir())]


@pytest.fixture(params=["smtp", "lmtp"])
def sink(request: pytest.FixtureRequest, postfix: Path, tmp_path: Path) -> Iterator[Sink]:
    directory = tmp_path / "sink"
    directory.mkdir()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    program = shutil.which("smtp-sink")
    assert program
    arguments = ["-L"] if request.param == "lmtp" else []
    # It insists on being told a user when it is started by root.
    process = subprocess.Popen(
        [program, *arguments, "-u", "root", "-d", f"{directory}/%M.", f"127.0.0.1:{port}", "10"], cwd=directory
    )
    try:
        for _attempt in range(100):
            with socket.socket() as trial:
                if trial.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        yield Sink(f"127.0.0.1:{port}", directory)
    finally:
        process.terminate()
        process.wait(10)


@pytest.fixture
def protocol(request: pytest.FixtureRequest) -> str:
    return str(request.node.callspec.params["sink"])


def test_a_message_arrives(run_module: RunModule, sink: Sink, protocol: str) -> None:
    result = run_module(
        "mail_probe",
        kind="eicar",
        entry=sink.entry,
        protocol=protocol,
        sender="bob@example.com",
        recipient="alice@example.com",
        follow="none",
    )
    assert (result["changed"], result["sent"], result["accepted"]) == (False, True, True)
    assert (result["verdict"], result["ends"], result["hops"]) == ("unknown", [], [])
    assert result["dialogue"][1] == f"C: {'LHLO' if protocol == 'lmtp' else 'EHLO'} [127.0.0.1]"
    (content,) = sink.messages()
    envelope, _blank, _rest = content.partition(b"Received: ")
    assert b"X-Mail-Args: <bob@example.com>" in envelope
    assert b"X-Rcpt-Args: <alice@example.com>" in envelope
    message = email.message_from_bytes(content, policy=email.policy.default)
    assert message["Message-ID"] == result["message_id"]
    assert message["From"] == "Filter probe <bob@example.com>"


def test_what_a_server_offers(run_module: RunModule, sink: Sink, protocol: str) -> None:
    result = run_module("mail_probe", kind="ehlo", entry=sink.entry, protocol=protocol)
    assert (result["changed"], result["sent"], result["accepted"]) == (False, False, True)
    assert "PIPELINING" in result["extensions"]
    assert sink.messages() == []
    assert "verdict" not in result


def test_both_greetings_in_one_visit(run_module: RunModule) -> None:
    with serving(connections=2) as server:
        result = run_module("mail_probe", kind="ehlo", entry=server.entry, protocol="both")
    assert [line for line in result["dialogue"] if "HLO" in line] == ["C: EHLO [127.0.0.1]", "C: LHLO [127.0.0.1]"]
    assert result["accepted"]
    assert {"SMTPUTF8", "ENHANCEDSTATUSCODES"} <= result["extensions"].keys()
    with serving(connections=2, LHLO=b"500 5.5.1 no\r\n") as server:
        result = run_module("mail_probe", kind="ehlo", entry=server.entry, protocol="both", fails=True)
        assert result["msg"] == f"expect: any, but {server.entry} replied to LHLO: 500 5.5.1 no"
        assert not result["accepted"]
    message = run_module("mail_probe", kind="clean", recipient="a@example.com", protocol="both", fails=True)["msg"]
    assert message.startswith("protocol: both is wrong, it takes smtp or lmtp for a message")


def test_check_mode_sends_nothing_and_needs_no_server(run_module: RunModule) -> None:
    for kind in ("clean", "ehlo"):
        result = run_module("mail_probe", check=True, kind=kind, entry="127.0.0.1:1", recipient="alice@example.com")
        assert (result["changed"], result["sent"]) == (False, False)
        assert result["msg"] == "check mode: nothing was sent"


def test_a_greeting_that_is_refused(run_module: RunModule) -> None:
    with serving(EHLO=b"554 5.7.1 go away\r\n") as server:
        result = run_module("mail_probe", kind="ehlo", entry=server.entry, fails=True)
    assert result["msg"] == f"expect: any, but {server.entry} replied to EHLO: 554 5.7.1 go away"
    with serving(connect=b"554 5.7.1 go away\r\n") as server:
        assert not run_module("mail_probe", kind="ehlo", entry=server.entry, expect="rejected")["accepted"]


def test_a_message_that_is_refused(run_module: RunModule) -> None:
    options = {"kind": "eicar", "recipient": "alice@example.com", "follow": "none"}
    with serving(dot=b"550 5.7.1 virus\r\n") as server:
        result = run_module("mail_probe", entry=server.entry, expect="not_delivered", **options)
    assert (result["verdict"], result["sent"], result["accepted"]) == ("rejected", True, False)
    with serving(RCPT=b"451 4.3.0 later\r\n") as server:
        result = run_module("mail_probe", entry=server.entry, expect="not_delivered", fails=True, **options)
    assert (result["verdict"], result["sent"]) == ("deferred", False)
    assert (
        "expect: not_delivered, but the eicar message from <> to <alice@example.com> was seen as deferred"
        in result["msg"]
    )
    assert "replied 451 4.3.0 later" in result["msg"]
    assert "S: 451 4.3.0 later" in result["dialogue"]


def test_a_message_that_is_followed_through_a_log(run_module: RunModule, tmp_path: Path) -> None:
    log = tmp_path / "mail.log"
    log.write_text(f"{AT} postfix/qmgr[1]: 4ABC5DEF6: removed\n")

    def deliver() -> bytes:
        with log.open("a") as stream:
            stream.write(
                f"{AT} postfix/local[1]: 4ABC5DEF6: to=<alice@example.com>, relay=local, delay=0.1, delays=0/0/0/0, "
                f"dsn=2.0.0, status=sent (delivered to maildir)\n{AT} postfix/qmgr[1]: 4ABC5DEF6: removed\n"
            )
        return b"250 2.0.0 Ok: queued as 4ABC5DEF6\r\n"

    with serving(dot=deliver) as server:
        result = run_module(
            "mail_probe",
            kind="clean",
            entry=server.entry,
            recipient="alice@example.com",
            expect="delivered",
            log_file=str(log),
            timeout=10,
        )
    assert (result["verdict"], result["ends"], result["log_source"]) == ("delivered", ["delivered"], str(log))
    assert (result["front_queue_id"], result["back_queue_id"]) == ("4ABC5DEF6", None)
    (hop,) = result["hops"]
    assert (hop["relay"], hop["status"], hop["line"]) == ("local", "sent", result["log"][0])
    assert len(result["log"]) == 2
    assert 0 <= result["times"]["answered"] <= result["times"]["ended"] < 10


def test_a_message_of_which_the_log_says_nothing(run_module: RunModule, tmp_path: Path) -> None:
    (tmp_path / "mail.log").touch()
    options: dict[str, Any] = {
        "kind": "clean",
        "recipient": "alice",
        "log_file": str(tmp_path / "mail.log"),
        "timeout": 1,
    }
    with serving() as server:
        result = run_module("mail_probe", entry=server.entry, expect="delivered", fails=True, **options)
    assert (result["verdict"], result["accepted"]) == ("unknown", True)
    assert "was seen as unknown after 1." in result["msg"]
    assert "(timeout 1)" in result["msg"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (
            {"kind": "spam"},
            "value of kind must be one of: clean, eicar, banned, 8bit, utf8, dsn, null_sender, lines, disclaimer, ehlo",
        ),
        ({"kind": "clean"}, "kind is clean but all of the following are missing: recipient"),
        ({"kind": "clean", "recipient": None}, "recipient: None is wrong"),
        ({"kind": "clean", "recipient": ""}, "recipient: it is empty"),
        ({"kind": "clean", "recipient": "a b"}, "recipient: 'a b' is wrong, it takes a mail address"),
        ({"kind": "clean", "recipient": "a", "sender": "<>"}, "sender: '<>' is wrong"),
        ({"kind": "ehlo", "entry": "localhost"}, "entry: 'localhost' is wrong, it takes host:port"),
        ({"kind": "ehlo", "timeout": 0}, "timeout: 0 is wrong, it takes a number of seconds from 1"),
        ({"kind": "ehlo", "entry": "127.0.0.1:1"}, "entry: no connection to 127.0.0.1:1: "),
        ({"kind": "clean", "recipient": "a", "log_file": "/no/log"}, "log_file: /no/log cannot be read"),
    ],
)
def test_wrong_options(run_module: RunModule, options: dict[str, Any], words: str) -> None:
    result = run_module("mail_probe", fails=True, **options)
    assert words in result["msg"]
    assert not result.get("sent", False)


def delivers(mailbox: Path, headers: str = "") -> Any:
    """A server that puts what it takes into this Maildir, as a delivery agent does."""

    def deliver(content: bytes) -> None:
        for name in ("tmp", "new", "cur"):
            (mailbox / name).mkdir(parents=True, exist_ok=True)
        (mailbox / "tmp/1").write_bytes(headers.encode() + content.replace(b"\r\n", b"\n"))
        (mailbox / "tmp/1").rename(mailbox / "new/1.host")

    return deliver


@pytest.mark.parametrize("there", [False, True], ids=["made by the first message", "there before"])
def test_the_mailbox_tells_what_was_delivered_and_is_left_as_it_was(
    run_module: RunModule, tmp_path: Path, there: bool
) -> None:
    # Given a mailbox with somebody's mail, or none
    mailbox = tmp_path / "home/Maildir"
    if there:
        (mailbox / "new").mkdir(parents=True)
        (mailbox / "new/0.host").write_bytes(b"Message-ID: <other@example.com>\nSubject: mine\n\n")
    # when the probe comes in there
    deliver = delivers(mailbox, "Return-Path: <bob@example.com>\nX-Folded: one\n\ttwo\n")
    with serving() as server:

        def dot() -> bytes:
            deliver(server.received.partition(b"DATA\r\n")[2].removesuffix(b".\r\n"))
            return b"250 2.0.0 Ok\r\n"

        server.answers["."] = dot
        result = run_module(
            "mail_probe",
            kind="clean",
            entry=server.entry,
            recipient="alice@example.com",
            follow="none",
            mailbox=str(mailbox),
            expect="delivered",
            timeout=20,
        )
    # then its header is told as it was delivered
    assert result["verdict"] == "delivered"
    assert result["headers"][:2] == [
        {"name": "Return-Path", "value": "<bob@example.com>"},
        {"name": "X-Folded", "value": "one two"},
    ]
    assert {"name": "Message-ID", "value": result["message_id"]} in result["headers"]
    # and nothing of it is left
    assert [path.name for path in (tmp_path / "home").rglob("*") if path.is_file()] == (["0.host"] if there else [])
    assert mailbox.exists() is there


def test_a_message_that_the_mailbox_does_not_have_was_not_delivered(run_module: RunModule, tmp_path: Path) -> None:
    options = {"kind": "clean", "recipient": "alice@example.com", "follow": "none", "timeout": 2}
    with serving() as server:
        result = run_module("mail_probe", entry=server.entry, mailbox=str(tmp_path / "Maildir"), **options)
    assert (result["verdict"], result["headers"]) == ("unknown", [])
    with serving() as server:
        result = run_module(
            "mail_probe", entry=server.entry, mailbox=str(tmp_path / "M"), expect="delivered", fails=True, **options
        )
    assert "was seen as unknown" in result["msg"]


def test_a_mailbox_that_is_none_is_refused_before_anything_is_sent(run_module: RunModule, tmp_path: Path) -> None:
    (tmp_path / "mbox").mkdir()
    (tmp_path / "mbox/file").write_text("")
    result = run_module(
        "mail_probe",
        kind="clean",
        entry="127.0.0.1:1",
        recipient="a@example.com",
        follow="none",
        mailbox=str(tmp_path / "mbox"),
        fails=True,
    )
    assert "is no Maildir" in result["msg"]
    assert not result["sent"]
