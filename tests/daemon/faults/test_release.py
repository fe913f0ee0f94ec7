# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A released message reaches each recipient once and unchanged, whatever is killed, refused or asked for twice."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence

import pytest
from harness.behaviour import Action, close, late, reply, stall, wait_until
from harness.clamd import EICAR
from harness.client import smtp
from harness.daemon import PROGRAM, Daemon
from harness.downstream import parameters
from harness.interpreter import interpreter

INFECTED = (
    b"Subject: =?utf-8?q?=C3=A4?=\r\nMessage-ID:\r\n <one@example.com>\r\n\r\n"
    b"..\r\n" + bytes(range(128, 256)) + EICAR + b"\r\n"
)
TWO = ("bob@example.com", "carol@example.com")
BOB, CAROL = TWO


def lines(data: bytes) -> list[str]:
    return data.decode().splitlines()


@pytest.fixture
def kept(daemon):
    """The daemon, and the id of a message that it has put into quarantine."""
    return daemon, keep(daemon)


def keep(daemon: Daemon, content: bytes = INFECTED, recipients: Sequence[str] = TWO) -> str:
    assert smtp(daemon.address, content, recipients=recipients).code == 250
    return max(daemon.quarantined(), key=lambda path: path.stat().st_mtime_ns).name.removesuffix(".msg")


def released_to(downstream) -> list[str]:
    """Every recipient of every message that was taken."""
    return [address for message in downstream.accepted for address in message.recipients]


