# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Header blocks with the place of everything that may be edited (RFC 5322 section 2.2, RFC 2045 section 5.1).

Strict on purpose: what can be read in two ways is refused, because a disclaimer is no reason to guess.
"""

from __future__ import annotations

import re
from typing import NamedTuple, Optional

_TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_SPACE = rb"(?:[ \t\r\n]|\([^()\\]*\))*"
_TYPE = re.compile(_SPACE + rb"(" + _TOKEN + rb")/(" + _TOKEN + rb")" + _SPACE)
_VALUE = rb"(\"(?:[^\"\\]|\\.)*\"|[^\s;\"()]+)"
_PARAMETER = re.compile(
    rb";" + _SPACE + rb"(?:(" + _TOKEN + rb")" + _SPACE + rb"=" + _SPACE + _VALUE + _SPACE + rb")?", re.DOTALL
)
_WORD = re.compile(_SPACE + rb"(" + _TOKEN + rb")" + _SPACE + rb"\Z")
_MAILBOX_LINE = re.compile(rb">?From [^\n]*\n")
_FIELD = re.compile(rb"([!-9;-~]+):([^\n]*(?:\n[ \t][^\n]*)*)(?:\n|\Z)")


class Irregular(ValueError):
    """Something that different readers read differently; the words say what."""


class Field(NamedTuple):
    """One header field, by its places in the content."""

    name: bytes  #: in lower case
    start: int
    value_start: int  #: behind the colon
    value_end: int  #: before the line end
    end: int  #: behind the line end
    value: bytes


class Parameter(NamedTuple):
    """One parameter of a field."""

    value: str
    start: int  #: of the value as written, with its quotation marks
    end: int


class ContentType(NamedTuple):
    """What a Content-Type field says."""

    main: str  #: in lower case, like the next
    sub: str
    parameters: dict[str, Parameter]
    end: int  #: behind the last word

    @property
    def kind(self) -> str:
        """Like text/plain."""
        return f"{self.main}/{self.sub}"

    def get(self, name: str) -> str:
        """The value of a parameter, empty when there is none."""
        found = self.parameters.get(name)
        return found.value if found else ""


def fields(block: bytes, at: int) -> list[Field]:
    """The fields of a header block that stands at `at` in the content. Raises Irregular."""
    found = []
    place = 0
    mailbox = _MAILBOX_LINE.match(block) if at == 0 else None
    if mailbox:
        place = mailbox.end()
    while place < len(block):
        match = _FIELD.match(block, place)
        if match is None:
            raise Irregular("a line in a header that is no field")
        value = match.group(2)
        end = match.end(2) - (1 if value.endswith(b"\r") else 0)
        start, after = at + match.start(2), at + end
        found.append(
            Field(match.group(1).lower(), at + place, start, after, at + match.end(), block[match.start(2) : end])
        )
        place = match.end()
    return found


def first_field(block: bytes) -> int:
    """Where the first field of a message stands: behind the envelope line of a mailbox file, if there is one."""
    mailbox = _MAILBOX_LINE.match(block)
    return mailbox.end() if mailbox else 0


def only(found: list[Field], name: bytes) -> Optional[Field]:
    """The field of this name, if there is one. Raises Irregular when there are several."""
    same = [field for field in found if field.name == name]
    if len(same) > 1:
        raise Irregular(f"several {name.decode('ascii', 'replace')} fields")
    return same[0] if same else None


def content_type(field: Field) -> ContentType:
    """Read a Content-Type field. Raises Irregular."""
    main, sub, parameters, end = _typed(field)
    return ContentType(main, sub, parameters, end)


def _typed(field: Field) -> tuple[str, str, dict[str, Parameter], int]:
    match = _TYPE.match(field.value)
    if match is None:
        raise Irregular("a Content-Type without type and subtype")
    return (
        match.group(1).decode("ascii").lower(),
        match.group(2).decode("ascii").lower(),
        *_parameters(field, match.end(), match.end(2)),
    )


def _parameters(field: Field, place: int, last: int) -> tuple[dict[str, Parameter], int]:
    found: dict[str, Parameter] = {}
    value = field.value
    while place < len(value):
        match = _PARAMETER.match(value, place)
        if match is None:
            raise Irregular("a parameter of a header field that is not regular")
        if match.group(1) is not None:
            name = match.group(1).decode("ascii").lower()
            if name in found:
                raise Irregular(f"several parameters {name}")
            if name.split("*")[0] in ("charset", "boundary") and "*" in name:
                raise Irregular(f"the parameter {name} is split or encoded")
            found[name] = Parameter(
                _unquoted(match.group(2)), field.value_start + match.start(2), field.value_start + match.end(2)
            )
            last = match.end(2)
        place = match.end()
    return found, field.value_start + last


def _unquoted(text: bytes) -> str:
    if text.startswith(b'"'):
        text = re.sub(rb"\\(.)", rb"\1", text[1:-1], flags=re.DOTALL).replace(b"\r\n", b"").replace(b"\n", b"")
    return text.decode("latin-1")


def word(field: Field) -> str:
    """The only word of a field such as Content-Transfer-Encoding, in lower case. Raises Irregular."""
    match = _WORD.match(field.value)
    if match is None:
        raise Irregular(f"a {field.name.decode('ascii', 'replace')} field that is not one word")
    return match.group(1).decode("ascii").lower()


def word_place(field: Field) -> tuple[int, int]:
    """Where that word stands in the content."""
    match = _WORD.match(field.value)
    assert match is not None
    return field.value_start + match.start(1), field.value_start + match.end(1)


def disposition(field: Field) -> tuple[str, dict[str, Parameter]]:
    """The word and the parameters of a Content-Disposition field. Raises Irregular."""
    match = re.match(_SPACE + rb"(" + _TOKEN + rb")" + _SPACE, field.value)
    if match is None:
        raise Irregular("a Content-Disposition that is not regular")
    return match.group(1).decode("ascii").lower(), _parameters(field, match.end(), match.end(1))[0]
