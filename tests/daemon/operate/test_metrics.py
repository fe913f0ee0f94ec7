# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Metrics: what is counted, how it is told, and that alerts and dashboard ask for nothing else."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import shutil
import socket
import subprocess
from pathlib import Path

import pytest
import yaml
from harness.behaviour import close, free_port, reply, stall, wait_until
from harness.clamd import EICAR
from harness.client import lmtp
from harness.effort import spent
from harness.load import open_message
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from filterd.operate.endpoint import fetch
from filterd.operate.exposition import render
from filterd.operate.metrics import FAMILIES, PREFIX, SECONDS, Layout, Meter, Slot, Totals, quantile

DOCS = Path(__file__).resolve().parents[3] / "docs" / "metrics"


def socket_of(daemon):
    return daemon.settings["metrics_socket"]


def samples(daemon):
    """All samples by name and labels; the text is judged by Prometheus' own parser of OpenMetrics."""
    text = fetch(socket_of(daemon), "/metrics").decode()
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(daemon, name, **labels):
    return samples(daemon)[(PREFIX + name, *sorted(labels.items()))]


class TestCounting:
    def test_workers_are_added_up_and_one_that_was_killed_is_not_forgotten(self, start_daemon):
        daemon = start_daemon(workers=2)
        for _ in range(10):
            lmtp(daemon.address)
        assert value(daemon, "messages_total", verdict="clean", disposition="pass") == 10
        for pid in daemon.worker_pids():
            os.kill(pid, 9)
        wait_until(lambda: value(daemon, "worker_restarts_total") == 2, "the ends to be seen")
        wait_until(lambda: value(daemon, "workers") == 2, "new workers")
        lmtp(daemon.address)
        assert value(daemon, "messages_total", verdict="clean", disposition="pass") == 11

    def test_what_was_counted_outlives_a_reload_with_other_scanners(self, start_daemon, clamd):
        daemon = start_daemon(scanners=[clamd.settings])
        lmtp(daemon.address)
        daemon.reload(scanners=[])
        lmtp(daemon.address)
        found = samples(daemon)
        assert found[(PREFIX + "messages_total", ("disposition", "pass"), ("verdict", "clean"))] == 2
        assert found[(PREFIX + "scanner_seconds_count", ("scanner", f"clamd at {clamd.path}"))] == 1

    def test_each_thing_has_its_number(self, start_daemon, downstream, clamd):
        # Given one message of each kind
        daemon = start_daemon(scanners=[clamd.settings], instances=3)
        lmtp(daemon.address)
        lmtp(daemon.address, b"Subject: x\r\n\r\n" + EICAR + b"\r\n", recipients=["a@example.com", "b@example.com"])
        downstream.on("rcpt", reply(450), match="later@")
        downstream.on("rcpt", reply(550), match="never@")
        lmtp(daemon.address, recipients=["bob@example.com", "later@example.com", "never@example.com"])
        clamd.on("verdict", close())
        lmtp(daemon.address)
        # then
        name = f"clamd at {clamd.path}"
        found = samples(daemon)

        def number(name, **labels):
            return found[(PREFIX + name, *sorted(labels.items()))]

        assert number("messages_total", verdict="virus", disposition="discard") == 1
        assert number("messages_total", verdict="unscanned", disposition="tempfail") == 1
        assert [
            number("recipients_total", end=end) for end in ("delivered", "quarantined", "deferred", "rejected")
        ] == [*(2, 2, 2, 1)]
        assert number("reinjection_failures_total") == 1
        assert number("scanner_failures_total", scanner=name) == 1
        assert number("scanner_seconds_count", scanner=name) >= 3
        assert number("stage_seconds_count", stage="total") == 4
        assert number("instances") == 3
        assert number("message_bytes_total") > 200
        # and clamd has said when its signatures were made
        wait_until(lambda: value(daemon, "scanner_signatures_timestamp_seconds", scanner=name) > 1e9, "the signatures")

    def test_what_is_in_the_filter_now(self, start_daemon, clamd):
        daemon = start_daemon(scanners=[clamd.settings], instances=2)
        clamd.on("verdict", stall())
        clients = [open_message(daemon.address) for _ in range(5)]
        wait_until(lambda: value(daemon, "waiting") == 3, "three to wait")
        assert value(daemon, "in_flight") == 2
        clamd.clear()
        for client in clients:
            assert client.reply().code == 250
            client.close()
        wait_until(lambda: value(daemon, "in_flight") == 0, "all to be done")

    def test_quantiles(self):
        assert quantile([0, 0, 0], [1, 2], 0.5) == 0
        assert quantile([10, 0, 0], [1, 2], 0.5) == 0.5
        assert quantile([0, 10, 0], [1, 2], 0.5) == 1.5
        assert quantile([0, 0, 10], [1, 2], 0.5) == 2

    def test_labels_are_bounded_whatever_mail_is_like(self):
        meter = Meter(Layout(["clamd"]))
        meter.message("clean", "pass+quarantine", 1, ["delivered"], (0.0, 0.0, 0.0, 0.0), 0.0)
        meter.scanner("unknown", 1.0, True)
        totals = Totals()
        totals.include(meter)
        assert totals[Slot("messages", (("verdict", "clean"), ("disposition", "mixed")))] == 1
        assert len(meter.layout.slots) < 400

    def test_strange_names_are_escaped(self):
        name = 'command /a"b\\c\nd'
        totals = Totals()
        totals.include(Meter(Layout([name])))
        families = {family.name: family for family in text_string_to_metric_families(render(totals))}
        labels = families[PREFIX + "scanner_failures"].samples[0].labels
        assert labels["scanner"] == name

    def test_what_all_processes_see_costs_hardly_more(self):
        def count(meter):
            for _ in range(10_000):
                meter.message("clean", "pass", 4096, ["delivered"], (0.0001, 0.001, 0.002, 0.003), 0.001)

        own, shared = (Meter(Layout(["clamd"]), shared=kind) for kind in (False, True))
        assert min(spent(count, shared) for _ in range(3)) < 4 * min(spent(count, own) for _ in range(3))
        assert tuple(sorted(SECONDS)) == SECONDS


