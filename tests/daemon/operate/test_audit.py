# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""audit: every acknowledged message has an end, and whatever is missing is found."""

from __future__ import annotations

import gzip
import json
import os
import random
import shutil
import tempfile
import threading
import time
from pathlib import Path

import pytest
from harness.behaviour import Action, close, late, raw, reply, reset, wait_until
from harness.clamd import EICAR
from harness.client import lmtp
from harness.sender import Sender

from filterd.config import from_json
from filterd.operate import audit, notes, postfix_log
from filterd.operate.reading import Read

SERVER_FAULTS = [
    *(reply(450), reply(451, "4.3.0 later"), Action(b"421 4.3.2 bye\r\n", "close"), close(), reset()),
    *(close(b"250 2."), raw(b"nonsense\r\n"), late(0.05)),
]


def report(daemon, *arguments):
    """The exit status of audit, and what it says for machines."""
    done = daemon.run("audit", "--json", *(arguments or ["--no-log"]), timeout=120)
    return done.returncode, json.loads(done.stdout)


@pytest.mark.slow
def test_two_thousand_messages_with_faults_and_killed_workers(start_daemon, downstream, tmp_path):
    # Given a next host that fails in one of forty steps, small ledger files, and workers that are killed now and then
    chance = random.Random(8)
    lock = threading.Lock()

    def sometimes(stage, line, transaction):
        with lock:
            return chance.choice(SERVER_FAULTS) if chance.random() < 1 / 40 else None

    downstream.decide = sometimes
    daemon = start_daemon(
        workers=2,
        instances=6,
        reinject_reply_timeout=1,
        message_deadline=10,
        ledger_max_size=100_000,
        ledger_files=100,
    )
    sender = Sender(daemon.address, "LHLO", [EICAR])

    def kill():
        while not sender.done.wait(1.0):
            pids = daemon.worker_pids()
            if pids:
                os.kill(chance.choice(pids), 9)

    killer = threading.Thread(target=kill)
    killer.start()
    # when two thousand messages come from a client that tries again
    try:
        sender.send(range(2000), threads=12, patience=240)
    finally:
        killer.join()
    # then the ledger has an end for each answer that the client got, and nothing is missing
    wait_until(lambda: len(daemon.worker_pids()) == 2, "both workers")
    status, found = report(daemon)
    assert status == 0, found
    assert found["acknowledged"] >= 2000
    written = {}
    # right after a full one was renamed there is none without a number
    current = [daemon.ledger] if daemon.ledger.exists() else []
    for name in [*sorted(daemon.ledger.parent.glob("ledger.jsonl*[0-9]")), *current]:
        for text in name.read_text().splitlines():
            data = json.loads(text)
            if data["event"] == "message":
                written[data["id"]] = data
    for number, answer in sender.answers.items():
        identity = answer.text.partition("filter id=")[2][:10]
        data = written[identity]
        assert data["sender"] == f"{number}@example.com"
        assert data["recipients"][0]["end"] == ("quarantined" if sender.infected(number) else "delivered")
        if not sender.infected(number):
            assert any(data["recipients"][0]["queue_id"] == item.queue_id for item in downstream.accepted)
    # and the figures agree with the ledger although workers were killed
    numbers = json.loads(daemon.run("status", "--json").stdout)
    assert numbers["worker_restarts"] >= 2
    assert abs(numbers["messages"]["total"] - len(written)) <= numbers["worker_restarts"]
    # and each of ten lines that are cut out of a copy is found
    assert daemon.stop() == 0
    for number in range(10):
        copy = tmp_path / f"copy{number}"
        shutil.copytree(daemon.ledger.parent, copy)
        victim = random.Random(number).choice(
            [
                path
                for path in copy.glob("ledger.jsonl*")
                if path.suffix not in (".lock", ".key") and path.stat().st_size
            ]
        )
        lines = victim.read_text().splitlines(keepends=True)
        cut = random.Random(number).randrange(len(lines))
        gone = json.loads(lines.pop(cut))
        victim.write_text("".join(lines))
        status, found = report(daemon, "--no-log", "--ledger", str(copy / "ledger.jsonl"))
        assert status == 1
        assert [(gap["writer"], gap["first"], gap["last"]) for gap in found["gaps"]] == [
            (gone["writer"], gone["n"], gone["n"])
        ]


