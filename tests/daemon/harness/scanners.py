# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real scanners: clamd, clamscan, spamd and rspamd as processes of the test, with rules that are read in no time."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from .behaviour import free_port, wait_until

_PATH = f"{os.environ['PATH']}:/usr/sbin"
_AS_ROOT = [] if os.geteuid() == 0 else ["sudo", "-n"]
_PACKAGES = {"clamd": "clamav-daemon", "clamscan": "clamav", "spamd": "spamd", "rspamd": "rspamd"}
#: Units that these packages would start and enable.
_UNITS = ("clamav-daemon.socket", "clamav-daemon", "clamav-freshclam", "spamd", "spamassassin", "rspamd")
#: A few signatures of test files, read in no time.
SIGNATURES = Path(__file__).resolve().parents[3] / "molecule/resources/clamav/filter-stack-test.hdb"
GTUBE = b"XJS*C4JDBQADN1.NSBN3*2IDNEN*" + b"GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X"


def install(program: str) -> str:
    """The path of a program, whose package is installed if it is missing. None of its services runs because of that."""
    with open("/tmp/filter-stack-unit-tests.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        found = shutil.which(program, path=_PATH)
        if found is None:
            with _no_services():
                environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
                get = [*_AS_ROOT, "apt-get", "--quiet", "-o", "DPkg::Lock::Timeout=600"]
                for command in (["update"], ["install", "--yes", "--no-install-recommends", _PACKAGES[program]]):
                    subprocess.run([*get, *command], check=True, env=environment, stdout=subprocess.DEVNULL)
            found = shutil.which(program, path=_PATH)
    assert found, f"{_PACKAGES[program]} was installed, but there is no {program}"
    return found


@contextlib.contextmanager
def _no_services() -> Iterator[None]:
    """Packages start no services meanwhile (policy-rc.d), nor at the next boot."""
    policy = Path("/usr/sbin/policy-rc.d")
    ours = not policy.exists()
    known = _enabled()
    if ours:
        script = "#!/bin/sh\nexit 101\n"
        subprocess.run([*_AS_ROOT, "tee", str(policy)], input=script, text=True, check=True, stdout=subprocess.DEVNULL)
        subprocess.run([*_AS_ROOT, "chmod", "0755", str(policy)], check=True)
    try:
        yield
    finally:
        if ours:
            subprocess.run([*_AS_ROOT, "rm", "-f", str(policy)], check=True)
        new = sorted(_enabled() - known)
        if new:
            subprocess.run([*_AS_ROOT, "systemctl", "disable", "--quiet", *new], check=False, capture_output=True)


def _enabled() -> set[str]:
    if shutil.which("systemctl", path=_PATH) is None:
        return set()
    asked = (["systemctl", "is-enabled", "--quiet", unit] for unit in _UNITS)
    results = [subprocess.run(command, check=False, capture_output=True).returncode for command in asked]
    return {unit for unit, code in zip(_UNITS, results, strict=True) if code == 0}


class Server:
    """A scanner as a child of the test, in a directory of its own under /tmp, which its user can enter."""

    def __init__(self, user: str | None = None) -> None:
        self.home = Path(tempfile.mkdtemp(prefix="filter-stack-scanner-", dir="/tmp"))
        if os.geteuid() == 0 and user is not None:
            entry = pwd.getpwnam(user)
            os.chown(self.home, entry.pw_uid, entry.pw_gid)
        self.home.chmod(0o755)
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, *command: str, ready: Callable[[], bool]) -> None:
        """Start it and wait until it is `ready`."""
        with open(self.home / "log", "wb") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.home)
        process = self.process

        def up() -> bool:
            assert process.poll() is None, f"{command[0]} ended:\n{self.log}"
            return ready()

        wait_until(up, f"{command[0]} to answer", 60)

    @property
    def log(self) -> str:
        """What it has written."""
        return (self.home / "log").read_text("utf-8", "replace")

    def stop(self) -> None:
        """End it, and remove every trace of it."""
        if self.process is not None:
            self.process.terminate()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        shutil.rmtree(self.home, ignore_errors=True)


def answers(family: int, address: Any) -> bool:
    """Whether somebody listens there."""
    with socket.socket(family) as probe, contextlib.suppress(OSError):
        probe.connect(address)
        return True
    return False


class RealClamd(Server):
    """clamd with the signatures of the test files. `options` are lines of clamd.conf."""

    def __init__(self, *options: str) -> None:
        super().__init__()
        self.socket = str(self.home / "clamd.ctl")
        database = self.home / "database"
        database.mkdir()
        shutil.copy(SIGNATURES, database)
        lines = [f"LocalSocket {self.socket}", f"DatabaseDirectory {database}", "Foreground true", *options]
        (self.home / "clamd.conf").write_text("\n".join(lines) + "\n")
        self.settings = {"type": "clamd", "socket": self.socket}
        program = install("clamd")
        self.start(program, f"--config-file={self.home}/clamd.conf", ready=lambda: answers(socket.AF_UNIX, self.socket))