class TestEndpoint:
    def test_http_on_loopback(self, start_daemon):
        port = free_port()
        start_daemon(metrics_listen=f"127.0.0.1:{port}")
        with socket.create_connection(("127.0.0.1", port), 5) as connection:
            connection.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
            data = b"".join(iter(lambda: connection.recv(65536), b""))
        head, _, body = data.partition(b"\r\n\r\n")
        assert b"200 OK" in head
        assert b"application/openmetrics-text; version=1.0.0; charset=utf-8" in head
        assert body.endswith(b"# EOF\n")

    def test_only_loopback(self, daemon):
        daemon.configure(metrics_listen="0.0.0.0:9104")
        done = daemon.run("check", "--configuration-only")
        assert done.returncode == 78
        assert b"metrics_listen" in done.stderr

    @pytest.mark.parametrize(
        "request_", [b"POST / HTTP/1.0\r\n\r\n", b"GET /x HTTP/1.0\r\n\r\n", b"\r\n\r\n", b"\0" * 5000, b"GET"]
    )
    def test_other_requests_get_nothing_and_do_no_harm(self, daemon, request_):
        with socket.socket(socket.AF_UNIX) as connection:
            _connect(connection, daemon)
            connection.sendall(request_)
            connection.shutdown(socket.SHUT_WR)
            with contextlib.suppress(ConnectionResetError):
                assert b"200 OK" not in b"".join(iter(lambda: connection.recv(65536), b""))
        assert samples(daemon)

    def test_silent_clients_keep_nobody_out_for_long(self, daemon):
        idle = []
        for _ in range(40):
            connection = socket.socket(socket.AF_UNIX)
            _connect(connection, daemon)
            idle.append(connection)
        wait_until(lambda: _asked(daemon), "their time to be over", 20)
        assert lmtp(daemon.address)[0].code == 250
        for connection in idle:
            connection.close()

    def test_the_socket_of_a_killed_daemon_is_taken_over_and_that_of_a_living_one_is_not(self, start_daemon):
        first = start_daemon()
        second = start_daemon(metrics_socket=socket_of(first))
        assert "another daemon listens there" in second.log
        assert json.loads(fetch(socket_of(first), "/status"))["running"]["pid"] == first.pid
        first.kill()
        first.start()
        assert json.loads(fetch(socket_of(first), "/status"))["running"]["pid"] == first.pid

    def test_it_is_for_its_group_and_gone_with_the_daemon(self, start_daemon):
        daemon = start_daemon()
        assert os.stat(socket_of(daemon)).st_mode & 0o777 == 0o660
        daemon.stop()
        assert not os.path.exists(socket_of(daemon))

    def test_a_file_that_is_no_socket_is_left_alone(self, start_daemon, tmp_path):
        (tmp_path / "file").write_text("mine")
        daemon = start_daemon(metrics_socket=str(tmp_path / "file"))
        assert lmtp(daemon.address)[0].code == 250
        assert (tmp_path / "file").read_text() == "mine"


