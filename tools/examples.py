# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Provisions real hosts, in containers, with the inventories of examples/ as they are: site, and site again.

Usage: python tools/examples.py [EXAMPLE...]   (where a Docker engine answers and tools/base-images.sh has run)

What is not the example's is put beside it: how to reach a container, a Postfix that is there already, and no ClamAV,
whose signatures no test can download. Containers get the addresses that the example names.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from containers import PREFIX, Failed, docker, run, wait

ROOT = Path(__file__).resolve().parent.parent
#: The networks of the examples (RFC 5737), which Docker makes.
NETWORKS = {"192.0.2": f"{PREFIX}-examples-1", "198.51.100": f"{PREFIX}-examples-2"}
#: Names that an example expects in the DNS.
NAMES = {"farm": {"filters.example.com": ("192.0.2.21", "192.0.2.22")}}
#: Addresses that a host of an example has besides.
ADDRESSES = {"disclaimer": {"gateway.example.com": "198.51.100.25"}}
BESIDE = {"filter_stack_clamav": False, "prepare_message_size_limit": 26214400}


def container(host: str) -> str:
    """The container of a host."""
    return f"{PREFIX}-{host}"


def hosts_of(example: str) -> dict[str, dict[str, Any]]:
    """The variables of the hosts, by host."""
    command = ["ansible-inventory", "-i", f"examples/{example}", "--list"]
    listed = json.loads(subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT).stdout)
    found: dict[str, dict[str, Any]] = listed["_meta"]["hostvars"]
    return found


def start(example: str, hosts: dict[str, dict[str, Any]]) -> None:
    """A container for each host, with the example's addresses, and systemd up in all of them."""
    for subnet, network in NETWORKS.items():
        docker("network", "create", f"--subnet={subnet}.0/24", network)
    names = [f"--add-host={name}:{address}" for name, all_of in NAMES.get(example, {}).items() for address in all_of]
    for host, variables in hosts.items():
        address = variables.get("ansible_host") or ADDRESSES.get(example, {}).get(host)
        place = []
        if address:
            place = [f"--network={NETWORKS[address.rpartition('.')[0]]}", f"--ip={address}"]
        run(container(host), host, *names, *place)
    for host in hosts:
        wait(container(host))


def remove(hosts: dict[str, dict[str, Any]]) -> None:
    """Containers and networks."""
    docker("rm", "-fv", *map(container, hosts), check=False)
    docker("network", "rm", *NETWORKS.values(), check=False)


def beside(hosts: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """The inventory that is put beside the example's."""
    reach = {
        host: {"ansible_connection": "community.docker.docker", "ansible_host": container(host), "ansible_user": "root"}
        for host in hosts
    }
    filters = {"filter_hosts": {"vars": {"prepare_postfix": False}}}
    return {"all": {"hosts": reach, "vars": BESIDE, "children": filters if len(hosts) > 1 else {}}}


def play(example: str, inventory: Path, playbook: str) -> str:
    """Run a playbook; what it said. Raises Failed."""
    command = ["ansible-playbook", "-i", f"examples/{example}", "-i", str(inventory), playbook]
    done = subprocess.run(
        command,
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
    )
    if done.returncode:
        raise Failed(f"{playbook} ended with {done.returncode}:\n" + done.stdout[-8000:])
    return done.stdout


def converge(example: str) -> None:
    """Raises Failed when the example does not provision, or a second run changes something."""
    hosts = hosts_of(example)
    remove(hosts)
    with tempfile.TemporaryDirectory() as directory:
        # beside the example's own, and later: what it says of reaching the hosts wins
        inventory = Path(directory) / "hosts.json"
        inventory.write_text(json.dumps(beside(hosts)), encoding="utf-8")
        try:
            start(example, hosts)
            play(example, inventory, "molecule/resources/playbooks/prepare.yml")
            play(example, inventory, "mailops.filter_stack.site")
            again = play(example, inventory, "mailops.filter_stack.site")
            changed = re.findall(r"^(\S+) +: ok=\d+ +changed=([1-9]\d*)", again, re.MULTILINE)
            if changed:
                raise Failed(f"a second run changes something: {changed}\n{again[-8000:]}")
        finally:
            remove(hosts)


def main(chosen: list[str]) -> int:
    """1 when one of them is not true."""
    os.environ["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    failures = 0
    for example in chosen or sorted(path.parent.name for path in (ROOT / "examples").glob("*/hosts.yml")):
        began = time.monotonic()
        print(f"==> examples/{example} ...", flush=True)
        try:
            converge(example)
        except Failed as failure:
            failures += 1
            print(f"examples/{example}: {failure}", file=sys.stderr)
        else:
            print(f"==> examples/{example}: provisioned and proven, in {time.monotonic() - began:.0f} s", flush=True)
    return bool(failures)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
