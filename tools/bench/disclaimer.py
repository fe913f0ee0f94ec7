# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Throughput of the disclaimer programs, side by side. Runs inside the container as root and prints JSON.

Each message is one process, as pipe(8) starts them, and sendmail is one that only takes what it is given: what is
measured is the program. Rounds are interleaved. `classic` is a shell script around alterMIME, as guides have it, which
checks nothing.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import threading
import time
from pathlib import Path

import messages

HOME = Path("/tmp/disclaimer-bench")
PARALLEL = 2
ROUNDS, COUNT = 3, 20
LIBRARY = os.environ.get("BENCH_LIBRARY", "/opt/bench/files")
_SCRIPT = """#!/usr/bin/python3 -IS
import os, sys, time
sys.path.insert(0, "{library}")
from filterd.disclaimer.program import main
os._exit(main(sys.argv[1:], time.time()))
"""
_CLASSIC = """#!/bin/sh
cat > {home}/in.$$ || exit 75
altermime --input={home}/in.$$ --disclaimer={home}/text --disclaimer-html={home}/html >/dev/null 2>&1 || exit 75
{home}/sendmail "$@" < {home}/in.$$
rm -f {home}/in.$$
"""


def install() -> dict[str, list[str]]:
    """Commands by name."""
    HOME.mkdir(exist_ok=True)
    (HOME / "text").write_text("This letter is confidential.\nExample Ltd\n")
    (HOME / "html").write_text("<p>This letter is <b>confidential</b>.<br>Example Ltd</p>\n")
    subprocess.run([sys.executable, "-m", "compileall", "-q", LIBRARY], check=True)
    scripts = {
        "sendmail": "#!/bin/sh\nexec cat > /dev/null\n",
        "add_disclaimer": _SCRIPT.format(library=LIBRARY),
        "classic": _CLASSIC.format(home=HOME),
    }
    for name, text in scripts.items():
        (HOME / name).write_text(text)
        (HOME / name).chmod(0o755)
    commands = {"classic (alterMIME, nothing checked)": [str(HOME / "classic")]}
    for program in ("bundled", "altermime"):
        settings = {
            "program": program,
            "rows": [{"text_file": str(HOME / "text"), "html_file": str(HOME / "html")}],
            "directory": str(HOME),
            "sendmail": str(HOME / "sendmail"),
        }
        path = HOME / f"{program}.json"
        path.write_text(json.dumps(settings))
        commands[f"add_disclaimer, {program}"] = [str(HOME / "add_disclaimer"), "--config", str(path)]
    return commands


def measure(command: list[str], content: bytes) -> dict[str, float]:
    """Messages per second, and processor time of each in ms, with all that it starts."""

    def work() -> None:
        for _ in range(COUNT // PARALLEL):
            words = [*command, "-f", "anna@example.com", "--", "bob@example.org"]
            subprocess.run(words, input=content, check=True, timeout=60)

    threads = [threading.Thread(target=work) for _ in range(PARALLEL)]
    began, cpu = time.monotonic(), _cpu_seconds()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return {"rate": COUNT / (time.monotonic() - began), "cpu_ms": (_cpu_seconds() - cpu) / COUNT * 1000}


def _cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> None:
    """Measure, and print the figures of every round."""
    commands = install()
    contents = {name: path.read_bytes() for name, path in messages.write(HOME / "messages").items()}
    rounds: list[dict[str, dict[str, dict[str, float]]]] = []
    for number in range(ROUNDS):
        print(f"round {number + 1} of {ROUNDS}: disclaimer programs", file=sys.stderr, flush=True)
        rounds.append({name: {} for name in commands})
        for kind, content in contents.items():
            for name, command in commands.items():
                rounds[-1][name][kind] = measure(command, content)
    json.dump({"parallel": PARALLEL, "processors": os.cpu_count(), "rounds": rounds}, sys.stdout)


if __name__ == "__main__":
    main()
