# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The demo: a throw-away mail host in Docker that really filters, and what it did to real mail.

Called by make (see `make help`) as `python tools/demo up|converge|verify|remove|clean [ansible-playbook arguments]`,
where a Docker engine answers. Exit code 0 only when everything was as expected; converge, verify and remove end
with ansible-playbook's own.
"""

from __future__ import annotations

import sys
import time

import container
import playbooks
import report
from container import DemoError
from follow import Journey, journey
from messages import samples


def say(text: str) -> None:
    """A line on what is being done."""
    print(f"==> {text}", flush=True)


def up() -> int:
    """Everything from nothing to a filtering mail host with mail sent through it."""
    began = time.monotonic()
    say(f"Starting the mail host (container {container.NAME}, {container.state()} so far)")
    container.start(create=True)
    playbooks.write_inventory()
    say("Making it a plain Postfix mail host, as its owner would have it")
    if playbooks.play(playbooks.PREPARE):
        raise DemoError("the mail host could not be prepared; what failed stands above")
    say(f"Running {playbooks.SITE}, unmodified")
    if playbooks.play(playbooks.SITE):
        raise DemoError("the site playbook failed; what failed stands above")
    journeys = _send_all()
    print("", report.table(journeys), report.proof(journeys), report.look_inside(), "", sep="\n")
    met = sum(way.met for way in journeys)
    say(f"{met} of {len(journeys)} messages met their expected end, in {time.monotonic() - began:.0f} s")
    return 0 if met == len(journeys) else 1


def _send_all() -> list[Journey]:
    limit = int(container.inside("postconf", "-hx", "message_size_limit"))
    journeys = []
    for sample in samples(playbooks.DOMAIN, limit):
        say(f"Sending: {sample.title}, to port {sample.port} of {container.address()}")
        journeys.append(journey(sample))
    return journeys


def play(playbook: str, arguments: list[str]) -> int:
    """One of the product's playbooks over the demo host as it is."""
    container.start(create=False)
    playbooks.write_inventory()
    return playbooks.play(playbook, arguments)


def clean() -> int:
    """Remove all that is the demo's own."""
    say(f"Container {container.NAME}: {'removed' if container.remove() else 'there was none'}")
    say(f"Inventory {playbooks.DIRECTORY}: {'removed' if playbooks.forget() else 'there was none'}")
    # fails, and shall, while a test's container uses it
    container.docker("rmi", container.IMAGE, check=False)
    say("What stays: .venv and .cache (`make clean` removes them), and the Docker engine with its Debian packages")
    return 0


def main(arguments: list[str]) -> int:
    """Run one of the commands."""
    match arguments:
        case ["up"]:
            return up()
        case ["converge", *rest]:
            return play(playbooks.SITE, rest)
        case ["verify", *rest]:
            return play(playbooks.VERIFY, rest)
        case ["remove", *rest]:
            return play(playbooks.REMOVE, rest)
        case ["clean"]:
            return clean()
    print(f"error: the command is {arguments!r}; it takes up, converge, verify, remove or clean", file=sys.stderr)
    return 2


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except DemoError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
