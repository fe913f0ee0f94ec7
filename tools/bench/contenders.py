# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is compared: how each filter is started, and what its processes cost. Runs inside the container."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

FILTER_PORT = 10024
#: Of a variant of this daemon that runs beside it.
VARIANT_PORT = 10026
SCRATCH = "/var/spool/bench-scratch"
SINK_PORT = 10025
POSTFIX_PORT = 10035
_TICKS = os.sysconf("SC_CLK_TCK")
_HERE = Path("/opt/bench")


class Processes:
    """A program and all its descendants."""

    def __init__(self, root: subprocess.Popen[bytes]) -> None:
        self.root = root

    def pids(self) -> list[int]:
        """The program and its descendants, as they are now."""
        children: dict[int, list[int]] = {}
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                with contextlib.suppress(OSError):
                    parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                    children.setdefault(parent, []).append(int(entry.name))
        found, todo = [], [self.root.pid]
        while todo:
            pid = todo.pop()
            found.append(pid)
            todo.extend(children.get(pid, []))
        return found

    def cpu_seconds(self) -> float:
        """Processor time used so far, user and system, ended children included."""
        total = 0
        for pid in self.pids():
            with contextlib.suppress(OSError):
                fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
                total += sum(int(value) for value in fields[11:15])
        return total / _TICKS

    def pss_kib(self) -> int:
        """Proportional set size of all of them."""
        total = 0
        for pid in self.pids():
            with contextlib.suppress(OSError):
                for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                    if line.startswith("Pss:"):
                        total += int(line.split()[1])
        return total

    def stop(self) -> None:
        """End it, and what it has left behind."""
        pids = self.pids()
        self.root.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.root.wait(10)
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.root.wait()


def _start(command: list[str], log: Path) -> Processes:
    with log.open("ab") as file:
        return Processes(subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=file, stderr=file, cwd="/"))


def _configured(name: str, reinject: int) -> str:
    """The path of a configuration file with the port of the server behind the filter filled in."""
    path = _HERE / f"effective-{name}"
    path.write_text((_HERE / name).read_text().replace("@REINJECT@", str(reinject)))
    return str(path)


def wait_for_port(port: int, seconds: float = 60) -> None:
    """Until something answers there."""
    end = time.monotonic() + seconds
    while True:
        try:
            with socket.create_connection(("127.0.0.1", port), 2) as connection:
                if connection.recv(4).startswith(b"220"):
                    return
        except OSError:
            pass
        if time.monotonic() > end:
            raise RuntimeError(f"nothing answers on port {port}")
        time.sleep(0.1)


def start_sink() -> Processes:
    """Postfix' smtp-sink in the place of the reinjecting smtpd."""
    sink = _start(["smtp-sink", "-u", "nobody", "-c", f"127.0.0.1:{SINK_PORT}", "1024"], Path("/tmp/sink.log"))
    wait_for_port(SINK_PORT)
    return sink


def start_clamd() -> Processes:
    """The scanner that all contenders share."""
    os.makedirs("/run/clamav", exist_ok=True)
    clamd = _start(["clamd", "-c", str(_HERE / "clamd.conf")], Path("/tmp/clamd.log"))
    end = time.monotonic() + 60
    while time.monotonic() < end:
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as connection:
            connection.connect("/run/clamav/clamd.ctl")
            return clamd
        time.sleep(0.1)
    raise RuntimeError("clamd does not answer")


def _filter_daemon(reinject: int, port: int = FILTER_PORT, **more: object) -> Processes:
    scratch, kept = f"{SCRATCH}/{port}", f"/var/lib/bench-quarantine/{port}"
    for directory in (scratch, kept):
        os.makedirs(directory, mode=0o700, exist_ok=True)
    settings = {
        "listen": [f"127.0.0.1:{port}"],
        "reinject": f"127.0.0.1:{reinject}",
        "instances": 4,
        "workers": 2,
        "message_size_limit": 50000000,
        "scratch_directory": scratch,
        "quarantine_directory": kept,
        "scanners": [{"type": "clamd", "socket": "/run/clamav/clamd.ctl"}],
        "add_headers": True,
        "ledger_file": f"{kept}/ledger.jsonl",
        "metrics_socket": "/run/bench-metrics.sock",
        **more,
    }
    path = Path(f"/tmp/filter-daemon-{port}.json")
    path.write_text(json.dumps(settings))
    program = str(_HERE / "files" / "filter_daemon.py")
    return _start(["python3", program, "serve", "--config", str(path)], Path("/tmp/filter-daemon.log"))


def _without_ledger(reinject: int) -> Processes:
    return _filter_daemon(reinject, VARIANT_PORT, ledger_file="", metrics_socket="")


def _amavis(reinject: int, *more: str) -> Processes:
    command = ["setpriv", "--reuid=amavis", "--regid=amavis", "--init-groups", "amavisd"]
    for path in sorted(Path("/etc/amavis/conf.d").iterdir()):
        command += ["-c", str(path)]
    for name in ("amavis-common.conf", *more):
        command += ["-c", _configured(name, reinject)]
    return _start([*command, "foreground"], Path("/tmp/amavis.log"))


def _amavis_installed(reinject: int) -> Processes:
    return _amavis(reinject)


def _amavis_tuned(reinject: int) -> Processes:
    return _amavis(reinject, "amavis-tuned.conf")


def _clamsmtp(reinject: int) -> Processes:
    return _start(["clamsmtpd", "-d", "1", "-f", _configured("clamsmtpd.conf", reinject)], Path("/tmp/clamsmtpd.log"))


STARTERS = {
    "filter-daemon": _filter_daemon,
    "amavisd-new tuned": _amavis_tuned,
    "amavisd-new installed": _amavis_installed,
    "clamsmtp": _clamsmtp,
}
#: This daemon with parts of it switched off, to see what they cost. They run beside it on VARIANT_PORT.
VARIANTS = {"without ledger and metrics": _without_ledger}


@contextlib.contextmanager
def running(name: str, reinject: int = SINK_PORT) -> Iterator[Processes]:
    """A contender for the time of the block."""
    processes = (STARTERS | VARIANTS)[name](reinject)
    try:
        wait_for_port(VARIANT_PORT if name in VARIANTS else FILTER_PORT)
        yield processes
    finally:
        processes.stop()