def _connect(connection, daemon):
    directory = os.open(os.path.dirname(socket_of(daemon)), os.O_PATH)
    try:
        connection.connect(f"/proc/self/fd/{directory}/{os.path.basename(socket_of(daemon))}")
    finally:
        os.close(directory)


def _asked(daemon):
    try:
        return samples(daemon)
    except OSError:
        return None


class TestDocumentation:
    """docs/metrics asks for what there is."""

    @staticmethod
    def known():
        names = set()
        for family in FAMILIES.values():
            ends = {
                "counter": ["_total"],
                "histogram": ["_bucket", "_count", "_sum"],
                "info": ["_info"],
            }.get(family.kind, [""])
            names |= {PREFIX + family.name + end for end in ends}
        return names

    @pytest.mark.parametrize("name", ["alerts.yml", "alerts_test.yml", "dashboard.json"])
    def test_every_metric_exists(self, name):
        asked = set(re.findall(PREFIX + r"[a-z0-9_]+", (DOCS / name).read_text()))
        assert len(asked) > 4
        assert asked <= self.known()

    def test_the_page_names_every_metric(self):
        text = (DOCS.parent / "operating.md").read_text()
        assert {PREFIX + name for name in FAMILIES} <= set(re.findall(PREFIX + r"[a-z0-9_]+", text))

    def test_labels_that_are_asked_for_exist(self, daemon):
        found = samples(daemon)
        pairs = {pair for name, *labels in found for pair in labels}
        for text in ((DOCS / "alerts.yml").read_text(), (DOCS / "dashboard.json").read_text().replace("\\", "")):
            for label, word in re.findall(r'\b(stage|verdict|end)="([a-z]+)"', text):
                assert (label, word) in pairs

    def test_promtool_takes_the_alerts_and_they_fire_when_they_should(self, tmp_path):
        promtool = _promtool()
        shutil.copytree(DOCS, tmp_path / "metrics")
        for command in (["check", "rules", "alerts.yml"], ["test", "rules", "alerts_test.yml"]):
            done = subprocess.run(
                [promtool, *command], cwd=tmp_path / "metrics", capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, done.stdout + done.stderr

    def test_the_dashboard_is_one(self):
        data = json.loads((DOCS / "dashboard.json").read_text())
        assert len({panel["id"] for panel in data["panels"]}) == len(data["panels"]) > 10
        assert all(target["expr"] for panel in data["panels"] for target in panel["targets"])

    def test_promtool_reads_every_expression_of_the_dashboard(self, tmp_path):
        data = json.loads((DOCS / "dashboard.json").read_text())
        expressions = [target["expr"] for panel in data["panels"] for target in panel["targets"]]
        rules = [
            {"record": f"x:{number}", "expr": text.replace("$__rate_interval", "5m").replace("$instance", ".*")}
            for number, text in enumerate(expressions)
        ]
        (tmp_path / "rules.yml").write_text(yaml.safe_dump({"groups": [{"name": "x", "rules": rules}]}))
        done = subprocess.run(
            [_promtool(), "check", "rules", str(tmp_path / "rules.yml")], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr


def _promtool():
    """promtool of Debian's package, taken out of it: installing it would start a Prometheus here."""
    found = shutil.which("promtool")
    place = Path("/tmp/filter-stack-promtool")
    if found:
        return found
    with open("/tmp/filter-stack-unit-tests.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (place / "usr/bin/promtool").exists():
            place.mkdir(exist_ok=True)
            sudo = [] if os.geteuid() == 0 else ["sudo", "-n"]
            subprocess.run([*sudo, "apt-get", "--quiet", "update"], check=True)
            subprocess.run(["apt-get", "--quiet", "download", "prometheus"], cwd=place, check=True)
            (package,) = place.glob("prometheus_*.deb")
            subprocess.run(["dpkg-deb", "--extract", str(package), str(place)], check=True)
    return str(place / "usr/bin/promtool")
