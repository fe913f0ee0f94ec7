# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Follows docs/tutorial.md to the letter, as root in a fresh container.

Usage: python tools/tutorial.py ARTIFACT WHEELS   (tools/tutorial.sh calls it, with what the page takes for granted)

A block ```sh is run, all of them by one shell that stops at the first command that fails. A block ```yaml is written
to the file that the text before it names first. Of a block ```text each line has to be found, as it stands there, in
what the blocks since the last one have said.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import containers
from containers import Failed

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs/tutorial.md"
NAME = f"{containers.PREFIX}-tutorial"
#: The last line of each block's output, with the shell's exit status.
DONE = "-- tutorial: done with "


class Block(NamedTuple):
    """One fenced block: its language, its lines, the line in the page, and the file that it is for."""

    language: str
    text: str
    line: int
    file: str


def blocks(page: str) -> list[Block]:
    """All fenced blocks in their order."""
    found = []
    for match in re.finditer(r"^```(\w+)\n(.*?)^```$", page, re.MULTILINE | re.DOTALL):
        files = re.findall(r"`(/[\w./-]+\.\w+)`", page[: match.start()])
        line = page.count("\n", 0, match.start()) + 1
        found.append(Block(match[1], match[2], line, files[-1] if files else ""))
    return found


class Shell:
    """root's shell in the container, which remembers directory and variables from block to block."""

    def __init__(self) -> None:
        command = ["docker", "exec", "--interactive", "--env=HOME=/root", "--workdir=/root", NAME, "bash"]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    def run(self, block: Block) -> str:
        """What a block says. Raises Failed when one of its commands does."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        # In braces, so that variables stay and no command reads the rest of the page as its input.
        self._process.stdin.write(
            f"set -e\ntrap 'echo; echo \"{DONE}$?\"' EXIT\n{{\n{block.text}\n}} </dev/null\n"
            f"trap - EXIT\nset +e\necho\necho '{DONE}0'\n"
        )
        self._process.stdin.flush()
        said: list[str] = []
        for line in self._process.stdout:
            if line.startswith(DONE):
                if line.strip() != f"{DONE}0":
                    raise Failed(f"line {block.line}: a command ended with {line.removeprefix(DONE)}" + "".join(said))
                return "".join(said)
            said.append(line)
            print(f"    {line}", end="", flush=True)
        raise Failed(f"line {block.line}: the shell has ended\n" + "".join(said))


def start(artifact: Path, wheels: Path) -> None:
    """A fresh host: Debian with systemd, and the two things that the reader has got from elsewhere."""
    containers.docker("rm", "-fv", NAME, check=False)
    # pip finds what it asks for in a directory: whatever index this machine has, the host need not reach it
    pip = ("--env=PIP_NO_INDEX=1", "--env=PIP_FIND_LINKS=/wheels", f"--volume={wheels}:/wheels:ro")
    containers.run(NAME, "mail.example.com", *pip)
    containers.docker("cp", str(artifact), f"{NAME}:/root/")
    containers.wait(NAME)


def follow() -> None:
    """Do all that the page says. Raises Failed."""
    shell = Shell()
    said = ""
    for block in blocks(PAGE.read_text(encoding="utf-8")):
        print(
            f"--> {PAGE.name}:{block.line}: {block.language} {block.file if block.language == 'yaml' else ''}",
            flush=True,
        )
        if block.language == "sh":
            said += shell.run(block)
        elif block.language == "yaml":
            command = ["docker", "exec", "--interactive", NAME, "tee", block.file]
            subprocess.run(command, input=block.text, text=True, check=True, stdout=subprocess.DEVNULL)
        elif block.language == "text":
            missing = [line for line in block.text.splitlines() if line not in said]
            if missing:
                raise Failed(f"line {block.line}: nothing has said {missing}")
            said = ""
        else:
            raise Failed(f"line {block.line}: what is a block of {block.language}?")


def main() -> int:
    """1 when the page is not true."""
    artifact, wheels = (Path(argument).resolve() for argument in sys.argv[1:3])
    try:
        start(artifact, wheels)
        follow()
    except Failed as failure:
        print(f"docs/tutorial.md, {failure}\nThe host is left as it is: docker exec -it {NAME} bash", file=sys.stderr)
        return 1
    containers.docker("rm", "-fv", NAME)
    print("docs/tutorial.md is true")
    return 0


if __name__ == "__main__":
    sys.exit(main())
