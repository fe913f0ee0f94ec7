# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The messages of a probe, their way over the wire, and what is made of the replies."""

from __future__ import annotations

import email
import email.policy
import hashlib
import time
from email.message import EmailMessage
from pathlib import Path

import pytest
from ansible_collections.mailops.filter_stack.plugins.module_utils import _log_source as log_source
from ansible_collections.mailops.filter_stack.plugins.module_utils import _postfix_log as postfix_log
from ansible_collections.mailops.filter_stack.plugins.module_utils import _probe_message as probe_message
from ansible_collections.mailops.filter_stack.plugins.module_utils import _probe_run as probe_run
from ansible_collections.mailops.filter_stack.plugins.module_utils import _smtp_client as smtp_client
from hypothesis import given
from hypothesis import strategies as st

from ...smtp_server import serving
from .strategies import refusal

COLLECTION = Path(__file__).parents[4]
PROBE = probe_message.Probe("", "alice@example.com", "0123456789abcdef", "Sun, 22 Nov 2026 18:00:00 +0000")


def parsed(kind: str, probe: probe_message.Probe = PROBE) -> EmailMessage:
    message = email.message_from_bytes(probe_message.build(kind, probe), policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    return message


@pytest.mark.parametrize("kind", sorted(probe_message.KINDS))
def test_every_kind_is_a_well_formed_message(kind: str) -> None:
    content = probe_message.build(kind, PROBE)
    lines = content.split(b"\r\n")
    assert lines.pop() == b""
    assert all(b"\n" not in line and b"\r" not in line and len(line) <= 998 for line in lines)
    message = parsed(kind)
    assert not message.defects
    assert message["Message-ID"] == probe_message.message_id(PROBE.token)
    assert message["Auto-Submitted"] == "auto-generated"
    assert PROBE.token in message["Subject"]
    assert message["To"] == "alice@example.com"
    assert len(message.get_all("Date", [])) == 1
    assert all(not part.defects for part in message.walk())


@pytest.mark.parametrize("kind", sorted(probe_message.KINDS))
def test_what_a_kind_takes_is_asked_of_the_server(kind: str) -> None:
    row = probe_message.KINDS[kind]
    content = probe_message.build(kind, PROBE)
    assert content.isascii() == (row.extension not in ("8BITMIME", "SMTPUTF8"))
    offered = b"250-x\r\n250 %s\r\n" % (row.extension or "SIZE").encode()
    with serving(EHLO=offered) as server:
        client = smtp_client.Client("127.0.0.1", server.port, time.monotonic() + 10)
        assert probe_run.send(client, "smtp", "", PROBE.recipient, content, row)[0].positive
        client.quit()
        client.close()
    assert f"MAIL FROM:<>{row.mail}".encode() in server.received
    assert f"RCPT TO:<alice@example.com>{row.rcpt}\r\n".encode() in server.received
    assert smtp_client.dot_stuff(content) in server.received
    if row.extension:
        with serving(EHLO=b"250-x\r\n250 SIZE\r\n") as server:
            client = smtp_client.Client("127.0.0.1", server.port, time.monotonic() + 10)
            with pytest.raises(smtp_client.ProbeError, match=f"takes {row.extension}, which the entry does not offer"):
                probe_run.send(client, "smtp", "", PROBE.recipient, content, row)
            client.close()


def test_the_virus_is_the_eicar_test_file() -> None:
    attachment = next(iter(parsed("eicar").iter_attachments())).get_content()
    assert len(attachment) == 68
    assert hashlib.md5(attachment).hexdigest() == "44d88612fea8a8f36de82e1278abb02f"


def test_no_file_of_the_collection_is_taken_for_a_virus() -> None:
    files = [
        path for part in ("plugins", "tests/unit") for path in COLLECTION.joinpath(part).rglob("*") if path.is_file()
    ]
    assert files
    for path in files:
        assert probe_message.EICAR not in path.read_bytes(), path


@pytest.mark.parametrize(
    "address",
    [
        "postmaster",
        "alice@example.com",
        "a+b@[192.0.2.1]",
        "x@[IPv6:2001:db8::1]",
        '"two words"@example.com',
        "jürgen@exämple.com",
    ],
)
def test_addresses_that_are_taken(address: str) -> None:
    assert probe_message.check_address(address, "recipient") == address


@pytest.mark.parametrize(
    "address",
    [
        None,
        5,
        "a b@example.com",
        "a@b@c",
        "a@",
        "<a@example.com>",
        "a\r\nRCPT TO:<b>",
        "a@example.com>",
        "a\tb",
        "a\0",
        "x" * 255,
    ],
)
def test_addresses_that_are_refused(address: object) -> None:
    with pytest.raises(ValueError, match=r"^recipient: .*it takes a mail address such as user@example.com"):
        probe_message.check_address(address, "recipient")


def test_only_the_sender_may_be_empty() -> None:
    assert probe_message.check_address("", "sender", empty_is="the null sender") == ""
    with pytest.raises(ValueError, match="recipient: it is empty"):
        probe_message.check_address("", "recipient")


@given(st.text(max_size=30))
def test_no_address_can_add_a_command(address: str) -> None:
    if not refusal(probe_message.check_address, address, "recipient", otherwise=""):
        assert not set("\r\n<>\0 \t") & set(address) or address.startswith('"')
        assert not set("\r\n\0\t") & set(address)


@pytest.mark.parametrize(
    ("content", "wire"),
    [
        (b"", b".\r\n"),
        (b"a", b"a\r\n.\r\n"),
        (b"a\r\n", b"a\r\n.\r\n"),
        (b".", b"..\r\n.\r\n"),
        (b".a\r\n..b\r\n.\r\nc.\r\n", b"..a\r\n...b\r\n..\r\nc.\r\n.\r\n"),
    ],
)
def test_dots_are_stuffed(content: bytes, wire: bytes) -> None:
    assert smtp_client.dot_stuff(content) == wire


@given(st.lists(st.text(alphabet=".ab", max_size=4).map(str.encode), max_size=6))
def test_stuffed_content_has_one_end_and_comes_out_as_it_was(lines: list[bytes]) -> None:
    content = b"".join(line + b"\r\n" for line in lines)
    wire = smtp_client.dot_stuff(content)
    body, end, rest = (b"\r\n" + wire).partition(b"\r\n.\r\n")
    assert (end, rest) == (b"\r\n.\r\n", b"")
    read = [line[1:] if line.startswith(b".") else line for line in body.split(b"\r\n")[1:]]
    assert read == lines


@pytest.mark.parametrize(
    ("entry", "place"),
    [
        ("127.0.0.1:25", ("127.0.0.1", 25)),
        ("[::1]:10024", ("::1", 10024)),
        ("mail.example.com:587", ("mail.example.com", 587)),
    ],
)
def test_entries(entry: str, place: tuple[str, int]) -> None:
    assert smtp_client.parse_entry(entry) == place


@pytest.mark.parametrize(
    "entry",
    [
        "",
        "25",
        ":25",
        "host",
        "host:",
        "host:0",
        "host:65536",
        "host:smtp",
        "::1:25",
        "a b:25",
        "host:25\r\n",
        None,
        25,
        "[]:1",
    ],
)
def test_wrong_entries(entry: object) -> None:
    with pytest.raises(ValueError, match=r"^entry: .* is wrong, it takes host:port"):
        smtp_client.parse_entry(entry)


def test_extensions_are_by_keyword() -> None:
    reply = smtp_client.Reply(250, ["mail.example.com", "PIPELINING", "size 10240000", "XFORWARD NAME ADDR", ""])
    assert smtp_client.extensions(reply) == {"PIPELINING": "", "SIZE": "10240000", "XFORWARD": "NAME ADDR"}


def send(
    client: smtp_client.Client, protocol: str = "smtp", sender: str = "", content: bytes = b"Hi: x\r\n"
) -> smtp_client.Reply:
    return probe_run.send(client, protocol, sender, "alice@example.com", content)[0]


def client_of(port: int, patience: float = 5) -> smtp_client.Client:
    return smtp_client.Client("127.0.0.1", port, time.monotonic() + patience)


@pytest.mark.parametrize(("protocol", "hello"), [("smtp", b"EHLO [127.0.0.1]\r\n"), ("lmtp", b"LHLO [127.0.0.1]\r\n")])
def test_a_message_goes_over_the_wire(protocol: str, hello: bytes) -> None:
    with serving() as server:
        client = client_of(server.port)
        reply = send(client, protocol, content=b"A: b\r\n\r\n.x\r\n")
        client.quit()
        client.close()
    assert (reply.code, reply.after_data, reply.positive) == (250, True, True)
    assert server.received.startswith(hello + b"MAIL FROM:<>")
    assert server.received.endswith(b"RCPT TO:<alice@example.com>\r\nDATA\r\nA: b\r\n\r\n..x\r\n.\r\nQUIT\r\n")
    assert client.dialogue[-3:] == ["S: 250 2.0.0 Ok: queued as 4ABC5DEF6", "C: QUIT", "S: 221 2.0.0 Bye"]


def test_parameters_are_given_where_they_are_offered() -> None:
    with serving() as server:
        client = client_of(server.port)
        send(client, sender="jürgen@example.com", content="Ü\r\n".encode())
        client.quit()
        client.close()
    assert "MAIL FROM:<jürgen@example.com> SIZE=4 BODY=8BITMIME SMTPUTF8\r\n".encode() in server.received


def test_an_address_that_needs_smtputf8_is_not_sent_without() -> None:
    with serving(EHLO=b"250 mail.example.com\r\n") as server:
        client = client_of(server.port)
        with pytest.raises(smtp_client.ProbeError, match="takes SMTPUTF8, which the entry does not offer"):
            send(client, sender="jürgen@example.com")
        client.close()


@pytest.mark.parametrize("stage", ["connect", "EHLO", "MAIL", "RCPT", "DATA", "dot"])
@pytest.mark.parametrize(("code", "verdict"), [(421, "deferred"), (550, "rejected")])
def test_a_negative_reply_at_any_stage_is_an_answer(stage: str, code: int, verdict: str) -> None:
    with serving(**{stage: f"{code} 4.0.0 no\r\n".encode()}) as server:
        client = client_of(server.port)
        reply = send(client)
        client.quit()
        client.close()
    assert (reply.code, reply.after_data) == (code, stage == "dot")
    outcome = probe_run.judge_reply(reply)
    assert outcome is not None
    assert (outcome.verdict, outcome.final) == (verdict, True)


@pytest.mark.parametrize("stage", ["connect", "EHLO", "MAIL", "RCPT", "DATA", "dot"])
@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"", "closed the connection before it replied"),
        (b"hello\r\n", "gave b'hello' as a reply, which is not SMTP"),
        (b"250-never\r\nended\r\n", "gave b'ended' as a reply"),
        (b"x" * 70000, "bytes without the end of a line"),
    ],
)
def test_nonsense_at_any_stage_is_an_error(stage: str, answer: bytes, words: str) -> None:
    with serving(**{stage: answer}) as server:
        client = client_of(server.port)
        with pytest.raises(smtp_client.ProbeError, match=words):
            send(client)
        client.close()