def test_a_quarantined_message_that_vanished_is_found_and_a_deleted_one_is_not(start_daemon):
    daemon = start_daemon()
    for _ in range(2):
        lmtp(daemon.address, b"Subject: x\r\n\r\n" + EICAR + b"\r\n")
    first, second = daemon.quarantined()
    assert report(daemon)[0] == 0
    assert daemon.run("quarantine", "delete", first.stem).returncode == 0
    assert report(daemon)[0] == 0
    second.unlink()
    status, found = report(daemon)
    assert status == 1
    assert second.stem in found["problems"][0]


def test_an_expired_message_has_its_end(start_daemon):
    daemon = start_daemon()
    lmtp(daemon.address, b"Subject: x\r\n\r\n" + EICAR + b"\r\n")
    assert daemon.run("quarantine", "expire", "--older-than", "0").returncode == 0
    assert report(daemon)[0] == 0


def test_a_message_that_was_deleted_just_after_the_ledger_was_renamed_has_its_end(start_daemon):
    daemon = start_daemon()
    lmtp(daemon.address, b"Subject: x\r\n\r\n" + EICAR + b"\r\n")
    daemon.ledger.rename(f"{daemon.ledger}.1")
    assert daemon.run("quarantine", "delete", daemon.quarantined()[0].stem).returncode == 0
    assert report(daemon)[0] == 0


def test_what_root_did_is_written_to_a_file_that_the_daemon_can_write_to():
    with tempfile.TemporaryDirectory() as name:
        # pytest's directories are for their owner alone
        os.chmod(name, 0o755)
        directory = Path(name) / "ledger"
        directory.mkdir()
        if os.geteuid() == 0:
            os.chown(directory, 65534, 65534)
        notes.removed(from_json({"ledger_file": str(directory / "ledger.jsonl")}), "Q1", "deleted")
        assert {path.stat().st_uid for path in directory.iterdir()} == {directory.stat().st_uid}
        assert len((directory / "ledger.jsonl").read_text().splitlines()) == 1
    # and who did it is root again
    assert os.geteuid() == os.getuid()


def test_the_last_line_of_a_running_worker_is_missed(start_daemon):
    # Given a ledger of which the last line was cut off while the daemon runs
    daemon = start_daemon()
    for _ in range(3):
        lmtp(daemon.address)
    lines = daemon.ledger.read_text().splitlines(keepends=True)
    daemon.ledger.write_text("".join(lines[:-1]))
    # then audit asks the daemon how many there should be
    status, found = report(daemon)
    assert status == 1
    assert found["gaps"][0]["missing"] == 1


def test_broken_lines_are_told_with_their_place_and_end_nothing(start_daemon):
    daemon = start_daemon()
    lmtp(daemon.address)
    with open(daemon.ledger, "a") as file:
        file.write("nonsense\n")
    lmtp(daemon.address)
    done = daemon.run("audit", "--no-log")
    assert done.returncode == 1
    assert b"line 3 (byte " in done.stdout
    assert report(daemon)[1]["messages"] == 2


