# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Warnings before harm: when they begin, that each is said once, and that they end."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time

import pytest
from harness.behaviour import late, stall, wait_until
from harness.client import lmtp
from harness.daemon import PROGRAM
from harness.interpreter import interpreter
from harness.load import open_message

from filterd.config import from_json
from filterd.operate import looks, watch
from filterd.operate.metrics import Layout, Meter, Totals
from filterd.operate.warnings import ADVICE, NAMES, Seen, Standing, Warning, duration, judge  # noqa: A004
from filterd.operate.window import History, Window

CONFIG = from_json({"quarantine_reserve": 1000, "warn_quarantine_margin": 500})
WELL = Seen(0.0, 0.0, looks.Disks(0, 1000, 10_000), {"clamd": 3600.0}, {"clamd": 0.1}, "", 0.0, "")


def names(seen):
    return [warning.name for warning in judge(seen, CONFIG)]


def warnings(daemon):
    """The names of the warnings that the daemon tells of."""
    return [warning["name"] for warning in json.loads(daemon.run("status", "--json").stdout)["warnings"]]


class TestJudgement:
    def test_all_is_well(self):
        assert names(WELL) == []

    def test_what_is_not_known_is_no_warning(self):
        assert names(WELL._replace(disks=looks.Disks(None, None, None), signature_ages={}, scanner_times={})) == []

    @pytest.mark.parametrize(
        ("changes", "name"),
        [
            ({"full_for": 60.0}, "instances"),
            ({"used": 0.5}, "deadline"),
            ({"disks": looks.Disks(800, 1000, 10_000)}, "scratch"),
            ({"disks": looks.Disks(0, 1000, 1499)}, "quarantine"),
            ({"signature_ages": {"clamd": 86401.0}}, "signatures"),
            ({"scanner_times": {"clamd": 5.1}}, "scanner"),
            ({"clock": "the clock was set"}, "clock"),
            ({"ledger_failures": 1.0}, "ledger"),
            ({"drift": "configuration a runs, b is in x"}, "configuration"),
        ],
    )
    def test_each(self, changes, name):
        assert names(WELL._replace(**changes)) == [name]

    @pytest.mark.parametrize(
        "changes",
        [
            {"full_for": 59.9},
            {"used": 0.4},
            {"disks": looks.Disks(799, 1000, 1500)},
            {"signature_ages": {"clamd": 86400.0}},
            {"scanner_times": {"clamd": 5.0}},
        ],
    )
    def test_up_to_the_bound_nothing(self, changes):
        assert names(WELL._replace(**changes)) == []

    def test_each_has_advice(self):
        assert set(NAMES) == set(ADVICE)
        assert all(len(words) > 20 for words in ADVICE.values())

    def test_durations(self):
        assert [duration(number) for number in (5, 600, 7200, 200_000)] == ["5 s", "10 min", "2 h", "2 days"]


class TestStanding:
    ONE = Warning("scratch", "words", "advice")

    def test_each_is_said_once(self):
        standing = Standing()
        assert standing.update([self.ONE], 0.0) == ([self.ONE], [])
        assert standing.update([self.ONE._replace(words="other")], 5.0) == ([], [])
        assert standing.now[0].words == "other"

    def test_what_flickers_stands_and_what_is_over_is_said_once(self):
        standing = Standing()
        standing.update([self.ONE], 0.0)
        assert standing.update([], 20.0) == ([], [])
        assert standing.update([self.ONE], 25.0) == ([], [])
        assert standing.update([], 50.0) == ([], [])
        assert standing.update([], 60.0) == ([], ["scratch"])
        assert standing.update([], 65.0) == ([], [])
        assert not standing.stands("scratch")


class TestClock:
    def test_a_step_is_remembered_for_an_hour(self):
        clock = looks.Clock(1000.0, 0.0, 0.0)
        assert clock.trouble(1010.0, 10.0, 0.0) == ""
        assert "+60 s" in clock.trouble(1080.0, 20.0, 0.0)
        assert clock.trouble(1090.0, 30.0, 0.0)
        assert clock.trouble(4700.0, 3640.0, 0.0) == ""

    def test_slow_correction_is_none(self):
        clock = looks.Clock(1000.0, 0.0, 0.0)
        assert clock.trouble(1014.0, 10.0, 0.0) == ""

    def test_before_the_code_or_the_signatures(self):
        assert "installed" in looks.Clock(1000.0, 0.0, 5000.0).trouble(1000.0, 0.0, 0.0)
        assert "signatures" in looks.Clock(1000.0, 0.0, 0.0).trouble(1000.0, 0.0, 9000.0)


