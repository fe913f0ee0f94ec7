# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where in an HTML document a text goes so that a browser shows it at the end of the body.

The tokens are those of the HTML standard, as browsers read them: what looks like </body> in a comment, a script or an
attribute is none, and what nobody ended goes on to the end of the document.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from .eligible import Left

_COMMENT_END = re.compile(r"--!?>")
#: Elements whose content is text, up to their own end tag.
_RAW = frozenset(("script", "style", "xmp", "iframe", "noembed", "noframes", "textarea", "title"))
_SCRIPT_MARK = re.compile(r"<!--|-->|<(/?)script(?=[\s/>])", re.IGNORECASE)
_NAME = re.compile(r"</?([A-Za-z][^\s/>]*)")
_PLAIN_REST = re.compile(r"[^>\"']*>")
_ATTRIBUTE = re.compile(r"[\s/]*(>|=?[^\s/>=]*(?:\s*=\s*(?:\"[^\"]*\"|'[^']*'|[^\s>\"'][^\s>]*)?)?)")


class _Tag(NamedTuple):
    name: str  #: in lower case
    closing: bool
    end: int  #: -1 when the document ends inside of it


def place(text: str) -> int:
    """The place for the text, in characters. Raises Left for a document without a body (frames)."""
    body = html = -1
    at = text.find("<")
    while at >= 0:
        if text.startswith("<!--", at):
            end = _comment_end(text, at)
        elif text.startswith(("<!", "<?"), at) or (text.startswith("</", at) and not text[at + 2 : at + 3].isalpha()):
            end = text.find(">", at) + 1 or -1
        else:
            tag = _tag(text, at)
            if tag is None:
                at = text.find("<", at + 1)
                continue
            end = tag.end
            if tag.name == "frameset" and body < 0:
                raise Left("a page of frames")
            if tag.closing and tag.name == "body":
                body = at
            elif tag.closing and tag.name == "html":
                html = at
            elif not tag.closing and end >= 0 and tag.name in _RAW:
                end = _raw_end(text, tag.name, end)
            elif not tag.closing and tag.name == "plaintext":
                end = -1
        if end < 0:
            return _first(body, html, at)
        at = text.find("<", end)
    return _first(body, html, len(text))


def _first(body: int, html: int, otherwise: int) -> int:
    return body if body >= 0 else html if html >= 0 else otherwise


def _comment_end(text: str, at: int) -> int:
    for short in ("<!-->", "<!--->"):
        if text.startswith(short, at):
            return at + len(short)
    match = _COMMENT_END.search(text, at + 4)
    return match.end() if match else -1


def _raw_end(text: str, name: str, start: int) -> int:
    if name == "script":
        return _script_end(text, start)
    match = re.compile(rf"</{name}(?=[\s/>])", re.IGNORECASE).search(text, start)
    return match.start() if match else -1


def _script_end(text: str, at: int) -> int:
    """A script that writes scripts, in a comment: their end tags do not end it (script data double escaped state)."""
    in_comment = in_inner = False
    while True:
        match = _SCRIPT_MARK.search(text, at)
        if match is None:
            return -1
        mark = match.group()
        # the dashes that begin a comment may be those that end it
        at = match.start() + 2 if mark == "<!--" else match.end()
        if mark == "<!--":
            in_comment = True
        elif mark == "-->":
            in_comment = in_inner = False
        elif not match.group(1):
            in_inner = in_comment
        elif not in_inner:
            return match.start()
        else:
            in_inner = False


def _tag(text: str, at: int) -> _Tag | None:
    match = _NAME.match(text, at)
    if match is None:
        return None  # a < that is only a character
    return _Tag(match.group(1).lower(), text[at + 1] == "/", _tag_end(text, match.end()))


def _tag_end(text: str, at: int) -> int:
    """Behind the > that ends the tag; one in a quoted value does not."""
    plain = _PLAIN_REST.match(text, at)
    if plain:
        return plain.end()
    while at < len(text):
        match = _ATTRIBUTE.match(text, at)
        if match is None:
            return -1
        if match.group(1) == ">":
            return match.end()
        if match.group(1).rstrip().endswith("=") and text[match.end() : match.end() + 1] in ("'", '"'):
            return -1  # a value whose quotation mark is never closed
        if match.end() == at:
            return -1
        at = match.end()
    return -1