def test_data_is_not_sent_after_a_reply_that_is_no_354() -> None:
    with serving(DATA=b"250 2.0.0 what?\r\n") as server:
        client = client_of(server.port)
        with pytest.raises(
            smtp_client.ProbeError, match=r"the reply to DATA was 250 2.0.0 what., which is neither 354"
        ):
            send(client)
        client.close()
    assert b"Hi: x" not in server.received


def test_a_server_that_says_nothing_is_left_at_the_deadline() -> None:
    with serving(MAIL=lambda: time.sleep(0.6) or b"250 late\r\n") as server:  # type: ignore[func-returns-value]
        client = client_of(server.port, 0.3)
        with pytest.raises(smtp_client.ProbeError, match=r"no reply from|did not answer within the timeout"):
            send(client)
        client.close()


def test_no_server_at_all_is_an_error_with_the_reason() -> None:
    with pytest.raises(smtp_client.ProbeError, match=r"entry: no connection to 127.0.0.1:1: .*refused"):
        client_of(1)


AT = "2026-11-22T18:00:00+0000 mail.example.com"
MESSAGE_ID = "<x@filter-probe.invalid>"


class Lines:
    """A log that grows with each reading."""

    name = "lines"

    def __init__(self, *readings: list[str]) -> None:
        self.readings = list(readings)

    def new_lines(self) -> list[str]:
        return self.readings.pop(0) if self.readings else []


