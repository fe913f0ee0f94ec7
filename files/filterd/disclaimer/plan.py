# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""All edits of one message."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from . import header_edits, markup, plain, transfer
from .charset import Charset
from .edits import Edit, growth, ordered
from .eligible import Choice, Left, check_header, choose
from .fields import Irregular
from .outline import Outline, Part, TooLarge
from .rows import MARK, Options, Row
from .text import Values, markup_of, normal, render, visible, words_of

_PGP = re.compile(rb"(?m)^(?:> ?)*-----BEGIN PGP ")


class Plan(NamedTuple):
    """What becomes of a message."""

    edits: tuple[Edit, ...]  #: ordered; none when it is left as it is
    reason: str  #: why it is left as it is, else empty
    header: bytes = b""  #: the header block afterwards, as far as it changes, without the last line end

    @property
    def growth(self) -> int:
        """Bytes by which the message becomes longer."""
        return growth(self.edits)


def plan(content: Iterable[bytes], row: Row, options: Options, sender: str, now: float) -> Plan:
    """Read the content, and say how it changes. Never raises on content.

    `sender`: envelope sender; nothing is added to mail without one. `now`: seconds since 1970, for the date.
    """
    if not sender:
        return Plan((), "sent by a program (null sender)")
    outline = Outline(options.text_limit)
    for piece in content:
        outline.feed(piece)
    return planned(outline, row, options, sender, now)


def planned(outline: Outline, row: Row, options: Options, sender: str, now: float) -> Plan:
    """The same for content that has been read."""
    try:
        root, choice = chosen(outline, row, options)
        line_end = b"\r\n" if _has_crlf(root) else b"\n"
        words, page = texts_of(root, row, sender, now)
        if choice.parts:
            edits = _edits(choice.parts, words, page, line_end)
        elif options.without_text:
            edits = _one_more_part(root, choice, words, line_end, outline.size)
        else:
            raise Left("without text")
        begun = [
            *header_edits.add_first(root, field_lines(options), line_end),
            *header_edits.end_last_line(root, line_end),
        ]
        found = ordered([*begun, *edits])
        return Plan(found, "", _header(root, found))
    except Left as left:
        return Plan((), str(left))
    except Irregular as irregular:
        return Plan((), f"not regular: {irregular}")
    except TooLarge:
        return Plan((), f"more than {options.text_limit} bytes of text")


def field_lines(options: Options) -> list[bytes]:
    """The header fields of a message that has its disclaimer."""
    lines = [f"{MARK}: added by filter-stack at {options.hostname}".encode("ascii", "replace")]
    if options.header[0]:
        lines.append(": ".join(options.header).encode("ascii", "replace"))
    return lines


def chosen(outline: Outline, row: Row, options: Options) -> tuple[Part, Choice]:
    """The message, and where its text goes. Raises Left, Irregular or TooLarge."""
    root = outline.finish()
    check_header(root, MARK.lower().encode(), options.skip_lists)
    choice = choose(root)
    _check_texts(choice.parts, row)
    return root, choice


def _has_crlf(root: Part) -> bool:
    line = root.block.find(b"\n")
    text = root.block if line >= 0 else root.raw[:10000]
    place = text.find(b"\n")
    return place < 0 or text[place - 1 : place] == b"\r"


def texts_of(root: Part, row: Row, sender: str, now: float) -> tuple[str, str]:
    """The plain text and the HTML for this message; where one is missing, made from the other."""
    named = any(text is not None and "sender_name" in text.source for text in (row.text, row.html))
    values = Values(sender, _sender_name(root) if named else "", now)
    words = render(row.text, values) if row.text is not None else ""
    page = render(row.html, values) if row.html is not None else ""
    return words or words_of(page), page or markup_of(words)


def received_from(outline: Outline, user: int) -> int:
    """How often a message was handed to sendmail(1) by this user id on its way, as Postfix' Received fields tell."""
    wanted = re.compile(rb"\(Postfix, from userid %d\)" % user)
    return sum(1 for field in outline.root.fields if field.name == b"received" and wanted.search(field.value))


def sender_address(text: str) -> str:
    """An address without the quotation marks that pipe(8) puts around a local part (flag q)."""
    local, at, domain = text.rpartition("@")
    if len(local) > 1 and local.startswith('"') and local.endswith('"'):
        local = re.sub(r"\\(.)", r"\1", local[1:-1])
    return local + at + domain


