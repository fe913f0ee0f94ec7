# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real Postfix of its own (another instance, free ports, a directory in /tmp) on both sides of the daemon."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from .behaviour import free_port, wait_until

#: How mail gets through the filter: after the queue by LMTP and SMTP, before the queue without and with speed_adjust.
WAYS = ("lmtp", "smtp", "proxy", "proxy-speed")
_PATH = f"{os.environ['PATH']}:/usr/sbin"
_AS_ROOT = [] if os.geteuid() == 0 else ["sudo", "-n"]

_MAIN_CF = """
compatibility_level = 3.5
queue_directory = {home}/queue
data_directory = {home}/data
maillog_file = {home}/log/mail.log
maillog_file_prefixes = {home}/log
myhostname = mx.example.com
mydestination =
alias_maps =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
default_transport = smtp:[127.0.0.1]:{sink}
disable_dns_lookups = yes
smtpd_peername_lookup = no
smtpd_recipient_restrictions = permit_mynetworks, reject
message_size_limit = 4194304
# what the filter's transport and final delivery need to leave content alone
disable_mime_output_conversion = yes
smtp_line_length_limit = 0
lmtp_line_length_limit = 0
{hardening}
"""
_MASTER_CF = """
127.0.0.1:{plain} inet n - n - - smtpd
127.0.0.1:{lmtp} inet n - n - - smtpd -o content_filter=scan-lmtp:[127.0.0.1]:{filter}
127.0.0.1:{smtp} inet n - n - - smtpd -o content_filter=scan-smtp:[127.0.0.1]:{filter}
127.0.0.1:{proxy} inet n - n - - smtpd -o smtpd_proxy_filter=127.0.0.1:{filter}
127.0.0.1:{proxy-speed} inet n - n - - smtpd -o smtpd_proxy_filter=127.0.0.1:{filter}
  -o smtpd_proxy_options=speed_adjust
127.0.0.1:{back} inet n - n - - smtpd
  -o content_filter= -o smtpd_proxy_filter= -o smtpd_authorized_xforward_hosts=127.0.0.0/8
  -o receive_override_options=no_unknown_recipient_checks,no_header_body_checks,no_milters,no_address_mappings
  -o smtpd_recipient_restrictions=check_recipient_access,regexp:{home}/access,permit_mynetworks,reject
scan-lmtp unix - - n - 10 lmtp -o lmtp_send_xforward_command=yes
scan-smtp unix - - n - 10 smtp -o smtp_send_xforward_command=yes
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
error unix - - n - - error
retry unix - - n - - error
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""
_ACCESS = "/^gone@/ 550 5.1.1 no such user\n/^later@/ 450 4.2.1 try later\n"
#: Against smuggling, where this Postfix knows it; without it a client can smuggle past the first smtpd.
_HARDENING = {"smtpd_forbid_bare_newline": "normalize", "smtpd_forbid_bare_newline_exclusions": ""}


def install() -> None:
    """Install Postfix if it is missing. Its own service is not started: it has no main.cf."""
    with open("/tmp/filter-stack-unit-tests.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if shutil.which("postfix", path=_PATH):
            return
        subprocess.run(
            [*_AS_ROOT, "debconf-set-selections"],
            input="postfix postfix/main_mailer_type select No configuration\n",
            text=True,
            check=True,
        )
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        for command in (["update"], ["install", "--yes", "--no-install-recommends", "postfix"]):
            subprocess.run([*_AS_ROOT, "apt-get", "--quiet", *command], check=True, env=environment)


class Postfix:
    """Takes mail on `ports["plain"]` and on a port for each of WAYS, and delivers all of it to `sink`."""

    def __init__(self, filter_port: int, sink_port: int) -> None:
        install()
        self.home = Path(tempfile.mkdtemp(prefix="filter-stack-postfix-", dir="/tmp"))
        self.ports = {name: free_port() for name in ("plain", "back", *WAYS)}
        values = {"home": self.home, "filter": filter_port, "sink": sink_port, **self.ports}
        known = subprocess.run(
            ["postconf", "-d"], capture_output=True, text=True, check=True, env=_environment()
        ).stdout
        values["hardening"] = "\n".join(
            f"{key} = {value}" for key, value in _HARDENING.items() if f"\n{key} =" in known
        )
        (self.home / "main.cf").write_text(_MAIN_CF.format(**values))
        (self.home / "master.cf").write_text(_MASTER_CF.format(**values))
        (self.home / "access").write_text(_ACCESS)
        for name in ("queue", "data", "log"):
            (self.home / name).mkdir()
        # Its processes run as the user postfix, its files belong to root.
        self._as_root("chown", "-R", "root:root", str(self.home))
        self._as_root("chown", "postfix", str(self.home / "data"), str(self.home / "log"))
        self._as_root("chmod", "0755", str(self.home))

    def start(self) -> None:
        """Start it and wait until it answers."""
        self._as_root("postfix", "-c", str(self.home), "start")
        wait_until(lambda: "daemon started" in self.log, "Postfix")

    def stop(self) -> None:
        """Stop it and remove every trace of it."""
        with contextlib.suppress(subprocess.CalledProcessError):
            self._as_root("postfix", "-c", str(self.home), "stop")
        self._as_root("rm", "-rf", str(self.home))

    @property
    def log(self) -> str:
        """Its mail log."""
        path = self.home / "log" / "mail.log"
        return path.read_text("utf-8", "replace") if path.exists() else ""

    @staticmethod
    def _as_root(*command: str) -> None:
        done = subprocess.run([*_AS_ROOT, *command], capture_output=True, text=True, check=False, env=_environment())
        assert done.returncode == 0, f"{command}: {done.stderr}{done.stdout}"


def _environment() -> dict[str, str]:
    return {**os.environ, "PATH": _PATH}
