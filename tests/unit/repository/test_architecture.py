# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The daemon's imports go along the arrows that docs/architecture.md draws, and what it draws is there."""

from __future__ import annotations

import ast
import fnmatch
import re
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PACKAGE = ROOT / "files/filterd"
PAGE = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")

Arrows = dict[str, set[str]]


def module_name(path: Path, package: Path = PACKAGE) -> str:
    """`scan/clamd.py` is scan.clamd, `scan/__init__.py` is scan, and the package's own is filterd."""
    parts = path.relative_to(package).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts) or "filterd"


def imported(source: str, package: tuple[str, ...], modules: set[str]) -> set[str]:
    """The modules of filterd that a file names, wherever it does so, but for what only the type checker reads."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            node.body = [ast.Pass()]
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {name.name.removeprefix("filterd.") for name in node.names if name.name.startswith("filterd")}
        if not isinstance(node, ast.ImportFrom):
            continue
        if node.level:
            base = (*package[: len(package) + 1 - node.level], *(node.module or "").split("."))
        elif (node.module or "").split(".")[0] == "filterd":
            base = tuple((node.module or "").split(".")[1:])
        else:
            continue
        above = ".".join(part for part in base if part)
        for name in node.names:
            inner = f"{above}.{name.name}" if above else name.name
            found.add(inner if inner in modules else above or "filterd")
    return found


def drawn_arrows(page: str) -> Arrows:
    drawing = page.split("```mermaid")[1].split("```", maxsplit=1)[0]
    arrows: Arrows = {}
    for start, end in re.findall(r"(\w+) --> (\w+)", drawing):
        arrows.setdefault(start, set()).add(end)
        arrows.setdefault(end, set())
    return arrows


def reach(arrows: Arrows, box: str) -> set[str]:
    """All boxes that arrows lead to from this one."""
    found: set[str] = set()
    waiting = list(arrows[box])
    while waiting:
        step = waiting.pop()
        if step not in found:
            found.add(step)
            waiting += arrows[step]
    return found


def boxes(page: str) -> dict[str, list[str]]:
    table = page.split("<!-- boxes: begin")[1].split("<!-- boxes: end", maxsplit=1)[0]
    rows = re.findall(r"^\| (\w+) \| (.+?) \| .+ \|$", table, re.MULTILINE)
    return {name: re.findall(r"`([\w.*]+)`", modules) for name, modules in rows if name != "box"}


ARROWS = drawn_arrows(PAGE)
BOXES = boxes(PAGE)
FILES = {module_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}
IMPORTS = {
    name: imported(path.read_text(encoding="utf-8"), path.parent.relative_to(PACKAGE).parts, set(FILES))
    for name, path in FILES.items()
}


def boxes_of(module: str) -> list[str]:
    """Those that name it, or, when none does, those whose pattern fits."""
    exact = [box for box, names in BOXES.items() if module in names]
    return exact or [box for box, names in BOXES.items() if any(fnmatch.fnmatch(module, name) for name in names)]


def test_drawing_and_table_have_the_same_boxes() -> None:
    assert set(ARROWS) == set(BOXES)


def test_arrows_lead_nowhere_back() -> None:
    assert [box for box in ARROWS if box in reach(ARROWS, box)] == []


@pytest.mark.parametrize("module", FILES)
def test_every_module_has_one_box(module: str) -> None:
    assert len(boxes_of(module)) == 1, f"{module}: {boxes_of(module)}; see the table in docs/architecture.md"


@pytest.mark.parametrize("box", BOXES)
def test_what_the_table_names_is_there(box: str) -> None:
    for name in BOXES[box]:
        assert fnmatch.filter(FILES, name), f"{box}: there is no module {name}"


@pytest.mark.parametrize("module", FILES)
def test_imports_go_along_the_arrows(module: str) -> None:
    (box,) = boxes_of(module)
    allowed = {box, *reach(ARROWS, box)}
    against = {other: boxes_of(other) for other in IMPORTS[module] if not allowed.intersection(boxes_of(other))}
    assert not against, f"{module} is in {box}, and imports against the arrows: {against}"


def test_every_arrow_is_there_for_an_import() -> None:
    used = {
        (start, end)
        for module, others in IMPORTS.items()
        for other in others
        for start in boxes_of(module)
        for end in boxes_of(other)
    }
    assert {(start, end) for start, ends in ARROWS.items() for end in ends} - used == set()


def test_modules_do_not_import_each_other_in_circles() -> None:
    assert [module for module in IMPORTS if module in reach(IMPORTS, module)] == []


@pytest.mark.parametrize("box", ["smtp", "disclaimer", "policy", "notices"])
def test_boxes_without_sockets_know_none(box: str) -> None:
    names = {
        name
        for module, path in FILES.items()
        if boxes_of(module) == [box]
        for name in re.findall(r"^\s*(?:import|from) (\w+)", path.read_text(encoding="utf-8"), re.MULTILINE)
    }
    assert names.isdisjoint({"asyncio", "socket", "selectors", "subprocess"})


def test_the_disclaimers_own_modules_know_nothing_of_the_daemon() -> None:
    own = [module for module in FILES if module.startswith("disclaimer.")]
    others = {other for module in own for other in IMPORTS[module] if not other.startswith("disclaimer")}
    # values to values, and copied beside them by the role filter_disclaimer
    assert others <= {"patterns"}


@pytest.mark.parametrize(
    ("line", "module"),
    [
        ("from ..pipeline import Pipeline", "pipeline"),
        ("from .. import pipeline", "pipeline"),
        ("from filterd import pipeline", "pipeline"),
        ("import filterd.pipeline", "pipeline"),
        ("def later():\n    from ..pipeline import Pipeline", "pipeline"),
        ("from . import clamd", "scan.clamd"),
        ("from .clamd import Clamd", "scan.clamd"),
        ("from . import Scanner", "scan"),
        ("from .. import __version__", "filterd"),
    ],
)
def test_every_way_to_import_is_seen(line: str, module: str) -> None:
    assert imported(line, ("scan",), set(FILES)) == {module}
    for_types = "if TYPE_CHECKING:\n" + textwrap.indent(line, "    ")
    assert imported(for_types, ("scan",), set(FILES)) == set()