def _sender_name(root: Part) -> str:
    """The display name in From, decoded (RFC 2047)."""
    for field in root.fields:
        if field.name == b"from":
            from email.header import decode_header, make_header  # noqa: PLC0415  (slow to import, seldom needed)
            from email.utils import parseaddr  # noqa: PLC0415

            text = re.sub(rb"\r?\n", b"", field.value).decode("utf-8", "replace")
            name = parseaddr(text)[0]
            try:
                return str(make_header(decode_header(name)))
            except (ValueError, LookupError):
                return name
    return ""


def _check_texts(parts: list[Part], row: Row) -> None:
    """Raise Left where a text is signed or encrypted by itself, or has the disclaimer, in a quotation perhaps."""
    for part in parts:
        decoded = transfer.decode(part.raw, part.encoding)
        if _PGP.search(decoded):
            raise Left("signed or encrypted (PGP)")
        marks = row.marks
        if marks:
            text = Charset(part.type.get("charset")).loose(decoded)
            known = normal(visible(text) if part.type.sub == "html" else text)
            if any(mark in known for mark in marks):
                raise Left("it has this disclaimer in its text")


def _edits(parts: list[Part], words: str, page: str, line_end: bytes) -> list[Edit]:
    edits: list[Edit] = []
    for part in parts:
        if part.type.sub == "html":
            edits += markup.edits(part, page, line_end)
        else:
            edits += plain.edits(part, words, line_end)
    return edits


def _one_more_part(root: Part, choice: Choice, words: str, line_end: bytes, size: int) -> list[Edit]:
    """A part of its own, the first one, for a message that has no text."""
    lines = transfer.quoted(words.encode("utf-8"), line_end)
    charset = b"us-ascii" if words.isascii() else b"utf-8"
    head = [b"Content-Type: text/plain; charset=" + charset, b"Content-Transfer-Encoding: quoted-printable"]
    part = line_end.join([*head, b"", lines, b""])
    if choice.beside is not None:
        first = choice.beside.children[0].start
        delimiter = b"--" + root.type.get("boundary").rstrip().encode("latin-1")
        return [Edit(first, first, part + delimiter + line_end)]
    return _wrapped(root, part, line_end, size)


def _wrapped(root: Part, part: bytes, line_end: bytes, size: int) -> list[Edit]:
    """The message as a whole becomes the second part of a multipart/mixed; its content fields go with it."""
    moved = [field for field in root.fields if field.name.startswith(b"content-")]
    if not root.separated or not moved:
        raise Left("without text")
    import hashlib  # noqa: PLC0415  (the same)

    boundary = b"=_" + hashlib.sha256(root.block + size.to_bytes(8, "big")).hexdigest()[:32].encode()
    block, start = root.block, root.start
    fields = b"".join(block[field.start - start : field.end - start] for field in moved)
    added = [b'Content-Type: multipart/mixed; boundary="' + boundary + b'"']
    if root.encoding in ("8bit", "binary"):
        added.append(b"Content-Transfer-Encoding: " + root.encoding.encode())
    if not any(field.name == b"mime-version" for field in root.fields):
        added.insert(0, b"MIME-Version: 1.0")
    open_line = b"--" + boundary + line_end
    return [
        *(Edit(field.start, field.end, b"") for field in moved),
        *header_edits.add_last(root, added, line_end),
        Edit(root.body, root.body, open_line + part + open_line + fields + line_end),
        Edit(size, size, line_end + b"--" + boundary + b"--" + line_end),
    ]


def _header(root: Part, edits: tuple[Edit, ...]) -> bytes:
    """The header block with the edits in it."""
    block, at, pieces = root.block, 0, []
    for edit in edits:
        if edit.start > len(block):
            break
        pieces += [block[at : edit.start], edit.data]
        at = edit.end
    # Where nothing ended the header, the text that is added does.
    text = re.split(rb"\r?\n\r?\n", b"".join([*pieces, block[at:]]), maxsplit=1)[0]
    return text[: -2 if text.endswith(b"\r\n") else -1 if text.endswith(b"\n") else len(text)]
