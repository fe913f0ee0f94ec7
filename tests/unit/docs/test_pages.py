# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the pages name is there: links, variables, playbooks, commands and their options, targets, words of replies."""

from __future__ import annotations

import argparse
import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from filterd import cli

from ..examples.test_inventories import complaints, options

ROOT = Path(__file__).parents[3]
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "examples/README.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
]
TEXTS = {path: path.read_text(encoding="utf-8") for path in PAGES}


def fenced(language: str) -> Iterator[tuple[Path, str]]:
    """All blocks of a language, without the indentation of a list's item."""
    for path, text in TEXTS.items():
        for match in re.finditer(rf"^( *)```{language}\n(.*?)^\1```$", text, re.MULTILINE | re.DOTALL):
            yield path, re.sub(rf"^{match[1]}", "", match[2], flags=re.MULTILINE)


def name(value: Any) -> str | None:
    return str(value.relative_to(ROOT)) if isinstance(value, Path) else None


def anchors(text: str) -> set[str]:
    """The anchors that headings get: lower case, without punctuation, blanks as hyphens."""
    headings = re.findall(r"^#+ (.+)$", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_somewhere(page: Path) -> None:
    wrong = []
    for target in re.findall(r"\]\(([^)\s]+)\)", TEXTS[page]):
        path, _, anchor = target.partition("#")
        if "://" in target or target.startswith("mailto:"):
            continue
        file = (page.parent / path).resolve() if path else page
        if not file.exists() or (
            anchor and file.suffix == ".md" and anchor not in anchors(file.read_text(encoding="utf-8"))
        ):
            wrong.append(target)
    assert wrong == []


@pytest.mark.parametrize(("page", "block"), list(fenced("yaml")), ids=name)
def test_variables_in_blocks_are_known_and_take_their_values(page: Path, block: str) -> None:
    value = yaml.safe_load(block)
    variables = value.get("all", {}).get("vars", value) if isinstance(value, dict) else {}
    assert complaints(variables) == []


@pytest.mark.parametrize(("page", "block"), list(fenced("sh")), ids=name)
def test_blocks_of_shell_are_shell(page: Path, block: str) -> None:
    done = subprocess.run(["bash", "-n"], input=block, check=False, capture_output=True, text=True)
    assert done.stderr == ""


@pytest.fixture(scope="module")
def known_words() -> dict[str, set[str]]:
    """All variables of roles, whatever else roles and playbooks name, and the metrics."""
    folders = [path for folder in ("roles", "playbooks") for path in (ROOT / folder).rglob("*.yml")]
    texts = "".join(path.read_text(encoding="utf-8") for path in folders)
    metrics = (ROOT / "files/filterd/operate/metrics.py").read_text(encoding="utf-8")
    return {
        "options": {option for path in (ROOT / "roles").iterdir() for option in options(path)},
        "texts": set(re.findall(r"\w+", texts)),
        "metrics": {f"filter_daemon_{word}" for word in re.findall(r"\w+", metrics)},
    }


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_variables_in_words_are_known(page: Path, known_words: dict[str, set[str]]) -> None:
    for word, more in re.findall(r"`(filter_[a-z_]+[a-z])(_?\*)?`", TEXTS[page]):
        if more:  # `filter_daemon_ledger_*` is all of them
            assert any(known.startswith(word) for known in known_words["options"] | known_words["texts"]), word
        else:
            names = {word, re.sub("_(total|info)$", "", word)}
            assert names & set().union(*known_words.values()), word


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_playbooks_and_targets_are_there(page: Path) -> None:
    playbooks = {path.stem for path in (ROOT / "playbooks").glob("*.yml")}
    assert set(re.findall(r"ansible-playbook mailops\.filter_stack\.(\w+)", TEXTS[page])) <= playbooks
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert set(re.findall(r"(?:`|^)make ([a-z-]+)", TEXTS[page], re.MULTILINE)) <= targets


def parsers(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """The commands, those inside of `quarantine` as "quarantine list"."""
    found = {}
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for word, inner in action.choices.items():
                found[word] = inner
                found |= {f"{word} {deeper}": one for deeper, one in parsers(inner).items()}
    return found


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_commands_of_the_daemon_have_what_the_page_says(page: Path) -> None:
    known = parsers(cli._parser())
    for line in re.findall(r"(?<![\w/])filter-daemon ([a-z][^`\n|;]*)", TEXTS[page]):
        words = line.split()
        if words[0] not in known:
            # a sentence about it, and no command
            continue
        command = " ".join(words[:2]) if words[0] == "quarantine" and len(words) > 1 else words[0]
        if command == "quarantine ...":
            continue
        assert command in known, line
        options = {option for action in known[command]._actions for option in action.option_strings}
        assert {word for word in words if word.startswith("--")} <= options, line


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_replies_are_those_of_the_daemon(page: Path) -> None:
    source = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "files/filterd").rglob("*.py"))
    for code, enhanced, words in re.findall(r"`([245]\d\d) (\d\.\d\.\d) (Error: [^`]*|Error:)", TEXTS[page]):
        if "queue file write error" not in words:  # which is Postfix' own
            assert re.search(rf'Reply\({code}, "{enhanced}", f?"{re.escape(words)}', source), (code, enhanced, words)


def test_blocks_of_json_are_json() -> None:
    found = 0
    for page, block in fenced("json"):
        # the ledger's example is one long line, broken for the page
        json.loads(block), page
        found += 1
    assert found > 5