class Spamd(Server):
    """SpamAssassin's spamd with four rules, on TCP and on a local socket."""

    RULES = rf"""
required_score 5
use_bayes 0
body GTUBE /{GTUBE.decode().replace("*", "[*]").replace(".", "[.]")}/
score GTUBE 1000
header CHEAP Subject =~ /cheap/
score CHEAP 2.5
header KNOWN_SENDER EnvelopeFrom =~ /\@bulk[.]example[.]com$/
score KNOWN_SENDER 1.5
body FRIENDLY /friend/
score FRIENDLY -3
"""

    def __init__(self) -> None:
        program = install("spamd")
        super().__init__("nobody")
        self.port = free_port()
        for name in ("site", "rules", "home"):
            (self.home / name).mkdir()
        (self.home / "home").chmod(0o777)
        (self.home / "site" / "init.pre").write_text("loadplugin Mail::SpamAssassin::Plugin::Check\n")
        (self.home / "rules" / "10_test.cf").write_text(self.RULES)
        options = ["--local", "--nouser-config", "--max-children=2", "--syslog=stderr"]
        options += [f"--siteconfigpath={self.home}/site", f"--configpath={self.home}/rules"]
        options += [f"--helper-home-dir={self.home}/home", f"--pidfile={self.home}/pid"]
        options += ["--username=nobody"] if os.geteuid() == 0 else []
        options += [f"--listen=127.0.0.1:{self.port}", f"--listen={self.home}/spamd.sock"]
        self.by_tcp = {"type": "spamd", "address": f"127.0.0.1:{self.port}"}
        self.by_socket = {"type": "spamd", "socket": f"{self.home}/spamd.sock"}
        self.start(program, *options, ready=lambda: answers(socket.AF_INET, ("127.0.0.1", self.port)))


class Rspamd(Server):
    """rspamd without its modules, but for three rules of its own."""

    RULES = """
rspamd_config:register_symbol({name = 'CHEAP', score = 7.0, group = 'test', callback = function(task)
  return (task:get_subject() or ''):find('cheap') ~= nil
end})
rspamd_config:register_symbol({name = 'TOLD', score = 1.0, group = 'test', callback = function(task)
  local told = {}
  local from = task:get_from('smtp')
  table.insert(told, from and from[1].addr or '-')
  for _, rcpt in ipairs(task:get_recipients('smtp') or {}) do table.insert(told, rcpt.addr) end
  table.insert(told, tostring(task:get_from_ip()))
  table.insert(told, task:get_hostname() or '-')
  table.insert(told, task:get_helo() or '-')
  table.insert(told, task:get_queue_id() or '-')
  rspamd_logger.errx(task, 'TOLD <%s>', table.concat(told, ' '))
  return true
end})
"""

    def __init__(self, password: str = "") -> None:
        program = install("rspamd")
        super().__init__("_rspamd")
        self.port = free_port()
        (self.home / "rules.lua").write_text("local rspamd_logger = require 'rspamd_logger'\n" + self.RULES)
        (self.home / "tld").write_text("com\norg\nnet\n")  # the whole list takes ten seconds to compile
        worker = f'worker "normal" {{ bind_socket = "127.0.0.1:{self.port}"; count = 1; }}'
        if password:
            worker = (
                f'worker "controller" {{ bind_socket = "127.0.0.1:{self.port}"; count = 1; password = "{password}"; '
                'secure_ip = "192.0.2.1"; }'
            )
        (self.home / "rspamd.conf").write_text(
            f'options {{ pidfile = "{self.home}/pid"; tempdir = "{self.home}"; filters = "";\n'
            f' url_tld = "{self.home}/tld"; hs_cache_dir = "{self.home}";\n'
            f' control_socket = "{self.home}/control.sock mode=0600";\n'
            ' dns { nameserver = ["127.0.0.1:9"]; timeout = 0.1s; retransmits = 1; } }\n'
            'logging { type = "console"; level = "info"; }\n'
            "actions { reject = 15; add_header = 6; greylist = 4; }\n"
            f'lua = "{self.home}/rules.lua";\n{worker}\n'
        )
        self.settings = {"type": "rspamd", "address": f"127.0.0.1:{self.port}"}
        user = ["--user=_rspamd", "--group=_rspamd"] if os.geteuid() == 0 else []
        command = [program, "--no-fork", *(user or ["--insecure"]), f"--config={self.home}/rspamd.conf"]
        self.start(*command, ready=lambda: answers(socket.AF_INET, ("127.0.0.1", self.port)))


def clamscan(**keys: Any) -> dict[str, Any]:
    """The settings of a clamscan that knows the test files."""
    argv = [install("clamscan"), f"--database={SIGNATURES}", "--no-summary", "--infected", "--recursive", "{}"]
    return {"type": "command", "argv": argv, "pattern": r": (.+) FOUND$", **keys}
