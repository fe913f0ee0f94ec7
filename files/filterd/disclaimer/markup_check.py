# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with the markup of an HTML text, by line."""

from __future__ import annotations

import html.entities
from html.parser import HTMLParser
from typing import Optional

_VOID = frozenset(
    ("area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr")
)
#: What readers drop, or what ends the letter.
_MISPLACED = frozenset(
    (
        *("html", "head", "body", "frameset", "frame", "title", "base", "meta", "link", "script", "style", "iframe"),
        *("plaintext", "xmp", "textarea", "template", "form", "noembed", "noframes"),
    )
)


class _Markup(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=False)
        self.open: list[tuple[str, int]] = []
        self.problems: list[tuple[int, str]] = []
        self.elements = 0

    def _note(self, words: str) -> None:
        self.problems.append((self.getpos()[0], words))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, Optional[str]]]) -> None:
        self.elements += 1
        if tag in _MISPLACED:
            self._note(f"has <{tag}>, which does not belong into the body of a letter")
        if not (self.get_starttag_text() or "").endswith(">") or any("<" in name for name, _ in attrs):
            self._note(f"has a tag <{tag}> that is not closed by >")
        if any(name.startswith("on") for name, _ in attrs):
            self._note(f"has a script in <{tag}>")
        if tag not in _VOID:
            self.open.append((tag, self.getpos()[0]))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, Optional[str]]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in _VOID:
            self._note(f"has <{tag}/>, which opens an element and does not close it; it takes </{tag}>")
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open[-1][0] != tag:
            expected = f"</{self.open[-1][0]}> for line {self.open[-1][1]}" if self.open else "no end tag"
            self._note(f"has </{tag}> where it takes {expected}")
            if any(name == tag for name, _ in self.open):
                while self.open.pop()[0] != tag:
                    pass
            return
        self.open.pop()

    def handle_data(self, data: str) -> None:
        if "<" in data:
            self._note("has a < that begins no tag; it takes &lt;")

    def handle_entityref(self, name: str) -> None:
        if name + ";" not in html.entities.html5:
            self._note(f"has &{name}, which is no character; it takes &amp; for an ampersand")

    def handle_comment(self, data: str) -> None:
        self._note("has a comment, which readers do not see")

    def handle_decl(self, decl: str) -> None:
        self._note("has a declaration, which does not belong into the body of a letter")

    def unknown_decl(self, data: str) -> None:
        self.handle_decl(data)

    def handle_pi(self, data: str) -> None:
        self._note("has a processing instruction, which is no HTML")


def problems(source: str) -> list[tuple[int, str]]:
    """All of them, each with its line (from 1)."""
    parser = _Markup()
    parser.feed(source)
    if "<" in parser.rawdata:
        parser.problems.append((source.count("\n") + 1, f"ends inside of a tag ({parser.rawdata.strip()[:20]})"))
    parser.close()
    parser.problems += [(line, f"has <{tag}>, which is never closed") for tag, line in parser.open]
    if not parser.elements:
        parser.problems.append((1, "has no markup; it takes HTML, such as <p>...</p>"))
    return list(dict.fromkeys(parser.problems))
