# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A disclaimer in HTML, before the end of the body element."""

from __future__ import annotations

from . import header_edits, html_place, transfer
from .charset import Charset
from .edits import Edit
from .fields import Irregular
from .outline import Part
from .text import ascii_markup


def edits(part: Part, markup: str, line_end: bytes) -> list[Edit]:
    """All edits of the part: its charset and transfer encoding stay. Raises Irregular, or Left for a page of frames."""
    decoded = transfer.decode(part.raw, part.encoding)
    charset = Charset(part.type.get("charset"))
    if charset.ascii:
        view, codec = charset.masked(decoded).decode("latin-1"), "ascii"
        place = html_place.place(view)
    else:
        exact = charset.exact(decoded)
        if exact is None or exact.codec is None:
            raise Irregular("a text that is not in its charset")
        codec = exact.codec
        view = decoded.decode(codec)
        character = html_place.place(view)
        place = len(view[:character].encode(codec))
        view = view[max(0, character - 1) : character] or "\n"
    newline = "\n" if part.encoding == "base64" and "\r\n" not in view and "\n" in view else "\r\n"
    if part.encoding != "base64":
        newline = line_end.decode("ascii")
    begins = place == 0 or (view[-1:] if codec != "ascii" else view[place - 1 : place]) == "\n"
    text = ("" if begins else newline) + ascii_markup(markup).replace("\n", newline) + newline
    change = transfer.insert(
        part.raw, part.encoding, place, text.encode(codec, "xmlcharrefreplace"), " ".encode(codec), line_end
    )
    data = header_edits.separate(part, line_end) + change.data
    return [Edit(part.body + change.start, part.body + change.end, data)]
