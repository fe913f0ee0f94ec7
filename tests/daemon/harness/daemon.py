# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The real daemon as a process, with a configuration and directories of its own."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .behaviour import PATIENCE, wait_until
from .client import Client
from .interpreter import interpreter

#: Other code and another interpreter can be tested, such as what is installed on a host.
PROGRAM = Path(os.environ.get("FILTER_DAEMON_PROGRAM", Path(__file__).resolve().parents[3] / "files/filter_daemon.py"))


class Daemon:
    """`filter_daemon.py serve` on a free port of 127.0.0.1. Settings are keys of daemon.json."""

    def __init__(self, directory: Path, reinject: str, **settings: Any) -> None:
        self.directory = directory
        self.scratch = directory / "scratch"
        self.quarantine = directory / "quarantine"
        self.ledger = directory / "ledger" / "ledger.jsonl"
        self.path = directory / "daemon.json"
        self.log_path = directory / "log"
        self.settings: dict[str, Any] = {
            "listen": ["127.0.0.1:0"],
            "reinject": reinject,
            "hostname": "filter.example.com",
            "workers": 1,
            "scanners": [],
            "add_headers": False,  # most tests compare every byte; those about header fields switch it on
            "message_size_limit": 4 * 1024 * 1024,
            "scratch_directory": str(self.scratch),
            "quarantine_directory": str(self.quarantine),
            "ledger_file": str(self.ledger),
            "metrics_socket": str(directory / "metrics.sock"),
            "drain_timeout": 5,
            **settings,
        }
        self.process: subprocess.Popen[bytes] | None = None
        self.port = 0
        directory.mkdir(parents=True, exist_ok=True)
        self.log_path.touch()
        self.configure()

    # Configuration

    def configure(self, **settings: Any) -> None:
        """Write daemon.json, with these keys changed. Takes effect by `reload` or a restart."""
        self.settings.update(settings)
        self.path.write_text(json.dumps(self.settings, indent=2))

    # Life

    def start(
        self,
        wrapper: Sequence[str] = (),
        environment: dict[str, str] | None = None,
        pass_fds: Sequence[int] = (),
        wait: bool = True,
    ) -> Daemon:
        """Start and wait until it serves. `wrapper` is put before the command line, such as ["prlimit", ...]."""
        before = self.log_path.stat().st_size
        inherited = {name: value for name, value in os.environ.items() if name not in ("JOURNAL_STREAM",)}
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                [*wrapper, interpreter(), str(PROGRAM), "serve", "--config", str(self.path)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**inherited, **(environment or {})},
                pass_fds=pass_fds,
            )
        if wait:
            self.wait_ready(before)
        return self

    def wait_ready(self, since: int = 0) -> None:
        """Wait for the word "ready" behind byte `since` of the log, and learn the port."""
        process = self.running

        def ready() -> bool:
            assert process.poll() is None, f"the daemon ended with {process.returncode}:\n{self.log}"
            return re.search(r"\bready$", self.log[since:], re.M) is not None

        wait_until(ready, "the daemon to be ready")
        found = re.findall(r"listens on (\S+?),? .*reinjects", self.log[since:])
        if found:
            self.port = int(found[-1].split(",")[0].rpartition(":")[2])

    @property
    def running(self) -> subprocess.Popen[bytes]:
        """The process."""
        assert self.process is not None, "not started"
        return self.process

    @property
    def pid(self) -> int:
        """The service process."""
        return self.running.pid

    def worker_pids(self) -> list[int]:
        """The worker processes, in no order."""
        text = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text()
        return [int(word) for word in text.split()]

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the service process."""
        self.running.send_signal(number)

    def reload(self, **settings: Any) -> None:
        """Change keys, send SIGHUP, and wait for the old workers to be gone."""
        old = set(self.worker_pids())
        self.configure(**settings)
        self.signal(signal.SIGHUP)
        wait_until(lambda: not old & set(self.worker_pids()), "the old workers to end")

    def stop(self, timeout: float = PATIENCE) -> int:
        """SIGTERM, and the exit status."""
        self.signal(signal.SIGTERM)
        return self.running.wait(timeout)

    def kill(self) -> None:
        """End it with its workers, however it is."""
        if self.process is not None and self.process.poll() is None:
            workers = self.worker_pids()
            self.process.kill()
            for pid in workers:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    continue
            self.process.wait(PATIENCE)

    def finish(self) -> None:
        """The end of every test: it stops cleanly, has not stumbled, and leaves no scratch behind."""
        if self.process is None or self.process.poll() is not None:
            return
        try:
            status = self.stop()
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"the daemon did not end:\n{self.log}") from None
        assert status == 0, f"the daemon ended with {status}:\n{self.log}"
        assert "Traceback" not in self.log, self.log
        assert "never retrieved" not in self.log, self.log
        assert "was never awaited" not in self.log, self.log
        assert not list(self.scratch.iterdir()), "scratch files were left behind"

    # What it says

    @property
    def log(self) -> str:
        """Everything it has written to standard error."""
        return self.log_path.read_text()

    def wait_for_log(self, pattern: str, timeout: float = PATIENCE, since: int = 0) -> str:
        """The first line with `pattern` behind character `since`."""

        def line() -> str:
            match = re.search(f"^.*{pattern}.*$", self.log[since:], re.M)
            return match.group() if match else ""

        return wait_until(line, f"{pattern!r} in the log", timeout)

    def messages(self) -> list[str]:
        """The log lines that tell what became of a message."""
        return re.findall(r"^.*message id=\w+ front=.* ends=.*$", self.log, re.M)

    def quarantined(self) -> list[Path]:
        """The files in quarantine, oldest first."""
        return sorted(path for path in self.quarantine.iterdir() if path.name.endswith(".msg"))

    # What can be done with it

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens."""
        return ("127.0.0.1", self.port)

    def client(self, **options: Any) -> Client:
        """A connection to it."""
        return Client(self.address, **options)

    def run(self, *arguments: str, timeout: float = 30) -> subprocess.CompletedProcess[bytes]:
        """Run a command of the program on the same configuration: run("quarantine", "list")."""
        return run(*arguments, "--config", str(self.path), timeout=timeout)


def run(*arguments: str, timeout: float = 30) -> subprocess.CompletedProcess[bytes]:
    """Run the program with these arguments to its end."""
    return subprocess.run(
        [interpreter(), str(PROGRAM), *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=timeout,
        check=False,
    )
