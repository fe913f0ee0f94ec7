# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module mx_info as Ansible runs it, with a real name server."""

from __future__ import annotations

import fcntl
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ...conftest import RunModule

#: More than fits into an answer by UDP.
MANY = [f"filter{number}.of.a.rather.large.farm.example.net" for number in range(1, 41)]


@pytest.fixture(scope="module")
def dnsmasq() -> str:
    """The program of a real name server, which is installed if it is missing; no service comes with that package."""
    with open("/tmp/filter-stack-unit-tests.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if shutil.which("dnsmasq", path=f"{os.environ['PATH']}:/usr/sbin") is None:
            as_root = [] if os.geteuid() == 0 else ["sudo", "-n"]
            install = ["apt-get", "install", "--yes", "--quiet", "--no-install-recommends", "dnsmasq-base"]
            environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
            for command in (["apt-get", "update", "--quiet"], install):
                subprocess.run([*as_root, *command], check=True, env=environment, stdout=subprocess.DEVNULL)
    found = shutil.which("dnsmasq", path=f"{os.environ['PATH']}:/usr/sbin")
    assert found, "dnsmasq-base was installed, but there is no dnsmasq"
    return found


@pytest.fixture(scope="module")
def port(dnsmasq: str) -> Iterator[int]:
    """Where it answers for names below example.net, and refuses all others."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    command = [dnsmasq, "--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--pid-file="]
    command += ["--listen-address=127.0.0.1", "--bind-interfaces", f"--port={port}", "--local=/example.net/"]
    command += ["--mx-host=scan.example.net,localhost,20", "--mx-host=scan.example.net,127.0.0.3,10"]
    command += [f"--mx-host=many.example.net,{host},{number}" for number, host in enumerate(MANY)]
    command += [f"--user={subprocess.run(['id', '-un'], capture_output=True, text=True, check=True).stdout.strip()}"]
    running = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 20
    while True:
        assert running.poll() is None, "dnsmasq ended"
        assert time.monotonic() < deadline, "dnsmasq does not answer"
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            break
        except OSError:
            time.sleep(0.05)
    yield port
    running.terminate()
    running.wait(10)


@pytest.fixture
def resolv_conf(tmp_path: Path) -> str:
    path = tmp_path / "resolv.conf"
    path.write_text("nameserver 127.0.0.1\n")
    return str(path)


@pytest.mark.parametrize("check", [True, False])
def test_hosts_in_their_order_with_their_addresses(
    run_module: RunModule, port: int, resolv_conf: str, check: bool
) -> None:
    result = run_module(
        "mx_info", check=check, names=["scan.example.net", "none.example.net"], resolv_conf=resolv_conf, port=port
    )
    first, second = result["records"]["scan.example.net"]
    assert (first["preference"], first["host"], first["addresses"]) == (10, "127.0.0.3", ["127.0.0.3"])
    assert (second["preference"], second["host"]) == (20, "localhost")
    assert "127.0.0.1" in second["addresses"]
    assert result["records"]["none.example.net"] == []
    assert (result["errors"], result["changed"]) == ({}, False)


def test_an_answer_that_is_too_long_for_udp_is_asked_for_again(
    run_module: RunModule, port: int, resolv_conf: str
) -> None:
    result = run_module("mx_info", names=["many.example.net"], resolv_conf=resolv_conf, port=port)
    assert [record["host"] for record in result["records"]["many.example.net"]] == MANY


def test_what_cannot_be_asked_is_told(run_module: RunModule, port: int, resolv_conf: str, tmp_path: Path) -> None:
    # Given a server that refuses, a name that is none, and a server that is away
    result = run_module("mx_info", names=["scan.example.org", "a..b"], resolv_conf=resolv_conf, port=port)
    assert "the name server says: refused" in result["errors"]["scan.example.org"]
    assert "is no domain name" in result["errors"]["a..b"]
    assert result["records"] == {"scan.example.org": [], "a..b": []}
    # without resolv.conf this host itself is asked
    result = run_module("mx_info", names=["scan.example.net"], resolv_conf=str(tmp_path / "none"), port=1, timeout=1)
    assert result["errors"]["scan.example.net"].startswith("127.0.0.1: ")
    # and the next server is, when the first one does not answer
    Path(resolv_conf).write_text("nameserver 127.0.0.9\nnameserver 127.0.0.1\n")
    result = run_module("mx_info", names=["scan.example.net"], resolv_conf=resolv_conf, port=port, timeout=1)
    assert len(result["records"]["scan.example.net"]) == 2


def test_a_wrong_time_is_told(run_module: RunModule) -> None:
    result = run_module("mx_info", fails=True, names=[], timeout=0)
    assert "it takes a number of seconds, 1 or more" in result["msg"]
