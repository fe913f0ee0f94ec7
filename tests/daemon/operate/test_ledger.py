# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The ledger: what a line says, who may read addresses, and that no line is lost or mixed with another."""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import subprocess
import tempfile
from pathlib import Path

import pytest
from harness.behaviour import close, late, reply, wait_until
from harness.clamd import EICAR
from harness.client import Client, ConnectionClosed, lmtp, smtp, stuff
from hypothesis import given, settings
from hypothesis import strategies as st

from filterd.findings import Finding, Score
from filterd.operate import audit, ledger, reading, trace
from filterd.operate.commands import _narrated, _told
from filterd.operate.record import Privacy, Recipient, Record, encoded, end_of, line, message_id
from filterd.operate.shape import complaint
from filterd.smtp.reply import Reply

PASSED = Reply(250, "2.0.0", "Ok: filter id=0123456789, reinjected as 250 2.0.0 Ok: queued as 4BACK000001")
REFUSED = Reply(550, "5.1.1", "<bob@example.com>: Recipient address rejected")
RECORD = Record(
    *("0123456789", "4FRONT0001", "192.0.2.1", "127.0.0.1", True, "alice@example.com", 4096),
    *(b"Received: x\r\nMessage-ID: <a@b>\r\n", "clean", "pass", [], [], "-"),
    *((Recipient("bob@example.com", "pass", PASSED),), 0, (0.001, 0.002, 0.003, 0.006), 0.01, False),
)


def lines(daemon, event="message"):
    """The lines of a daemon's ledger about an event."""
    return [
        item.data
        for item in reading.lines(str(daemon.ledger))
        if isinstance(item, reading.Read) and item.data["event"] == event
    ]


class TestLine:
    def test_a_delivered_message(self):
        data = line(RECORD, ["delivered"], Privacy("full"))
        assert (data["id"], data["front"], data["message_id"]) == ("0123456789", "4FRONT0001", "<a@b>")
        assert data["recipients"][0]["queue_id"] == "4BACK000001"
        assert "quarantine" not in data

    def test_nothing_from_mail_can_end_a_line(self):
        nasty = 'a\n{"v":1}\u2028\x1b[2J\udcff"@example.com'
        record = RECORD._replace(
            sender=nasty,
            findings=[Finding("virus", nasty, "clamd")],
            recipients=(Recipient(nasty, "pass", PASSED._replace(text=nasty)),),
        )
        raw = encoded(line(record, ["delivered"], Privacy("full")))
        assert raw.count(b"\n") == 1
        assert raw.isascii()
        assert b"\x1b" not in raw
        assert json.loads(raw)["sender"] == nasty

    def test_what_is_endless_is_cut(self):
        many = [Finding("banned", "x" * 10_000, "filter")] * 1000
        scores = [Score(5.0, 4.0, (), "spamd")] * 1000
        header = b"Message-ID: <" + b"x" * 900 + b"@example.com>\r\n"
        record = RECORD._replace(findings=many, scores=scores, header=header)
        raw = encoded(line(record, ["delivered"], Privacy("full")))
        assert len(raw) < 8000

    @pytest.mark.parametrize(
        ("answer", "disposition", "end"),
        [
            (PASSED, "pass", "delivered"),
            (PASSED, "tag", "delivered"),
            (REFUSED, "pass", "rejected"),
            (Reply(451, "4.3.0", "later"), "discard", "deferred"),
            (Reply(250, "2.7.0", "Ok: discarded, quarantined as x"), "discard", "quarantined"),
            (Reply(250, "2.7.0", "Ok: discarded, quarantined as x"), "bounce", "bounced"),
            (Reply(250, "2.7.0", "Ok: kept for delivery as x"), "pass", "quarantined"),
        ],
    )
    def test_ends(self, answer, disposition, end):
        assert end_of(Recipient("bob@example.com", disposition, answer)) == end

    @pytest.mark.parametrize(
        ("header", "found"),
        [
            (b"Message-ID: <a@b>\r\n", "<a@b>"),
            (b"x: y\r\nmessage-id:<a@b>\r\n", "<a@b>"),
            (b"Message-Id:\r\n <a@b>\r\n", "<a@b>"),
            (b"x: Message-ID: <a@b>\r\n", ""),
            (b"Message-ID: none\r\n", ""),
            (b"", ""),
        ],
    )
    def test_message_ids(self, header, found):
        assert message_id(header) == found


