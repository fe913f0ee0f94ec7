# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The benchmark itself. Runs inside the container as root and prints one JSON object.

Rounds are interleaved: in each round every contender is started, measured in every cell and stopped, so that
a machine that becomes slower or faster does so for all of them.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import contenders
from contenders import FILTER_PORT, POSTFIX_PORT, SINK_PORT, VARIANT_PORT

import messages

SESSIONS = 8
#: Messages of one measurement: for the fast ones, and for amavisd-new, which needs fewer for the same time.
COUNTS = {"4 KiB": (1200, 250), "100 KiB": (500, 120), "2 MiB": (48, 30), "realistic": (250, 70)}
POSTFIX_COUNT = 600
LATENCY_COUNT = 200
#: Pairs of measurements in a round, an even number, and messages in each.
BOOKKEEPING_PAIRS = 16
BOOKKEEPING_COUNT = 400


def send(port: int, path: Path, count: int, reuse: bool) -> float:
    """Seconds that Postfix' smtp-source takes for `count` messages in parallel sessions."""
    command = ["smtp-source", "-s", str(SESSIONS), "-m", str(count), "-F", str(path)]
    command += ["-f", "alice@example.com", "-t", "bob@example.com"]
    if reuse:
        command.append("-d")
    start = time.monotonic()
    subprocess.run([*command, f"127.0.0.1:{port}"], check=True, timeout=600, stdout=subprocess.DEVNULL)
    return time.monotonic() - start


def latencies(port: int, content: bytes, count: int) -> list[float]:
    """Seconds of each of `count` messages, one after the other, each on a new connection."""
    taken = []
    for _ in range(count):
        start = time.monotonic()
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            file = connection.makefile("rb")
            _reply(file)
            for line in (b"EHLO bench", b"MAIL FROM:<alice@example.com>", b"RCPT TO:<bob@example.com>", b"DATA"):
                connection.sendall(line + b"\r\n")
                _reply(file)
            connection.sendall(content + b".\r\n")
            if not _reply(file).startswith(b"250"):
                raise RuntimeError("a message was refused")
            connection.sendall(b"QUIT\r\n")
            _reply(file)
        taken.append(time.monotonic() - start)
    return taken


def _reply(file: Any) -> bytes:
    while True:
        line: bytes = file.readline()
        if line[3:4] != b"-":
            return line


