# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Texts of disclaimers that cannot be used are refused at preflight, with file and line, before a host is touched."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).parents[3]
PLAY = """
- hosts: all
  gather_facts: true
  gather_subset: [min]
  tasks:
    - ansible.builtin.include_role: {name: mailops.filter_stack.ROLE, tasks_from: preflight}
"""
HOST = {
    "ansible_connection": "local",
    "ansible_python_interpreter": sys.executable,
    # a host that has nothing yet
    "filter_facts_postfix_installed": False,
    "filter_stack_disclaimer": "bundled",
    "filter_stack_message_size_limit": 10240000,
}


def preflights(home: Path, role: str, hosts: dict[str, dict[str, Any]]) -> tuple[int, str]:
    """The preflight of a role alone, on hosts with these variables: exit code, and what it printed.

    Play and inventory are in `home`.
    """
    (home / "play.yml").write_text(PLAY.replace("ROLE", role))
    inventory = {"all": {"hosts": {name: {**HOST, **variables} for name, variables in hosts.items()}}}
    (home / "hosts.json").write_text(json.dumps(inventory))
    command = ["ansible-playbook", "-i", str(home / "hosts.json"), str(home / "play.yml")]
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "ANSIBLE_CONFIG": str(REPOSITORY / "ansible.cfg"),
        "ANSIBLE_COLLECTIONS_PATH": str(REPOSITORY / ".ansible/collections"),
        "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_LOCAL_TEMP": str(home / "tmp"),
    }
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env=environment, cwd=home, stdin=subprocess.DEVNULL
    )
    return done.returncode, done.stdout + done.stderr


def preflight(home: Path, **variables: Any) -> tuple[int, str]:
    """The same of this role on one host, with what it printed in one line."""
    code, output = preflights(home, "filter_disclaimer", {"mail": variables})
    return code, re.sub(r"\s+", " ", output)


@pytest.mark.slow
def test_every_problem_is_named_with_file_and_line(tmp_path: Path) -> None:
    (tmp_path / "files").mkdir()
    latin = tmp_path / "files/latin.txt"
    latin.write_bytes("First\nGrüße\n".encode("latin-1"))
    crossed = tmp_path / "crossed.html"
    crossed.write_text("<p>\n<b>x</p>\n</b>")
    code, words = preflight(
        tmp_path,
        filter_stack_disclaimer_text="First\nfor ${recipient}",
        filter_stack_disclaimer_html="no markup",
        filter_disclaimer_texts=[
            {"senders": ["a.example"], "text_file": "latin.txt", "html_file": str(crossed)},
            {"senders": ["b.example"], "text": "one\n\ncosts 5 $", "html": "<p>x"},
            {"senders": ["c.example"], "text_file": "missing.txt"},
        ],
        filter_disclaimer_header="Subject: x",
    )
    assert code != 0
    for problem in (
        f"{latin}:2: is not valid UTF-8 (byte 0xfc)",
        f"{crossed}:2: has </p> where it takes </b> for line 2",
        "filter_disclaimer_texts[1].text:3: has a $ alone",
        "filter_disclaimer_texts[1].html:1: has <p>, which is never closed",
        "missing.txt: cannot be read: No such file or directory",
        "filter_stack_disclaimer_text:2: has the unknown variable ${recipient}; there are ${date}",
        "filter_stack_disclaimer_html:1: has no markup",
        "the header field 'Subject: x': it takes one like X-Terms: ",
    ):
        assert problem in words


@pytest.mark.slow
def test_texts_from_files_and_texts_with_any_character_pass(tmp_path: Path) -> None:
    (tmp_path / "files").mkdir()
    (tmp_path / "files/a.txt").write_text("${sender_name}, Köln, 5 $$\n")
    (tmp_path / "b.html").write_text("<p>${sender_name}, K&ouml;ln<br>\n${date:%d.%m.%Y}</p>\n")
    beside_the_play_and_the_inventory = {
        "filter_disclaimer_text_file": "a.txt",
        "filter_disclaimer_html_file": "b.html",
        "filter_disclaimer_texts": [
            {"recipients": ["example.com"]},
            {"senders": ["anna@"], "text_file": "files/a.txt"},
        ],
        "filter_disclaimer_header": "X-Terms: see there",
    }
    any_character = {"filter_stack_disclaimer_text": '- [x] {y}: "Grüße" \U0001f600\\n\n'}
    hosts = {"files": beside_the_play_and_the_inventory, "any": any_character}
    code, output = preflights(tmp_path, "filter_disclaimer", hosts)
    assert code == 0, output
