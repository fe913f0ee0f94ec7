# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes each role's README.md from its argument specs and defaults; with --check only compares."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

ROLES = Path(__file__).resolve().parent.parent / "roles"
HEAD = """<!--
SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
SPDX-License-Identifier: GPL-3.0-or-later
-->
<!-- written by tools/role_reference.py from meta/argument_specs.yml and defaults/main.yml: make docs -->
"""
#: An expression that is longer than this is left to the words of the description.
SHORT = 70


def markdown(text: str) -> str:
    """Ansible's markup (C(code), V(value), O(option), P(module)) in Markdown, in one line, fit for a table."""
    text = re.sub(r"\b[CVOPME]\(((?:[^()]|\([^()]*\))*)\)", r"`\1`", " ".join(text.split()))
    return text.replace("|", "\\|")


def joined(text: str | list[str]) -> str:
    """A description is one text or a list of paragraphs."""
    return text if isinstance(text, str) else "\n\n".join(text)


def default_of(option: dict[str, Any], value: object) -> str:
    """How the default is shown: as JSON, an expression as it is, and nothing where words say it."""
    if option.get("required"):
        return "**required**"
    if isinstance(value, str) and "{{" in value:
        short = " ".join(value.split())
        known = len(short) <= SHORT and "__" not in short
        return f"`{short}`".replace("|", "\\|") if known else "in words"
    if value is None:
        return ""
    shown = json.dumps(value, ensure_ascii=False)
    return f"`{shown}`".replace("|", "\\|") if len(shown) <= SHORT else "see `defaults/main.yml`"


def type_of(option: dict[str, Any]) -> str:
    """The type, of what a list consists, and what may be chosen."""
    words: str = option["type"] + (f" of {option['elements']}" if "elements" in option else "")
    return words + (": " + ", ".join(f"`{choice}`" for choice in option["choices"]) if "choices" in option else "")


def rows(options: dict[str, Any], defaults: dict[str, Any], above: str = "") -> Iterator[str]:
    """A line for each option, and for each option inside of it."""
    for name, option in options.items():
        value = defaults.get(name, option.get("default"))
        words = markdown(joined(option["description"]))
        yield f"| `{above}{name}` | {type_of(option)} | {default_of(option, value)} | {words} |"
        if "options" in option:
            yield from rows(option["options"], {}, f"{above}{name}[].")


def page(role: Path) -> str:
    """The README of one role."""
    specs = yaml.safe_load((role / "meta/argument_specs.yml").read_text(encoding="utf-8"))["argument_specs"]["main"]
    defaults = yaml.safe_load((role / "defaults/main.yml").read_text(encoding="utf-8")) or {}
    paragraphs = "\n\n".join(markdown(text) for text in joined(specs["description"]).split("\n\n"))
    text = f"{HEAD}# {role.name}\n\n{specs['short_description']}.\n\n{paragraphs}\n"
    if specs.get("options"):
        table = "\n".join(rows(specs["options"], defaults))
        text += f"\n| variable | takes | default | meaning |\n|---|---|---|---|\n{table}\n"
    else:
        text += "\nIt has no variables.\n"
    return text + "\nPart of the collection `mailops.filter_stack`, whose playbooks use it.\n"


def main() -> int:
    """Write or check."""
    stale = 0
    for role in sorted(path.parent.parent for path in ROLES.glob("*/meta/argument_specs.yml")):
        readme = role / "README.md"
        wanted = page(role)
        if readme.exists() and readme.read_text(encoding="utf-8") == wanted:
            continue
        if "--check" in sys.argv:
            print(f"{readme}: does not fit the role's argument specs; run: make docs", file=sys.stderr)
            stale = 1
        else:
            readme.write_text(wanted, encoding="utf-8")
    return stale


if __name__ == "__main__":
    sys.exit(main())