class TestPrivacy:
    def test_hashed_addresses_can_be_found_again_and_not_read(self):
        privacy = Privacy("hashed", b"salt")
        record = RECORD._replace(recipients=(Recipient("bob@example.com", "pass", REFUSED),))
        raw = encoded(line(record, ["rejected"], privacy)).decode()
        assert "example.com" not in raw
        assert privacy.address("Bob@Example.COM") in raw
        assert Privacy("hashed", b"other").address("bob@example.com") not in raw

    def test_none_leaves_them_out(self):
        record = RECORD._replace(recipients=(Recipient("bob@example.com", "pass", REFUSED),))
        data = line(record, ["rejected"], Privacy("none"))
        assert "@" not in json.dumps({**data, "message_id": ""})

    def test_the_null_sender_is_told(self):
        assert Privacy("hashed", b"x").address("") == Privacy("none").address("") == ""

    @pytest.mark.parametrize("mode", ["hashed", "none"])
    def test_the_daemon_keeps_to_it_and_trace_finds_by_address(self, start_daemon, mode):
        daemon = start_daemon(ledger_addresses=mode)
        lmtp(daemon.address, recipients=["carol@example.org"])
        assert "carol" not in daemon.ledger.read_text()
        found = daemon.run("trace", "carol@example.org", "--no-log")
        assert (found.returncode == 0) is (mode == "hashed")