def follow(source: Lines, reply: str, expect: str = "any", patience: float = 5) -> probe_run.Outcome:
    code, _space, text = reply.partition(" ")
    return probe_run.follow(
        source, smtp_client.Reply(int(code), [text], True), MESSAGE_ID, expect, time.monotonic() + patience
    )


def delivery(queue_id: str, status: str, reply: str, program: str = "lmtp") -> str:
    return (
        f"{AT} postfix/{program}[1]: {queue_id}: to=<a@example.com>, relay=x, delay=0.1, delays=0/0/0/0, dsn=2.0.0, "
        f"status={status} ({reply})"
    )


def removed(queue_id: str) -> str:
    return f"{AT} postfix/qmgr[1]: {queue_id}: removed"


ACCEPTED = "250 2.0.0 Ok: queued as AAAAA1"


def test_the_log_is_read_until_the_end() -> None:
    passed = "250 2.0.0 Ok: filter id=1, reinjected as 250 2.0.0 Ok: queued as BBBBB2"
    source = Lines(
        [delivery("AAAAA1", "sent", passed)],
        [removed("AAAAA1")],
        [delivery("BBBBB2", "sent", "delivered to maildir", "local"), removed("BBBBB2")],
        ["not read any more"],
    )
    outcome = follow(source, ACCEPTED, "delivered")
    assert (outcome.verdict, outcome.front_queue_id, outcome.back_queue_id) == ("delivered", "AAAAA1", "BBBBB2")
    assert source.readings == [["not read any more"]]
    assert probe_run.met("delivered", outcome)
    assert not probe_run.met("not_delivered", outcome)