class Release:
    """A release that runs, to be killed."""

    def __init__(self, daemon: Daemon, quarantine_id: str, *arguments: str) -> None:
        command = ["quarantine", "release", quarantine_id, *arguments, "--config", str(daemon.path)]
        self.process = subprocess.Popen(
            [interpreter(), str(PROGRAM), *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()


def test_once_and_unchanged(kept, downstream):
    # Given a message in quarantine, when it is released, and named twice by mistake
    daemon, quarantine_id = kept
    result = daemon.run("quarantine", "release", quarantine_id, quarantine_id)
    # then it arrives once, as it was, without being caught again, and is gone from quarantine
    assert result.returncode == 0, result
    assert f"released {quarantine_id} to <{BOB}>, <{CAROL}>: 250" in result.stdout.decode()
    [message] = downstream.accepted
    assert (message.sender, message.recipients, message.content) == ("alice@example.com", list(TWO), INFECTED)
    assert list(daemon.quarantine.iterdir()) == []
    # and it cannot be released again
    result = daemon.run("quarantine", "release", quarantine_id)
    assert result.returncode == 1
    assert lines(result.stderr) == [f"filter-daemon: {quarantine_id}: not in {daemon.quarantine}"]


def test_while_the_daemon_does_not_run(kept, downstream):
    # Given a stopped daemon, then release works all the same
    daemon, quarantine_id = kept
    assert daemon.stop() == 0
    assert daemon.run("quarantine", "release", quarantine_id).returncode == 0
    assert len(downstream.accepted) == 1


@pytest.mark.parametrize(
    ("stage", "action"),
    [("banner", close()), ("mail", reply(450)), ("rcpt", reply(550)), ("data", close()), ("dot", reply(554))],
)
def test_a_failure_keeps_the_message(kept, downstream, stage, action):
    # Given a server in trouble
    daemon, quarantine_id = kept
    downstream.on(stage, action)
    result = daemon.run("quarantine", "release", quarantine_id)
    # then the message stays, and one line for each recipient says why
    assert result.returncode == 1
    assert [line.split(",")[0] for line in lines(result.stderr)] == [
        f"{quarantine_id}: kept for <{address}>" for address in TWO
    ]
    assert len(daemon.quarantined()) == 1
    # and later it can be released
    downstream.clear()
    assert daemon.run("quarantine", "release", quarantine_id).returncode == 0
    assert released_to(downstream) == list(TWO)


@pytest.mark.parametrize("code", [450, 550])
def test_who_is_refused_gets_it_later_and_the_others_do_not(kept, downstream, code):
    # Given a server that refuses one of two recipients
    daemon, quarantine_id = kept
    downstream.on("rcpt", reply(code), match="carol")
    result = daemon.run("quarantine", "release", quarantine_id, "--json")
    # then the other one has it, and the message is kept for this one
    assert result.returncode == 1
    [done] = json.loads(result.stdout)
    assert (list(done["released"]), list(done["refused"]), done["deleted"]) == ([BOB], [CAROL], False)
    [entry] = json.loads(daemon.run("quarantine", "list", "--json").stdout)
    assert [item["state"] for item in entry["recipients"]] == ["released", "waiting"]
    assert "bob@example.com (released), carol@example.com" in daemon.run("quarantine", "list").stdout.decode()
    # and when the server takes him, he gets it alone
    downstream.on("rcpt", reply(250, "Ok"))
    assert daemon.run("quarantine", "release", quarantine_id).returncode == 0
    assert released_to(downstream) == list(TWO)
    assert list(daemon.quarantine.iterdir()) == []


def test_to_chosen_recipients(kept, downstream):
    # Given a message for two, when it is released to one of them
    daemon, quarantine_id = kept
    result = daemon.run("quarantine", "release", quarantine_id, "--to", CAROL)
    assert result.returncode == 0, result
    assert released_to(downstream) == [CAROL]
    assert len(daemon.quarantined()) == 1
    # then she is not sent it once more
    result = daemon.run("quarantine", "release", quarantine_id, "--to", CAROL)
    assert result.returncode == 1
    [line] = lines(result.stderr)
    assert f"has been released to <{CAROL}> at " in line
    assert line.endswith("--again sends it once more")
    # and strangers are not sent it at all
    result = daemon.run("quarantine", "release", quarantine_id, "--to", "eve@example.net")
    assert result.returncode == 1
    [line] = lines(result.stderr)
    assert line.endswith(f"{quarantine_id}: <eve@example.net> is none of its recipients: <{BOB}>, <{CAROL}>")
    # and the rest goes to the rest
    result = daemon.run("quarantine", "release", quarantine_id, "--dry-run")
    assert lines(result.stdout) == [f"would release {quarantine_id} to <{BOB}>"]
    assert daemon.run("quarantine", "release", quarantine_id).returncode == 0
    assert released_to(downstream) == [CAROL, BOB]
    assert list(daemon.quarantine.iterdir()) == []


@pytest.mark.parametrize("stage", ["banner", "ehlo", "mail", "rcpt", "data", "content"])
def test_killed_before_the_final_dot_it_can_be_released(start_daemon, downstream, stage):
    # Given a release that hangs before the end of the message, which is larger than what the kernel takes of it
    # (tcp_wmem, 4 MiB), so that it hangs inside of the content
    daemon = start_daemon(message_size_limit=16 << 20)
    quarantine_id = keep(daemon, INFECTED + b"0123456789\r\n" * 1_000_000)
    reached = threading.Event()

    def hang(at: str, line: str, _transaction: object) -> Action | None:
        if at == stage:
            reached.set()
            return stall()
        return None

    downstream.decide = hang
    release = Release(daemon, quarantine_id)
    assert reached.wait(15)
    # when it is killed
    release.kill()
    downstream.decide = None
    # then the message was not sent, and can be released as if nothing had been
    assert downstream.accepted == []
    result = daemon.run("quarantine", "release", quarantine_id)
    assert result.returncode == 0, result
    assert released_to(downstream) == list(TWO)


def test_killed_after_the_final_dot_it_is_not_sent_twice(kept, downstream):
    # Given a release whose message the server has, and has not acknowledged
    daemon, quarantine_id = kept
    downstream.on("dot", late(1.5), times=1)
    release = Release(daemon, quarantine_id)
    wait_until(lambda: downstream.dots == 1, "the final dot")
    # when it is killed
    release.kill()
    assert len(downstream.wait_for_accepted(1)) == 1
    # then a second release does nothing, and says what to look for
    for _ in range(2):
        result = daemon.run("quarantine", "release", quarantine_id)
        assert result.returncode == 1
        [line] = lines(result.stderr)
        assert f"{quarantine_id}: a release was interrupted at 2" in line
        for words in (downstream.address, f"<{BOB}>, <{CAROL}>", "<alice@example.com>", "message-id=<one@example.com>"):
            assert words in line
        assert "--again" in line
    assert len(downstream.accepted) == 1
    [entry] = json.loads(daemon.run("quarantine", "list", "--json").stdout)
    assert [item["state"] for item in entry["recipients"]] == ["in doubt", "in doubt"]
    # and who is sure may say so
    assert daemon.run("quarantine", "release", "--again", quarantine_id).returncode == 0
    assert len(downstream.accepted) == 2
    assert list(daemon.quarantine.iterdir()) == []


@pytest.mark.parametrize("action", [close(), stall()])
def test_no_answer_to_the_final_dot_leaves_it_in_doubt(start_daemon, downstream, action):
    # Given a server that is gone, or silent, after the final dot
    daemon = start_daemon(reinject_reply_timeout=1)
    quarantine_id = keep(daemon)
    downstream.on("dot", action, times=1)
    result = daemon.run("quarantine", "release", quarantine_id)
    # then it is not known who has it, and it is not sent again without being told to
    assert result.returncode == 1
    assert f"{quarantine_id}: in doubt whether it was taken for <{BOB}>" in result.stderr.decode()
    result = daemon.run("quarantine", "release", quarantine_id)
    assert (result.returncode, downstream.dots) == (1, 1)
    assert "--again" in result.stderr.decode()


def killed_at(daemon: Daemon, quarantine_id: str, function: str) -> None:
    """Release in a process that is killed right after one step."""
    program = (
        "import os, signal, sys; sys.path.insert(0, sys.argv[1])\n"
        "from filterd import quarantine, quarantine_journal\n"
        "from filterd.cli import main\n"
        f"real = {function}\n"
        "def step(*arguments):\n"
        "    real(*arguments)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        f"{function} = step\n"
        "main(['quarantine', 'release', sys.argv[2], '--config', sys.argv[3]])\n"
    )
    arguments = [str(PROGRAM.parent), quarantine_id, str(daemon.path)]
    killed = subprocess.run([sys.executable, "-c", program, *arguments], check=False, timeout=30, capture_output=True)
    assert killed.returncode == -signal.SIGKILL, killed


def test_killed_between_record_and_final_dot_it_is_in_doubt(kept, downstream):
    # Given a release that is killed when it has recorded that it will send, and has not sent
    daemon, quarantine_id = kept
    killed_at(daemon, quarantine_id, "quarantine_journal.Journal.sending")
    assert downstream.dots == 0
    # then it refuses: it cannot know; and does it when told to
    assert daemon.run("quarantine", "release", quarantine_id).returncode == 1
    assert daemon.run("quarantine", "release", quarantine_id, "--again").returncode == 0
    assert released_to(downstream) == list(TWO)


def test_killed_between_answer_and_removal_it_is_only_removed(kept, downstream):
    # Given a release that is killed when all have the message, and it has not been removed
    daemon, quarantine_id = kept
    killed_at(daemon, quarantine_id, "quarantine_journal.Journal.answered")
    assert released_to(downstream) == list(TWO)
    assert len(daemon.quarantined()) == 1
    # then the next release sends nothing, and removes it
    result = daemon.run("quarantine", "release", quarantine_id)
    assert result.returncode == 0, result
    assert "had been released to all its recipients before" in result.stdout.decode()
    assert released_to(downstream) == list(TWO)
    assert list(daemon.quarantine.iterdir()) == []


def test_two_at_the_same_time(kept, downstream):
    # Given two people who release the same message at the same time
    daemon, quarantine_id = kept
    downstream.on("dot", late(0.5))
    results = []
    threads = [
        threading.Thread(target=lambda: results.append(daemon.run("quarantine", "release", quarantine_id)))
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # then it is delivered once, and the other one is told
    assert sorted(result.returncode for result in results) == [0, 1]
    assert len(downstream.accepted) == 1


def test_delete_and_expire_leave_alone_what_is_being_released(kept, downstream):
    # Given a release under way
    daemon, quarantine_id = kept
    downstream.on("dot", stall())
    release = Release(daemon, quarantine_id)
    wait_until(lambda: downstream.dots == 1, "the final dot")
    # then nobody takes the message away under its hands
    for arguments in (["delete", quarantine_id], ["expire", "--older-than", "0"]):
        result = daemon.run("quarantine", *arguments)
        assert result.returncode == 1
        assert f"{quarantine_id}: somebody else is releasing or deleting it" in result.stderr.decode()
    assert len(daemon.quarantined()) == 1
    # and when it has been killed, the message can be deleted
    release.kill()
    assert daemon.run("quarantine", "delete", quarantine_id).returncode == 0
    assert list(daemon.quarantine.iterdir()) == []


def test_when_it_cannot_be_recorded_nothing_is_sent(kept, downstream):
    # Given a quarantine in which nothing can be recorded
    daemon, quarantine_id = kept
    (daemon.quarantine / f"{quarantine_id}.journal").symlink_to("/nowhere/at/all")
    result = daemon.run("quarantine", "release", quarantine_id)
    # then the final dot is not sent, and one line says why
    assert result.returncode == 1
    assert len(lines(result.stderr)) == 1
    assert ".journal" in result.stderr.decode()
    assert downstream.dots == 0
    os.unlink(daemon.quarantine / f"{quarantine_id}.journal")


def with_parameters(daemon: Daemon, content: bytes, sender: str = "alice@example.com") -> str:
    with daemon.client() as client:
        client.hello()
        client.good(f"MAIL FROM:<{sender}> BODY=8BITMIME SMTPUTF8 RET=HDRS ENVID=x")
        client.good("RCPT TO:<bob@example.com> NOTIFY=NEVER ORCPT=rfc822;bob@example.com")
        reply = client.data(content, 1)[0]
    return re.search(r"quarantined as (\S+)", reply.text).group(1)


def test_with_its_parameters(daemon, downstream):
    # Given a message that came with extensions, then they are there when it is released
    quarantine_id = with_parameters(daemon, INFECTED)
    assert daemon.run("quarantine", "release", quarantine_id).returncode == 0
    sent = parameters(downstream.last.mail)
    del sent["SIZE"]
    assert sent == {"BODY": "8BITMIME", "SMTPUTF8": "", "RET": "HDRS", "ENVID": "x"}
    assert parameters(downstream.last.rcpts[0]) == {"NOTIFY": "NEVER", "ORCPT": "rfc822;bob@example.com"}


def test_to_a_server_without_extensions(daemon, downstream):
    # Given messages that came with extensions, and a server that has none by now
    needless = with_parameters(daemon, INFECTED)
    needed = with_parameters(daemon, "Subject: ä\r\n\r\n".encode() + EICAR + b"\r\n")
    downstream.keywords = ("PIPELINING",)
    # then what needs none of them is released without
    result = daemon.run("quarantine", "release", needless)
    assert result.returncode == 0, result
    assert parameters(downstream.last.mail) == {}
    assert downstream.last.content == INFECTED
    # and what cannot do without stays
    result = daemon.run("quarantine", "release", needed)
    assert result.returncode == 1
    assert "does not take SMTPUTF8" in result.stderr.decode()
    assert len(daemon.quarantined()) == 1


def test_to_the_host_that_handed_it_in(start_daemon, downstream):
    # Given a filter that gives mail back to whoever handed it in
    port = downstream.port
    daemon = start_daemon(reinject=f"*:{port}")
    first, second = keep(daemon), keep(daemon)
    assert daemon.run("quarantine", "release", first).returncode == 0
    # then that host gets it
    assert released_to(downstream) == list(TWO)
    # and another one when it is named
    downstream.clear()
    path = daemon.quarantine / f"{second}.msg"
    path.write_bytes(path.read_bytes().replace(b'"peer": "127.0.0.1"', b'"peer": ""'))
    result = daemon.run("quarantine", "release", second)
    assert result.returncode == 1
    assert "--via HOST:PORT" in result.stderr.decode()
    assert daemon.run("quarantine", "release", second, "--via", downstream.address).returncode == 0
    assert released_to(downstream) == list(TWO)


def test_what_was_done_is_in_the_ledger(start_daemon, downstream, tmp_path):
    # Given a daemon with a ledger
    ledger = tmp_path / "ledger" / "ledger.jsonl"
    daemon = start_daemon(ledger_file=str(ledger))
    first, second, third = keep(daemon), keep(daemon), keep(daemon)
    # when messages leave the quarantine in all ways
    assert daemon.run("quarantine", "release", first, "--to", BOB).returncode == 0
    assert daemon.run("quarantine", "release", first).returncode == 0
    assert daemon.run("quarantine", "delete", second).returncode == 0
    assert daemon.run("quarantine", "expire", "--older-than", "0", "--dry-run").returncode == 0
    assert daemon.run("quarantine", "expire", "--older-than", "0").returncode == 0
    # then the ledger tells of each, so that an audit knows where they have gone
    records = [json.loads(line) for line in ledger.read_text().splitlines()]
    told = [(item["event"], item["quarantine"], item.get("recipient")) for item in records if "quarantine" in item]
    assert [item for item in told if item[0] != "message"] == [
        ("released", first, BOB),
        ("released", first, CAROL),
        ("deleted", first, None),
        ("deleted", second, None),
        ("expired", third, None),
    ]