class TestAgainstPostfix:
    """What Postfix logged is the other side of the ledger."""

    NOW = 1_795_380_000.0
    STAMP = time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime(NOW - 100))

    def log(self, *texts):
        return [postfix_log.parse(f"{self.STAMP} mx postfix/{text}", self.NOW) for text in texts]

    def ledgers(self, *messages):
        taken = audit.Ledgers(0.0, complete=True)
        for number, (identity, queue_id) in enumerate(messages):
            recipient = {"address": "b@example.com", "end": "delivered", "reply": "250 2.0.0 Ok", "queue_id": queue_id}
            data = {
                "v": 1,
                "time": self.NOW - 100,
                "writer": "a.1",
                "n": number + 1,
                "event": "message",
                "id": identity,
                "front": "-",
                "recipients": [recipient],
            }
            taken.take(Read("x", number + 1, data))
        return taken

    def judge(self, ledgers, log):
        return audit.judge(ledgers, {}, set(), log, True, self.NOW)

    def test_an_acknowledgement_without_a_line_is_found(self):
        log = self.log(
            "lmtp[7]: 4F00000001: to=<b@example.com>, relay=127.0.0.1[127.0.0.1]:10024, delay=1, delays=0/0/0/1,"
            " dsn=2.0.0, status=sent (250 2.0.0 Ok: filter id=0123456789, reinjected as 250 2.0.0 Ok: queued as 4BAC1)",
            "smtpd[8]: NOQUEUE: proxy-accept: END-OF-MESSAGE: 250 2.0.0 Ok: filter id=aaaaaaaaaa, reinjected as 250"
            " 2.0.0 Ok: queued as 4BAC2; from=<a@example.com> to=<b@example.com> proto=ESMTP helo=<x>",
            "lmtp[7]: 4F0000000E: to=<c@example.com>, relay=127.0.0.1[127.0.0.1]:10024, delay=1, delays=0/0/0/1,"
            " dsn=4.3.0, status=deferred (host 127.0.0.1[127.0.0.1] said: 451 4.3.0 Error: filter id=bbbbbbbbbb)",
        )
        found = self.judge(self.ledgers(), [line for line in log if line])
        assert [problem[:13] for problem in found.problems] == ["id=0123456789", "id=aaaaaaaaaa"]

    def test_a_queue_id_that_postfix_never_had_is_found(self):
        log = self.log("smtpd[1]: 4BAC000001: client=localhost[127.0.0.1]", "qmgr[1]: 4BAC000001: removed")
        found = self.judge(self.ledgers(("0123456789", "4BAC000001"), ("aaaaaaaaaa", "4BAC000002")), log)
        assert len(found.problems) == 1
        assert "4BAC000002" in found.problems[0]

    def test_all_is_well(self):
        log = self.log("smtpd[1]: 4BAC000001: client=localhost[127.0.0.1]")
        assert self.judge(self.ledgers(("0123456789", "4BAC000001")), log).good


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2026-11-22T21:00:00+00:00", 1_795_381_200.0),
        ("2026-11-22T21:00:00.5+00:00", 1_795_381_200.5),
        ("2026-11-22T22:00:00+0100", 1_795_381_200.0),
        ("2026-11-22T16:30:00-04:30", 1_795_381_200.0),
        ("2026-11-22T21:00:00Z", 1_795_381_200.0),
        ("nonsense", 0.0),
        ("2026-99-22T21:00:00Z", 0.0),
    ],
)
def test_stamps(text, seconds):
    assert postfix_log.stamp(text, 1_795_382_000.0) == seconds


@pytest.mark.parametrize("damage", [lambda data: data[:-20], lambda data: data[:60] + b"\xff" * 20 + data[80:]])
def test_a_damaged_log_file_is_told_and_ends_nothing(tmp_path, capsys, damage):
    lines = [f"2026-11-22T21:00:00Z mx postfix/qmgr[1]: 4F{number:08X}: removed\n" for number in range(2000)]
    path = tmp_path / "mail.log.1.gz"
    path.write_bytes(damage(gzip.compress("".join(lines).encode())))
    whole = tmp_path / "mail.log"
    whole.write_text(lines[0])
    found = list(postfix_log.read([str(path), str(whole)], 0.0, 1_795_382_000.0))
    assert found[-1].queue_id == "4F00000000"
    assert f"{path} is damaged" in capsys.readouterr().err


def test_a_stamp_without_a_year_is_of_the_last_twelve_months():
    january = time.mktime((2027, 1, 3, 12, 0, 0, 0, 0, -1))
    assert time.localtime(postfix_log.stamp("Dec 31 23:59:59", january)).tm_year == 2026
    assert time.localtime(postfix_log.stamp("Jan  2 23:59:59", january)).tm_year == 2027
