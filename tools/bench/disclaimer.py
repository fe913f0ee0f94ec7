# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Throughput of the disclaimer programs, side by side. Runs inside the container as root and prints a page in Markdown.

Each message is one process, as pipe(8) starts them, and sendmail is one that only takes what it is given: what is
measured is the program. Rounds are interleaved. `classic` is a shell script around alterMIME, as guides have it, which
checks nothing.
"""

from __future__ import annotations

import json
import os
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


def measure(command: list[str], content: bytes) -> float:
    """Messages per second."""

    def work() -> None:
        for _ in range(COUNT // PARALLEL):
            words = [*command, "-f", "anna@example.com", "--", "bob@example.org"]
            subprocess.run(words, input=content, check=True, timeout=60)

    threads = [threading.Thread(target=work) for _ in range(PARALLEL)]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return COUNT / (time.monotonic() - began)


def main() -> None:
    """Measure, and print the page."""
    commands = install()
    contents = {name: path.read_bytes() for name, path in messages.write(HOME / "messages").items()}
    figures: dict[tuple[str, str], list[float]] = {}
    for _ in range(ROUNDS):
        for kind, content in contents.items():
            for name, command in commands.items():
                figures.setdefault((name, kind), []).append(measure(command, content))
    print("<!--\nSPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors")
    print("SPDX-License-Identifier: GPL-3.0-or-later\n-->\n# Disclaimer programs\n")
    print(f"Messages/s, the median of {ROUNDS} rounds, {PARALLEL} at a time; one process for each message.\n")
    print("| program | " + " | ".join(contents) + " |")
    print("|---|" + "---|" * len(contents))
    for name in commands:
        medians = (sorted(figures[name, kind])[ROUNDS // 2] for kind in contents)
        print(f"| {name} | " + " | ".join(f"{median:.0f}" for median in medians) + " |")


if __name__ == "__main__":
    main()