class TestFile:
    def test_many_processes_write_while_files_are_renamed(self, tmp_path):
        # Given four writers of 3000 lines each, and files of 64 KiB
        path = str(tmp_path / "ledger.jsonl")
        where = ledger.Place(path, 65536, 1000)
        processes = [multiprocessing.Process(target=_write_many, args=(where, f"w.{n}", 3000)) for n in range(4)]
        for process in processes:
            process.start()
        for process in processes:
            process.join()
        # then every line is there once, in order, and whole
        found = list(reading.lines(path))
        assert not [item for item in found if isinstance(item, reading.Broken)]
        for number in range(4):
            assert [item.data["n"] for item in found if item.data["writer"] == f"w.{number}"] == list(range(1, 3001))
        assert len(reading.files(path)) > 10
        assert all(os.path.getsize(name) < 2 * 65536 + 4 * 400 for name in reading.files(path))

    def test_old_files_go(self, tmp_path):
        path = str(tmp_path / "ledger.jsonl")
        _write_many(ledger.Place(path, 4096, 3), "w.1", 500)
        assert [os.path.basename(name) for name in reading.files(path)] == [
            *("ledger.jsonl.3", "ledger.jsonl.2", "ledger.jsonl.1"),
            *(["ledger.jsonl"] if os.path.exists(path) else []),
        ]

    def test_a_file_that_somebody_moves_or_removes_is_made_again(self, tmp_path):
        path = tmp_path / "ledger.jsonl"
        writer = ledger.Ledger(ledger.Place(str(path), 1 << 20, 3), "w.1")
        assert writer.write({"event": "x"})
        path.rename(tmp_path / "elsewhere")
        assert writer.write({"event": "y"})
        assert json.loads(path.read_text())["event"] == "y"
        path.unlink()
        assert writer.write({"event": "z"})
        assert json.loads(path.read_text())["n"] == 3

    @pytest.mark.skipif(os.geteuid() != 0, reason="mounts a file system")
    def test_a_full_disk_loses_lines_but_no_mail(self, start_daemon, tmp_path, downstream):
        # Given a ledger on a file system without room for another line
        place = tmp_path / "small"
        place.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(place)], check=True)
        try:
            daemon = start_daemon(ledger_file=str(place / "ledger.jsonl"), workers=2)
            filler = place / "filler"
            with contextlib.suppress(OSError), open(filler, "wb", buffering=0) as file:
                while True:
                    file.write(b"x" * 4096)
            # when mail comes, then all of it is delivered, and this is said once by each worker
            for _ in range(40):
                assert lmtp(daemon.address, sender="a" * 60 + "@example.com")[0].code == 250
            assert len(downstream.accepted) == 40
            assert 1 <= daemon.log.count("No space left on device): mail goes on") <= 2
            # and when there is room again, lines are written, also behind one that was cut off
            filler.unlink()
            wait_until(lambda: _another(daemon) and "is written again" in daemon.log, "the ledger to go on")
            assert daemon.run("audit", "--no-log", "--ledger", str(place / "ledger.jsonl")).returncode == 1
            whole = [item for item in reading.lines(str(place / "ledger.jsonl")) if isinstance(item, reading.Read)]
            assert whole[-1].data["event"] == "message"
        finally:
            daemon.finish()
            subprocess.run(["umount", str(place)], check=True)

    def test_a_directory_that_cannot_be_made_is_said_and_mail_goes_on(self, start_daemon, tmp_path):
        (tmp_path / "file").touch()
        daemon = start_daemon(ledger_file=str(tmp_path / "file" / "x" / "ledger.jsonl"))
        assert lmtp(daemon.address)[0].code == 250
        assert "mail goes on" in daemon.log

    def test_without_a_ledger(self, start_daemon):
        daemon = start_daemon(ledger_file="")
        assert lmtp(daemon.address)[0].code == 250
        assert daemon.run("audit").returncode == 1
        assert "ledger" not in daemon.log

    @pytest.mark.parametrize("name", ["", "/ledger.jsonl", "/ledger.jsonl.lock"])
    def test_a_place_that_this_user_cannot_write_is_named(self, name):
        # Given a ledger's directory that anybody may write to, in which one thing is root's
        with tempfile.TemporaryDirectory(dir="/tmp") as place:
            os.chmod(place, 0o777)
            for file in ("/ledger.jsonl", "/ledger.jsonl.lock"):
                Path(place + file).touch()
                os.chmod(place + file, 0o666)
            os.chmod(place + name, 0o400 if name else 0o555)
            # then who is not root cannot write, and hears of what
            with _not_root(), pytest.raises(PermissionError) as error:
                ledger.probe(f"{place}/ledger.jsonl")
            assert error.value.filename.startswith(place + name)
            # and when it is put right, nothing is said and nothing was made
            os.chmod(place + name, 0o666 if name else 0o777)
            with _not_root():
                ledger.probe(f"{place}/ledger.jsonl")
            assert sorted(os.listdir(place)) == ["ledger.jsonl", "ledger.jsonl.lock"]


