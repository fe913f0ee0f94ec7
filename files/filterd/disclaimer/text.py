# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The text of a disclaimer: variables, and what is wrong with it, by line.

`${date}` (or `${date:%d.%m.%Y}`, strftime), `${sender}`, `${sender_name}`, `${sender_domain}`; `$$` is a dollar sign.
"""

from __future__ import annotations

import re
import time
from typing import NamedTuple

_VARIABLE = re.compile(r"\$(?:(\$)|\{([a-z_]*)(?::([^{}]*))?\}|)")
VARIABLES = ("date", "sender", "sender_name", "sender_domain")
_FORMAT = re.compile(r"(?:[^%]|%[aAbBdHIjmMpSUwWyYzZ%])+\Z")
#: Bytes of one line (RFC 5322 section 2.1.1: 998), with room for what variables and encodings add.
LINE_LIMIT = 800
SIZE_LIMIT = 65536
_VALUE_LIMIT = 200
#: Fewer characters say too little to know a text again.
_MARK_LENGTH = 12
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_QUOTE_MARKS = (">", "|", "\u200b", "\ufeff")


class Problem(NamedTuple):
    """What is wrong with a text, and where."""

    line: int  #: from 1
    words: str


class Text(NamedTuple):
    """A checked text."""

    source: str  #: with line ends LF, without blank lines at its end
    html: bool
    mark: str  #: how it is known again in mail that has it already; empty when it is too short for that


def compile_text(data: bytes, is_html: bool, markup: bool = True) -> tuple[Text, list[Problem]]:
    """The text, and all that is wrong with it; of its markup only when that is asked for."""
    try:
        source = data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        return Text("", is_html, ""), [Problem(line, f"is not valid UTF-8 (byte 0x{data[error.start]:02x})")]
    source = source.replace("\r\n", "\n").removeprefix("\ufeff")
    problems = []
    if len(data) > SIZE_LIMIT:
        problems.append(Problem(1, f"has {len(data)} bytes; it takes up to {SIZE_LIMIT}"))
    for number, words in enumerate(source.split("\n"), 1):
        size = len(ascii_markup(words)) if is_html else len(words.encode("utf-8", "replace"))
        if size > LINE_LIMIT:
            problems.append(Problem(number, f"has {size} bytes in one line; it takes up to {LINE_LIMIT}"))
        control = _CONTROL.search(words)
        if control:
            problems.append(Problem(number, f"has a control character (U+{ord(control.group()):04X})"))
        problems += [Problem(number, problem) for problem in _variable_problems(words)]
    if markup and is_html and source.strip():
        from .markup_check import problems as markup_problems  # noqa: PLC0415  (needed for this check alone)

        problems += [Problem(*found) for found in markup_problems(source)]
    source = source.strip("\n")
    return Text(source, is_html, _mark(source, is_html)), sorted(problems)


def _variable_problems(line: str) -> list[str]:
    found = []
    for match in _VARIABLE.finditer(line):
        if match.group(1):
            continue
        name, form = match.group(2), match.group(3)
        if name is None:
            found.append("has a $ alone; it takes $$ for a dollar sign, or a variable such as ${date}")
        elif name not in VARIABLES:
            known = ", ".join(f"${{{known}}}" for known in VARIABLES)
            found.append(f"has the unknown variable ${{{name}}}; there are {known}")
        elif form is not None and (name != "date" or not _FORMAT.match(form)):
            found.append(f"has {match.group()}; only date takes a format, of strftime, such as ${{date:%Y-%m-%d}}")
    return found


def ascii_markup(text: str) -> str:
    """HTML in ASCII: all other characters as references, which mean the same in every charset."""
    return text.encode("ascii", "xmlcharrefreplace").decode("ascii")


def _mark(source: str, is_html: bool) -> str:
    """The longest piece of the text without a variable, as `normal` has it."""
    text = visible(_VARIABLE.sub("\0", source)) if is_html else _VARIABLE.sub("\0", source)
    longest = max((normal(piece) for piece in text.split("\0")), key=len)
    return longest if len(longest) >= _MARK_LENGTH else ""


def normal(text: str) -> str:
    """A text as it is compared: without white space and quote marks, which replies change."""
    text = "".join(text.split())
    for mark in _QUOTE_MARKS:
        text = text.replace(mark, "")
    return text


_NOT_SHOWN = re.compile(r"(?is)<!--.*?-->|<(script|style|title)\b.*?</\1\s*>")
_TAGS = re.compile(r"(?s)<[/!?A-Za-z][^<>]*>")


def visible(text: str) -> str:
    """The words of HTML."""
    import html  # noqa: PLC0415  (its table of entities takes longer to load than a letter takes)

    return html.unescape(_TAGS.sub(" ", _NOT_SHOWN.sub(" ", text)))


class Values(NamedTuple):
    """What the variables stand for."""

    sender: str
    sender_name: str
    now: float  #: seconds since 1970


def render(text: Text, values: Values) -> str:
    """The text with its variables; in HTML the values are escaped."""

    def value(match: re.Match[str]) -> str:
        if match.group(1):
            return "$"
        name, form = match.group(2), match.group(3)
        if name == "date":
            found = time.strftime(form or "%Y-%m-%d", time.localtime(values.now))
        elif name == "sender_domain":
            found = values.sender.rpartition("@")[2]
        else:
            found = values.sender if name == "sender" else values.sender_name or values.sender
        found = _CONTROL.sub(" ", found).replace("\n", " ").replace("\t", " ")[:_VALUE_LIMIT]
        return _escaped(found) if text.html else found

    return _VARIABLE.sub(value, text.source) if "$" in text.source else text.source


def _escaped(text: str) -> str:
    for character, reference in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ('"', "&quot;"), ("'", "&#x27;")):
        text = text.replace(character, reference)
    return text


def markup_of(text: str) -> str:
    """HTML for a plain text."""
    return "<div><br>" + "<br>\n".join(_escaped(line) for line in text.split("\n")) + "</div>"


def words_of(markup: str) -> str:
    """A plain text for HTML."""
    broken = re.sub(r"(?i)[ \t]*(?:<br\s*/?>|</(?:p|div|h[1-6]|li|tr)\s*>)\s*", "\0", markup)
    lines = [" ".join(line.split()) for line in visible(broken).split("\0")]
    return "\n".join(lines).strip("\n")
