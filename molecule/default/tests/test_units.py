# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The daemon's service: what runs, as whom, and what it cannot do."""

from __future__ import annotations

import json

import pytest
from testinfra.host import Host

SANDBOX = {
    "User": "vscan",
    "Group": "vscan",
    "UMask": "0027",
    "NoNewPrivileges": "yes",
    "CapabilityBoundingSet": "",
    "AmbientCapabilities": "",
    "ProtectSystem": "strict",
    "ReadWritePaths": "/var/spool/vscan /var/lib/vscan/quarantine -/var/lib/vscan/ledger",
    "ProtectHome": "yes",
    "PrivateTmp": "yes",
    "PrivateDevices": "yes",
    "ProtectClock": "yes",
    "ProtectControlGroups": "yes",
    "ProtectHostname": "yes",
    "ProtectKernelLogs": "yes",
    "ProtectKernelModules": "yes",
    "ProtectKernelTunables": "yes",
    "ProtectProc": "invisible",
    "LockPersonality": "yes",
    "MemoryDenyWriteExecute": "yes",
    "RestrictNamespaces": "yes",
    "RestrictRealtime": "yes",
    "RestrictSUIDSGID": "yes",
    "RestrictAddressFamilies": "AF_INET AF_INET6 AF_UNIX",
    "SystemCallArchitectures": "native",
    "Type": "notify",
    "Restart": "always",
    "KillMode": "mixed",
}


@pytest.mark.parametrize(
    "unit",
    ["filter-daemon.socket", "filter-daemon.service", "clamav-daemon.service", "postfix.service", "cron.service"],
)
def test_it_runs_and_starts_with_the_host(host: Host, unit: str) -> None:
    assert host.service(unit).is_running
    assert host.service(unit).is_enabled


def test_the_sandbox_as_systemd_has_it(host: Host) -> None:
    answer = host.check_output("systemctl show -p " + ",".join(SANDBOX) + " filter-daemon.service")
    found = dict(line.split("=", 1) for line in answer.splitlines())
    # systemd does not promise an order for this one
    found["RestrictAddressFamilies"] = " ".join(sorted(found["RestrictAddressFamilies"].split()))
    assert found == SANDBOX


def test_the_sandbox_as_the_kernel_has_it(host: Host) -> None:
    pid = host.check_output("systemctl show -P MainPID filter-daemon.service")
    status = dict(line.split(":\t", 1) for line in host.file(f"/proc/{pid}/status").content_string.splitlines())
    assert status["Uid"].split() == [host.check_output("id -u vscan")] * 4
    assert status["Gid"].split() == [host.check_output("id -g vscan")] * 4
    assert status["CapEff"] == status["CapPrm"] == status["CapBnd"] == "0" * 16
    assert status["NoNewPrivs"] == "1"
    # SECCOMP_MODE_FILTER
    assert status["Seccomp"] == "2"


def test_systemd_holds_the_listening_socket(host: Host) -> None:
    assert "127.0.0.1:10024" in host.check_output("systemctl show -P Listen filter-daemon.socket")
    assert host.socket("tcp://127.0.0.1:10024").is_listening
    assert not host.socket("tcp://0.0.0.0:10024").is_listening


def test_a_restart_refuses_no_connection(host: Host) -> None:
    # Given a client that connects again and again, when the service restarts, then every connection is greeted.
    client = """
import socket, subprocess, time
restart = subprocess.Popen(["systemctl", "restart", "filter-daemon.service"])
count = failed = 0
while restart.poll() is None or count < 20:
    count += 1
    try:
        with socket.create_connection(("127.0.0.1", 10024), 30) as connection:
            failed += not connection.recv(200).startswith(b"220 ")
    except OSError as error:
        print(error)
        failed += 1
    time.sleep(0.01)
print(restart.returncode, failed)
"""
    assert host.check_output("python3 -c %s", client).splitlines()[-1] == "0 0"


def test_the_daemons_own_check_as_its_own_user(host: Host) -> None:
    report = json.loads(host.check_output("runuser -u vscan -- filter-daemon check --json"))
    assert [line for line in report["checks"] if line["state"] != "ok"] == []
    # and the running service has just this configuration
    assert report["fingerprint"] in host.check_output("systemctl show -P StatusText filter-daemon.service")