@contextlib.contextmanager
def _not_root():
    """What is in it is done by nobody where the tests are root's."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(user)


def _write_many(where, name, count):
    writer = ledger.Ledger(where, name)
    for number in range(count):
        assert writer.write({"event": "x", "text": "y" * (number % 300)})


def _another(daemon):
    return lmtp(daemon.address)[0].code == 250


class TestReading:
    def test_what_is_broken_is_told_with_its_place(self, tmp_path):
        path = tmp_path / "ledger.jsonl"
        _write_many(ledger.Place(str(path), 1 << 20, 3), "w.1", 3)
        good = path.read_bytes().splitlines(keepends=True)
        path.write_bytes(good[0] + b"nonsense\n" + good[1] + b"\n" + b'{"v":1,"event":"message"}\n' + good[2][:-9])
        broken = [item for item in reading.lines(str(path)) if isinstance(item, reading.Broken)]
        assert [item.number for item in broken] == [2, 4, 5, 6]
        assert broken[0].offset == len(good[0])
        assert broken[3].words == "the last line is not whole"

    def test_a_line_behind_one_that_was_cut_off_is_read(self, tmp_path):
        path = tmp_path / "ledger.jsonl"
        _write_many(ledger.Place(str(path), 1 << 20, 3), "w.1", 3)
        first, second, third = path.read_bytes().splitlines(keepends=True)
        path.write_bytes(first + second[:30] + third)
        found = list(reading.lines(str(path)))
        assert [item.data["n"] for item in found if isinstance(item, reading.Read)] == [1, 3]
        assert [item.number for item in found if isinstance(item, reading.Broken)] == [2]

    @given(st.lists(st.binary(max_size=60), max_size=20))
    def test_no_content_is_too_strange(self, pieces):
        with tempfile.TemporaryDirectory() as directory:
            path = Path(directory) / "ledger.jsonl"
            data = b"\n".join(pieces)
            path.write_bytes(data)
            count = len(data.split(b"\n")) - data.endswith(b"\n") if data else 0
            assert len(list(reading.lines(str(path)))) == count


MESSAGE = {"id": "fb13a8065d", "front": "4F1A2B3C4D", "client": "192.0.2.1", "sender": "alice@example.com"}
MESSAGE |= {"event": "message", "size": 71, "message_id": "<x@y>", "verdict": "virus", "disposition": "quarantine"}
MESSAGE |= {"seconds": [0.1, 0.2, 0.3, 1.5], "findings": [["virus", "Eicar", "clamd"]], "quarantine": "Q1"}
MESSAGE |= {"recipients": [{"address": "bob@example.com", "end": "delivered", "reply": "250 ok", "queue_id": "4F1B"}]}
RELEASED = {"quarantine": "Q1", "recipient": "bob@example.com", "reply": "250 ok", "queue_id": "4F1C"}
EVENTS = [
    MESSAGE,
    {"event": "given up", "id": "0123456789", "front": "-", "size": 3, "reason": "deadline"},
    {"event": "released", **RELEASED},
    {"event": "deleted", "quarantine": "Q1", "why": "released to all"},
    {"event": "worker ended", "worker": "a.2", "lines": 5},
]
ODD = st.one_of(
    st.sampled_from([None, True, -1, 10**400, float("nan"), float("inf"), 1e308, "", [], {}, [[]], [1], [[1, 2, 3]]]),
    st.recursive(st.none() | st.integers() | st.text(max_size=3), lambda inner: st.lists(inner, max_size=4)),
)


class TestStrangeValues:
    """A line that is JSON, but holds what the daemon never wrote."""

    @pytest.mark.parametrize("number", range(len(EVENTS)))
    def test_lines_of_the_daemon_are_taken(self, number):
        assert complaint({"v": 1, "time": 1.8e9, "writer": "a.1", "n": 1, **EVENTS[number]}) == ""

    @settings(max_examples=300)
    @given(st.sampled_from(EVENTS), st.data(), ODD)
    def test_nothing_ends_audit_or_trace(self, event, data, odd):
        line_ = {"v": 1, "time": 1.8e9, "writer": "a.1", "n": 1, **event}
        # one value, or one within a value, is another one
        place, holder = data.draw(st.sampled_from(sorted(line_))), line_
        if isinstance(line_[place], list) and data.draw(st.booleans()):
            holder = line_[place] = [*line_[place]]
            place = data.draw(st.integers(0, len(holder) - 1))
        holder[place] = odd
        with tempfile.TemporaryDirectory() as directory:
            path = Path(directory) / "ledger.jsonl"
            path.write_text("".join(json.dumps(one) + "\n" for one in (line_, {**line_, **MESSAGE, "v": 1})))
            ledgers = audit.Ledgers(0.0, complete=True)
            for item in reading.lines(str(path)):
                ledgers.take(item)
            report = audit.judge(ledgers, {}, set(), [], True, 1.8e9)
            assert list(_told(report, str(path), 1, "none"))
            assert json.dumps(audit.as_json(report))
            good = [item.data for item in reading.lines(str(path)) if isinstance(item, reading.Read)]
            for word in ("fb13a8065d", "bob@example.com", "Q1"):
                for story in trace.stories(trace.Wanted(word, Privacy("full")), lambda: good, list, set()):
                    assert list(_narrated(story))
        # what is no line as it should be is told with its place
        assert [item.number for item in report.broken] == [1] * bool(complaint(line_)) + [2] * (len(good) == 0)


class TestDaemon:
    def test_each_end_has_its_line(self, start_daemon, downstream):
        # Given a next host that defers one recipient and refuses another one
        daemon = start_daemon()
        downstream.on("rcpt", reply(450), match="later@")
        downstream.on("rcpt", reply(550), match="never@")
        recipients = ["bob@example.com", "later@example.com", "never@example.com"]
        # when a message is for all of them
        lmtp(daemon.address, recipients=recipients)
        # then each has its own end
        (data,) = lines(daemon)
        assert [item["end"] for item in data["recipients"]] == ["delivered", "deferred", "rejected"]
        assert data["recipients"][0]["queue_id"] == downstream.accepted[0].queue_id
        # and by SMTP there is one answer
        smtp(daemon.address, recipients=["bob@example.com"])
        assert lines(daemon)[1]["answer"] == 250

    def test_a_quarantined_one_and_its_release(self, start_daemon, downstream):
        daemon = start_daemon()
        lmtp(daemon.address, b"Subject: x\r\n\r\n" + EICAR + b"\r\n")
        (data,) = lines(daemon)
        assert data["quarantine"] == daemon.quarantined()[0].stem
        assert data["findings"] == [["virus", "Eicar-Test-Signature", "built-in"]]
        assert daemon.run("quarantine", "release", data["quarantine"]).returncode == 0
        (released,) = lines(daemon, "released")
        assert (released["quarantine"], released["recipient"]) == (data["quarantine"], "bob@example.com")
        assert [item["quarantine"] for item in lines(daemon, "deleted")] == [data["quarantine"]]

    def test_a_copy_that_was_forgotten_is_not_told(self, start_daemon, downstream):
        # Given an SMTP client with one recipient for quarantine and one that is deferred
        rule = {"recipients": ["keep@example.com"], "clean": "quarantine"}
        daemon = start_daemon(policy=[rule])
        downstream.on("rcpt", reply(450))
        smtp(daemon.address, recipients=["keep@example.com", "bob@example.com"])
        # then all of it comes again, and no quarantine id leads nowhere
        assert not daemon.quarantined()
        assert "quarantine" not in lines(daemon)[0]

    def test_the_client_that_goes_and_the_deadline_are_told(self, start_daemon, downstream):
        daemon = start_daemon(message_deadline=0.5)
        downstream.on("mail", late(2), times=1)
        assert lmtp(daemon.address)[0].code == 451
        downstream.on("mail", late(2), times=1)
        with Client(daemon.address) as client:
            client.hello("LHLO")
            client.envelope()
            client.good("DATA")
            client.send(stuff(b"x\r\n"))
        wait_until(lambda: len(lines(daemon, "given up")) == 2, "both to be told")
        assert [item["reason"] for item in lines(daemon, "given up")] == ["deadline", "client"]

    def test_it_is_written_before_the_answer(self, start_daemon, downstream):
        # Given a worker that is killed when the answer is out
        daemon = start_daemon()
        for number in range(20):
            with Client(daemon.address) as client:
                client.hello("LHLO")
                client.envelope(f"{number}@example.com")
                client.data(b"x\r\n")
                os.kill(daemon.worker_pids()[0], 9)
                with pytest.raises((ConnectionClosed, OSError)):
                    client.command("NOOP")
            # then its line is there
            wait_until(daemon.worker_pids, "another worker")
            assert lines(daemon)[-1]["sender"] == f"{number}@example.com"
            if number == 2:
                break
        wait_until(lambda: len(lines(daemon, "worker ended")) == 3, "the ends of the workers")
        assert all(item["lines"] == 1 for item in lines(daemon, "worker ended"))

    def test_a_reinjection_that_breaks_is_deferred(self, start_daemon, downstream):
        daemon = start_daemon()
        downstream.on("dot", close())
        assert lmtp(daemon.address)[0].code == 451
        assert lines(daemon)[0]["recipients"][0]["end"] == "deferred"