def test_a_message_that_goes_to_the_filter_itself_has_no_front() -> None:
    source = Lines([delivery("BBBBB2", "sent", "delivered to maildir", "local"), removed("BBBBB2")])
    outcome = follow(source, "250 2.0.0 Ok: filter id=1, reinjected as 250 2.0.0 Ok: queued as BBBBB2")
    assert (outcome.verdict, outcome.front_queue_id, outcome.back_queue_id) == ("delivered", None, "BBBBB2")


def test_a_deferred_message_is_waited_for_if_it_shall_be_delivered() -> None:
    later = [delivery("AAAAA1", "sent", "delivered to maildir", "local"), removed("AAAAA1")]
    source = Lines([delivery("AAAAA1", "deferred", "no filter")], [], later)
    assert follow(source, ACCEPTED, "delivered").verdict == "delivered"
    source = Lines([delivery("AAAAA1", "deferred", "no filter")], [], later)
    outcome = follow(source, ACCEPTED, "deferred")
    assert (outcome.verdict, outcome.final) == ("deferred", False)
    assert source.readings == [[], later]
    assert probe_run.met("deferred", outcome)
    # It may be delivered yet.
    assert not probe_run.met("not_delivered", outcome)


def test_time_that_is_up_leaves_the_end_unknown() -> None:
    begun = time.monotonic()
    outcome = follow(Lines([delivery("AAAAA1", "sent", "reinjected as 250 queued as BBBBB2")]), ACCEPTED, patience=0.4)
    assert time.monotonic() - begun > 0.3
    assert (outcome.verdict, outcome.final, outcome.front_queue_id) == ("unknown", False, "AAAAA1")
    assert probe_run.met("any", outcome)
    assert not any(probe_run.met(expect, outcome) for expect in probe_run.EXPECTATIONS if expect != "any")