def measure(name: str, files: dict[str, Path], clamd: contenders.Processes, scale: float) -> dict[str, Any]:
    """One round of one contender in all cells."""
    cells: dict[str, Any] = {}
    if name == "sink alone":
        for kind, path in files.items():
            for reuse in (False, True):
                count = max(8, int(COUNTS[kind][0] * scale))
                cells[_cell(kind, reuse)] = {"rate": count / send(SINK_PORT, path, count, reuse)}
        return {"cells": cells}
    with contenders.running(name) as processes:
        send(FILTER_PORT, files["4 KiB"], 40, reuse=False)
        for kind, path in files.items():
            for reuse in (False, True):
                count = max(8, int(COUNTS[kind]["amavisd" in name] * scale))
                cpu, scanner = processes.cpu_seconds(), clamd.cpu_seconds()
                seconds = send(FILTER_PORT, path, count, reuse)
                cells[_cell(kind, reuse)] = {
                    "rate": count / seconds,
                    "cpu_ms": (processes.cpu_seconds() - cpu) / count * 1000,
                    "scanner_cpu_ms": (clamd.cpu_seconds() - scanner) / count * 1000,
                }
        content = files["4 KiB"].read_bytes().replace(b"\n", b"\r\n")
        taken = sorted(latencies(FILTER_PORT, content, max(20, int(LATENCY_COUNT * scale))))
        return {
            "cells": cells,
            "p50_ms": taken[len(taken) // 2] * 1000,
            "p99_ms": taken[int(len(taken) * 0.99)] * 1000,
            "pss_kib": processes.pss_kib(),
        }


def beside_a_large_one(large: Path, content: bytes, scale: float) -> dict[str, float]:
    """p99 of small messages, alone and while 25 MB messages are in flight without a pause."""
    count = max(50, int(2 * LATENCY_COUNT * scale))
    with contenders.running("filter-daemon"):
        latencies(FILTER_PORT, content, 30)
        alone = sorted(latencies(FILTER_PORT, content, count))
        command = ["smtp-source", "-s", "1", "-m", "1000", "-F", str(large), "-f", "alice@example.com"]
        source = subprocess.Popen([*command, "-t", "bob@example.com", f"127.0.0.1:{FILTER_PORT}"])
        try:
            time.sleep(1)
            beside = sorted(latencies(FILTER_PORT, content, count))
            if source.poll() is not None:
                raise RuntimeError("the large messages ended too soon")
        finally:
            source.kill()
            source.wait()
    at = int(count * 0.99)
    return {"alone_p99_ms": alone[at] * 1000, "beside_p99_ms": beside[at] * 1000, "ratio": beside[at] / alone[at]}


def bookkeeping(path: Path, scale: float) -> list[dict[str, float]]:
    """Messages per second with and without ledger and metrics, where they weigh most: small, reused connections.

    Both run all the time and take turns, each second pair in the other order: what else changes does so for both.
    """
    count = max(8, int(BOOKKEEPING_COUNT * scale))
    ports = {"filter-daemon": FILTER_PORT, **dict.fromkeys(contenders.VARIANTS, VARIANT_PORT)}
    with contextlib.ExitStack() as running:
        for name, port in ports.items():
            running.enter_context(contenders.running(name))
            send(port, path, 400, reuse=True)
        turns = [list(ports.items()), list(reversed(ports.items()))] * (BOOKKEEPING_PAIRS // 2)
        return [{name: count / send(port, path, count, reuse=True) for name, port in turn} for turn in turns]


def _cell(kind: str, reuse: bool) -> str:
    return f"{kind}, {'reused' if reuse else 'new'} connection"


def through_postfix(name: str, path: Path, scale: float) -> float:
    """Messages per second through two queue passes of a whole Postfix, until its queue is empty."""
    count = max(50, int(POSTFIX_COUNT * scale))
    if name == "no filter":
        return _postfix_rate(f"bench:[127.0.0.1]:{POSTFIX_PORT}", path, count)
    with contenders.running(name, reinject=POSTFIX_PORT):
        transport = "bench" if name == "filter-daemon" else "benchsmtp"
        return _postfix_rate(f"{transport}:[127.0.0.1]:{FILTER_PORT}", path, count)


def _postfix_rate(content_filter: str, path: Path, count: int) -> float:
    subprocess.run(["postconf", "-e", f"content_filter = {content_filter}"], check=True)
    if content_filter.endswith(str(POSTFIX_PORT)):
        # LMTP is not spoken by smtpd.
        subprocess.run(["postconf", "-e", f"content_filter = benchsmtp:[127.0.0.1]:{POSTFIX_PORT}"], check=True)
    subprocess.run(["postfix", "reload"], check=True, stderr=subprocess.DEVNULL)
    time.sleep(1)
    send(2525, path, 40, reuse=False)
    _wait_for_empty_queue()
    start = time.monotonic()
    send(2525, path, count, reuse=False)
    _wait_for_empty_queue()
    return count / (time.monotonic() - start)


def _wait_for_empty_queue() -> None:
    end = time.monotonic() + 300
    while any(
        files for name in ("incoming", "active", "deferred") for _, _, files in os.walk(f"/var/spool/postfix/{name}")
    ):
        if time.monotonic() > end:
            raise RuntimeError("the queue did not become empty")
        time.sleep(0.02)


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--scale", type=float, default=1.0, help="share of the usual number of messages")
    options = parser.parse_args()
    files = messages.write(Path("/tmp/bench-messages"))
    names = [*contenders.STARTERS, "sink alone"]
    rounds: list[dict[str, Any]] = []
    postfix: list[dict[str, float]] = []
    beside: list[dict[str, float]] = []
    books: list[dict[str, float]] = []
    sink = contenders.start_sink()
    clamd = contenders.start_clamd()
    try:
        for number in range(options.rounds):
            order = names[number % len(names) :] + names[: number % len(names)]
            rounds.append({})
            for name in order:
                print(f"round {number + 1} of {options.rounds}: {name}", file=sys.stderr, flush=True)
                rounds[-1][name] = measure(name, files, clamd, options.scale)
        content = files["4 KiB"].read_bytes().replace(b"\n", b"\r\n")
        for number in range(options.rounds):
            print(
                f"round {number + 1} of {options.rounds}: small messages beside large ones", file=sys.stderr, flush=True
            )
            beside.append(beside_a_large_one(messages.write_large(Path("/tmp/bench-messages")), content, options.scale))
        for number in range(options.rounds):
            print(f"round {number + 1} of {options.rounds}: cost of ledger and metrics", file=sys.stderr, flush=True)
            books += bookkeeping(files["4 KiB"], options.scale)
        subprocess.run(["postfix", "start"], check=True, stderr=subprocess.DEVNULL)
        for number in range(options.rounds):
            postfix.append({})
            for name in ("no filter", "filter-daemon", "amavisd-new tuned", "amavisd-new installed"):
                print(f"round {number + 1} of {options.rounds}: whole Postfix, {name}", file=sys.stderr, flush=True)
                postfix[-1][name] = through_postfix(name, files["4 KiB"], options.scale)
    finally:
        subprocess.run(["postfix", "stop"], check=False, stderr=subprocess.DEVNULL)
        sink.stop()
        clamd.stop()
    result = {
        "sessions": SESSIONS,
        "processors": os.cpu_count(),
        "rounds": rounds,
        "beside": beside,
        "bookkeeping": books,
        "postfix": postfix,
    }
    json.dump(result, sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