class TestFigures:
    def test_a_window_forgets(self):
        meter, window = Meter(Layout([])), Window(300)
        for now in range(0, 1000, 10):
            meter.message("clean", "pass", 1, ["delivered"], (0, 0, 0, 0), 0.0)
            totals = Totals()
            totals.include(meter)
            window.add(float(now), totals)
        lately, seconds = window.since(990.0, 300.0, totals)
        assert (lately.count("messages"), seconds) == (30, 300.0)
        lately, seconds = window.since(990.0, 60.0, totals)
        assert (lately.count("messages"), seconds) == (6, 60.0)

    def test_history_of_hours(self):
        meter, history = Meter(Layout([])), History()
        for hour in range(60):
            for _ in range(hour):
                meter.message("virus", "discard", 1, ["quarantined"], (0, 0, 0, 0.02), 0.0)
            totals = Totals()
            totals.include(meter)
            history.add(hour * 3600.0 + 17, totals)
        found = history.as_json()
        assert len(found) == 48
        assert found[-1] == {"start": 59 * 3600, "messages": {"virus": 59}, "p95": pytest.approx(0.02425, abs=0.001)}

    def test_the_quarantine_in_figures(self, tmp_path):
        for name in ("20261122T180000Z-aa.msg", "20261121T180000Z-bb.msg", ".hidden", "20261122T180000Z-aa.journal"):
            (tmp_path / name).write_bytes(b"x" * 10)
        assert watch.look_into(str(tmp_path)) == watch.Kept(2, 20, 1795284000)
        assert watch.look_into(str(tmp_path.parent / tmp_path.name)).messages == 2

    @pytest.mark.parametrize("version", ["ClamAV 1.4.3", "", "a/b/nonsense", "a/b/"])
    def test_a_scanner_that_does_not_say_how_old_its_signatures_are(self, version):
        assert watch.made(version) is None

    def test_the_time_of_signatures(self):
        made = watch.made("ClamAV 1.4.3/27800/Tue Oct 20 08:00:00 2026")
        assert time.localtime(made)[:5] == (2026, 10, 20, 8, 0)


class TestDaemon:
    def test_a_slow_message_is_told_once_and_in_each_place(self, start_daemon, downstream):
        daemon = start_daemon(message_deadline=4, warn_deadline_used=0.2)
        downstream.on("dot", late(1.5), times=1)
        lmtp(daemon.address)
        daemon.wait_for_log("warning deadline: a message needed 30 %")
        assert warnings(daemon) == ["deadline"]
        screen = daemon.run("status")
        assert screen.returncode == 1
        assert b"WARNING deadline: a message needed 30 %" in screen.stdout
        lmtp(daemon.address)
        time.sleep(6)
        assert daemon.log.count("warning deadline:") == 1

    def test_instances_that_are_always_full(self, start_daemon, clamd):
        daemon = start_daemon(scanners=[clamd.settings], instances=1, warn_full_time=2)
        clamd.on("verdict", stall())
        clients = [open_message(daemon.address) for _ in range(2)]
        daemon.wait_for_log("warning instances: all 1 instances are busy", timeout=20)
        clamd.clear()
        for client in clients:
            client.reply()
            client.close()

    def test_old_signatures_and_slow_scans(self, start_daemon, clamd):
        daemon = start_daemon(scanners=[clamd.settings], warn_signature_age=60, warn_scanner_time=0.01)
        clamd.on("verdict", late(0.2))
        lmtp(daemon.address)
        daemon.wait_for_log("warning signatures: signatures of clamd at .* are [0-9]+ days old", timeout=20)
        daemon.wait_for_log("warning scanner: clamd at .* needs 0.2 s", timeout=20)

    def test_room_in_the_quarantine(self, start_daemon):
        daemon = start_daemon(warn_quarantine_margin=1 << 60)
        daemon.wait_for_log("warning quarantine: the quarantine has room for [0-9]+ more bytes", timeout=20)
        assert "quarantine" in warnings(daemon)

    def test_a_lost_ledger(self, start_daemon, tmp_path):
        (tmp_path / "file").touch()
        daemon = start_daemon(ledger_file=str(tmp_path / "file" / "x"))
        lmtp(daemon.address)
        daemon.wait_for_log("warning ledger: 1 lines could not be written", timeout=20)

    def test_a_reload_takes_over_new_bounds(self, start_daemon):
        daemon = start_daemon()
        assert warnings(daemon) == []
        daemon.reload(warn_quarantine_margin=1 << 60)
        wait_until(lambda: warnings(daemon) == ["quarantine"], "the warning", 20)


