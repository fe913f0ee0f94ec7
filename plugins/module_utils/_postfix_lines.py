# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Logical lines of main.cf and master.cf, exactly as Postfix reads them, with the place where each one stands.

The rules are those of master(5), postconf(5) and Postfix' readlline(3): a logical line starts with text at the
left edge; a line that starts with white space continues it; empty lines, lines of white space and lines whose
first other character is "#" are no part of it, also not between its continuation lines.

Text is what decode() makes of a file's bytes; encode() gives the very same bytes back, whatever their encoding.
Every function raises ValueError with a message that names the line and shows its text.
"""

from __future__ import annotations

from typing import NamedTuple

#: C's isspace() for a line that holds no line feed: what makes a line a continuation.
SPACE = " \t\v\f\r"
#: What separates the fields of a line (CHARS_SPACE in Postfix).
BLANKS = " \t\r\n"


class LogicalLine(NamedTuple):
    """One logical line of a Postfix configuration file."""

    #: What Postfix sees: the physical lines put together, without line feeds, comments and empty lines between.
    joined: str
    #: The physical lines that have content, each without its line feed.
    parts: tuple[str, ...]
    #: The number of the first physical line; the first line of a file is 1.
    line: int
    #: Where the text starts and ends in the file's text; the end is after the last line feed, if there is one.
    start: int
    end: int


def decode(content: bytes) -> str:
    """The text of a file; bytes that are not UTF-8 survive the round trip through encode()."""
    return content.decode("utf-8", "surrogateescape")


def encode(text: str) -> bytes:
    """The bytes of a text that decode() gave, or that was written in UTF-8."""
    return text.encode("utf-8", "surrogateescape")


def shown(text: str, longest: int = 80) -> str:
    """A line as an error message shows it: quoted, without bytes that would garble a terminal, and not endless."""
    text = text.rstrip("\n").encode("utf-8", "backslashreplace").decode("utf-8")
    return repr(text) if len(text) <= longest else repr(text[:longest]) + "..."


def physical_lines(text: str) -> list[str]:
    """The lines of a text with their line feeds; nothing but a line feed ends a line (splitlines() knows more)."""
    lines = text.split("\n")
    return [line + "\n" for line in lines[:-1]] + ([lines[-1]] if lines[-1] else [])


def is_content(line: str) -> bool:
    """Whether a physical line is neither empty nor a comment."""
    stripped = line.strip(SPACE + "\n")
    return bool(stripped) and not stripped.startswith("#")


def logical_lines(text: str, what: str) -> list[LogicalLine]:
    """Split the text of the file that `what` names into logical lines."""
    found: list[LogicalLine] = []
    parts: list[str] = []
    first = start = end = offset = 0
    for number, line in enumerate(physical_lines(text), 1):
        _refuse_odd_characters(line, number, what)
        if is_content(line):
            content = line.rstrip("\n")
            if line[0] not in SPACE:
                if parts:
                    found.append(LogicalLine("".join(parts), tuple(parts), first, start, end))
                parts, first, start = [content], number, offset
            elif parts:
                parts.append(content)
            else:
                raise ValueError(
                    f"{what}, line {number}: {shown(line)} starts with white space, so it continues a line, but there "
                    "is no line before it; an entry starts at the left edge"
                )
            end = offset + len(line)
        offset += len(line)
    if parts:
        found.append(LogicalLine("".join(parts), tuple(parts), first, start, end))
    return found


def _refuse_odd_characters(line: str, number: int, what: str) -> None:
    for character, name in (("\r", "a carriage return"), ("\0", "a null byte")):
        if character in line:
            raise ValueError(
                f"{what}, line {number}: {shown(line)} holds {name}; lines end with a line feed alone (a file from a "
                "DOS or Windows editor has to be converted first)"
            )
