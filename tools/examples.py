# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Provisions real hosts, in containers, with the inventories of examples/ as they are: site, and site again.

Usage: python tools/examples.py [EXAMPLE...]   (where a Docker engine answers and tools/base-images.sh has run)

What is not the example's is put beside it: how to reach a container, a Postfix that is there already, and no ClamAV,
whose signatures no test can download. An example's addresses are those for documentation (RFC 5737), which may be a
machine's own in a test bed: they are taken from a free network instead (FILTER_STACK_TEST_NETWORK names another).
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
NETWORK = f"{PREFIX}-examples"
#: The networks of the examples; no example has hosts in both.
DOCUMENTED = re.compile(r"\b(?:192\.0\.2|198\.51\.100)(?=\.\d)")
#: Names that an example expects in the DNS, and the last number of the addresses.
NAMES = {"farm": {"filters.example.com": (21, 22)}}
#: The same of an address that a host of an example has besides.
ADDRESSES = {"disclaimer": {"gateway.example.com": 25}}
BESIDE = {"filter_stack_clamav": False, "prepare_message_size_limit": 26214400}


def container(host: str) -> str:
    """The container of a host."""
    return f"{PREFIX}-{host}"


def free_network() -> str:
    """The first three numbers of a /24 that nothing here uses."""
    named = os.environ.get("FILTER_STACK_TEST_NETWORK")
    return named or subprocess.check_output(["tools/free-network.sh", NETWORK], text=True, cwd=ROOT).strip()


def copy(example: str, to: Path, network: str) -> None:
    """The example with addresses of that network."""
    for path in (ROOT / "examples" / example).rglob("*.yml"):
        place = to / path.relative_to(ROOT / "examples" / example)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(DOCUMENTED.sub(network, path.read_text(encoding="utf-8")), encoding="utf-8")


def hosts_of(inventory: Path) -> dict[str, dict[str, Any]]:
    """The variables of the hosts, by host."""
    command = ["ansible-inventory", "-i", str(inventory), "--list"]
    listed = json.loads(subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT).stdout)
    found: dict[str, dict[str, Any]] = listed["_meta"]["hostvars"]
    return found


def start(example: str, hosts: dict[str, dict[str, Any]], network: str) -> None:
    """A container for each host, with the example's addresses, and systemd up in all of them."""
    docker("network", "create", f"--subnet={network}.0/24", NETWORK)
    names = [
        f"--add-host={name}:{network}.{last}" for name, all_of in NAMES.get(example, {}).items() for last in all_of
    ]
    for host, variables in hosts.items():
        place = []
        if "ansible_host" in variables:
            place = [f"--network={NETWORK}", f"--ip={variables['ansible_host']}"]
        elif host in ADDRESSES.get(example, {}):
            place = [f"--network={NETWORK}", f"--ip={network}.{ADDRESSES[example][host]}"]
        run(container(host), host, *names, *place)
    for host in hosts:
        wait(container(host))


def remove(hosts: dict[str, dict[str, Any]]) -> None:
    """Containers and networks."""
    docker("rm", "-fv", *map(container, hosts), check=False)
    docker("network", "rm", NETWORK, check=False)


def beside(hosts: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """The inventory that is put beside the example's."""
    reach = {
        host: {
            "ansible_connection": "community.docker.docker",
            "ansible_host": container(host),
            "ansible_become": False,
        }
        for host in hosts
    }
    filters = {"filter_hosts": {"vars": {"prepare_postfix": False}}}
    return {"all": {"hosts": reach, "vars": BESIDE, "children": filters if len(hosts) > 1 else {}}}


def play(inventories: list[Path], playbook: str) -> str:
    """Run a playbook; what it said. Raises Failed."""
    chosen = [word for inventory in inventories for word in ("-i", str(inventory))]
    done = subprocess.run(
        ["ansible-playbook", *chosen, playbook],
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
    network = free_network()
    with tempfile.TemporaryDirectory() as directory:
        # the later of two inventories wins: it says how the hosts are reached
        inventories = [Path(directory) / "example", Path(directory) / "beside.json"]
        copy(example, inventories[0], network)
        hosts = hosts_of(inventories[0])
        inventories[1].write_text(json.dumps(beside(hosts)), encoding="utf-8")
        remove(hosts)
        try:
            start(example, hosts, network)
            play(inventories, "molecule/resources/playbooks/prepare.yml")
            play(inventories, "mailops.filter_stack.site")
            again = play(inventories, "mailops.filter_stack.site")
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