class TestStatus:
    def test_drift_is_told_key_by_key(self, start_daemon):
        daemon = start_daemon()
        assert daemon.run("status").returncode == 0
        daemon.configure(instances=7, message_deadline=60)
        data = json.loads(daemon.run("status", "--json").stdout)
        assert data["drift"] == [
            {"key": "instances", "running": 4, "deployed": 7},
            {"key": "message_deadline", "running": 90, "deployed": 60},
        ]
        assert data["running"]["fingerprint"] != data["deployed"]["fingerprint"]
        assert data["running"]["code"] == data["deployed"]["code"]
        screen = daemon.run("status")
        assert screen.returncode == 1
        assert b"differs instances: 4 runs, 7 is deployed" in screen.stdout
        daemon.reload()
        assert daemon.run("status").returncode == 0

    def test_without_a_daemon(self, start_daemon):
        daemon = start_daemon()
        daemon.stop()
        done = daemon.run("status")
        assert done.returncode == 1
        assert done.stdout.startswith(b"not running: ")
        data = json.loads(daemon.run("status", "--json").stdout)
        assert (data["ok"], data["running"]) == (False, None)
        assert len(data["deployed"]["code"]) == 12

    def test_no_colour_but_on_a_terminal_and_one_screen(self, start_daemon):
        daemon = start_daemon()
        for number in range(3):
            lmtp(daemon.address, sender=f"{number}@example.com")
        text = daemon.run("status").stdout.decode()
        assert "\033" not in text
        assert len(text.splitlines()) <= 30
        assert re.search(r"^messages    3, ", text, re.M)
        coloured, status = _on_a_terminal(daemon)
        assert status == 0
        assert "\033[32mrunning\033[0m" in coloured

    def test_the_live_view_goes_on_until_it_is_interrupted(self, start_daemon):
        daemon = start_daemon()
        # a shell that starts these tests in the background ignores the signal, and so would what they start
        command = [
            "env",
            "--default-signal=INT",
            interpreter(),
            str(PROGRAM),
            "status",
            "--watch",
            "--config",
            daemon.path,
        ]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as watching:
            views = 0
            while views < 2:
                views += watching.stdout.readline().startswith(b"filter-daemon ")
            watching.send_signal(signal.SIGINT)
            _, complaints = watching.communicate(timeout=20)
        assert (watching.returncode, complaints) == (0, b"")


def _on_a_terminal(daemon):
    pid, terminal = os.forkpty()
    if pid == 0:
        os.execv(interpreter(), [interpreter(), str(PROGRAM), "status", "--config", str(daemon.path)])
    data = b""
    while True:
        try:
            piece = os.read(terminal, 65536)
        except OSError:
            break
        if not piece:
            break
        data += piece
    os.close(terminal)
    return data.decode(), os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_status_of_a_daemon_that_tells_nothing_about_itself(start_daemon, tmp_path):
    # Given a daemon that runs where nobody has made a directory for its socket
    daemon = start_daemon(metrics_socket=str(tmp_path / "missing" / "metrics.sock"))
    daemon.configure(listen=[f"127.0.0.1:{daemon.port}"])
    # then its greeting tells that it runs
    done = daemon.run("status")
    assert done.returncode == 0
    assert done.stdout.startswith(f"running: takes mail at 127.0.0.1:{daemon.port}, and tells nothing".encode())
    data = json.loads(daemon.run("status", "--json").stdout)
    assert (data["ok"], data["running"], data["greets"]) == (True, None, f"127.0.0.1:{daemon.port}")