def test_another_host_is_given_a_moment_to_be_this_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe_run, "_SETTLE", 0.6)
    # The log of a busy host never ends.
    busy = [[f"{AT} postfix/smtpd[1]: connect from x"]] * 40
    source = Lines([delivery("AAAAA1", "sent", "250 2.0.0 Ok: queued as CCCCC3", "smtp"), removed("AAAAA1")], *busy)
    begun = time.monotonic()
    assert follow(source, ACCEPTED, "delivered").verdict == "delivered"
    assert time.monotonic() - begun >= 0.6


@pytest.mark.parametrize(
    ("ends", "met"),
    [
        (["delivered"], {"any", "delivered"}),
        (["delivered", "bounced"], {"any"}),
        (["discarded"], {"any", "discarded", "not_delivered"}),
        (["bounced", "discarded"], {"any", "not_delivered"}),
        (["rejected"], {"any", "rejected", "not_delivered"}),
        ([], {"any"}),
    ],
)
def test_expectations(ends: list[str], met: set[str]) -> None:
    verdict = ends[0] if ends else "unknown"
    outcome = probe_run.Outcome(verdict, ends, True, None)
    assert {expect for expect in probe_run.EXPECTATIONS if probe_run.met(expect, outcome)} == met


def test_a_reply_that_says_it_all_needs_no_log() -> None:
    reply = smtp_client.Reply(250, ["2.7.0 Ok: filter id=1, discarded, quarantined as Q1 (Eicar)"], True)
    outcome = probe_run.judge_reply(reply)
    assert outcome is not None
    assert outcome.verdict == "discarded"
    assert probe_run.judge_reply(smtp_client.Reply(250, ["2.0.0 Ok: queued as AAAAA1"], True)) is None


def test_a_log_file_is_read_from_its_end_through_rotation_and_truncation(tmp_path: Path) -> None:
    path = tmp_path / "mail.log"
    path.write_bytes(b"old\n")
    log = log_source.FileLog(str(path))
    assert log.new_lines() == []
    with path.open("ab") as stream:
        stream.write(b"one\nhalf a ")
    assert log.new_lines() == ["one"]
    with path.open("ab") as stream:
        stream.write(b"line\n\xff\n")
    assert log.new_lines() == ["half a line", "\\xff"]

    with path.open("ab") as stream:
        stream.write(b"last of the old\n")
    path.rename(tmp_path / "mail.log.1")
    path.write_bytes(b"first of the new\n")
    assert log.new_lines() == ["last of the old", "first of the new"]

    path.write_bytes(b"x\n")
    assert log.new_lines() + log.new_lines() == ["x"]


def test_a_log_file_that_is_not_there_is_an_error() -> None:
    with pytest.raises(ValueError, match="log_file: /no/such/log cannot be read: No such file"):
        log_source.FileLog("/no/such/log")


def test_the_story_finds_the_message_by_its_message_id_alone() -> None:
    log = postfix_log.Log(
        [
            f"{AT} postfix/cleanup[1]: DDDDD4: message-id={MESSAGE_ID}",
            delivery("DDDDD4", "bounced", "no"),
            removed("DDDDD4"),
        ]
    )
    story = log.tell([], MESSAGE_ID)
    assert (story.queue_ids, story.ends) == (["DDDDD4"], ["bounced"])
