# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Configuration files of Postfix as hypothesis makes them up: all that the format allows, in odd mixtures."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

_names = st.sampled_from(["smtp", "scan", "relay", "127.0.0.1:10025", "[::1]:10025", "submission", "my-filter", "x_1"])
_blanks = st.sampled_from(
    [" ", "  ", "\t", " \t ", "\n  ", "\n\t", "\n# in between\n  ", "\n\n ", "\n   # indented\n\n "]
)
_options = st.sampled_from(
    [
        "-v",
        "-D",
        "-o a=b",
        "-oa_1=b",
        "-o { a = b c }",
        "-o {a={x}}",
        "-vo a=",
        "-o mynetworks=127.0.0.0/8,[::1]/128",
        "-o a=${b?{c}:{d}}",
    ]
)
_arguments = st.sampled_from(
    ["flags=Rq", "user=filter:filter", "argv=/bin/x", "${sender}", "{ two words }", "-f", "--"]
)
_between = st.sampled_from(
    ["", "\n", "# a comment\n", "#\n#x inet n - n - - smtpd\n", "  # indented\n", " \t\n\n", "# -o a=b\n\n"]
)


def refusal(function: Callable[..., Any], *arguments: Any, otherwise: str) -> str:
    """What a function says when it refuses its arguments with a ValueError; any other exception is a failure."""
    try:
        function(*arguments)
    except ValueError as error:
        return str(error)
    return otherwise


@st.composite
def entries(draw: st.DrawFn, name: str | None = None) -> tuple[str, str]:
    """An entry without its last line feed, and its name and type."""
    name = name or draw(_names)
    kind = draw(st.sampled_from(["inet", "unix", "unix-dgram", "fifo", "pass"]))
    fields = [
        name,
        kind,
        "n" if kind == "inet" else draw(st.sampled_from("-yn")),
        draw(st.sampled_from("-yn")),
        draw(st.sampled_from("-yn")),
        draw(st.sampled_from(["-", "0", "60", "1000?"])),
        draw(st.sampled_from(["-", "0", "10"])),
        draw(st.sampled_from(["smtpd", "pipe", "lmtp"])),
        *draw(st.lists(_options, max_size=3)),
        # The first argument is none in braces: postconf(1) of Postfix 3.7 forgets the braces when it prints it.
        *draw(st.lists(_arguments, max_size=3).map(lambda words: ["first", *words] if words else [])),
    ]
    text = fields[0]
    for field in fields[1:]:
        text += draw(_blanks) + field
    return text + draw(st.sampled_from(["", " ", "\t"])), f"{name}/{kind}"


@st.composite
def master_cf_texts(draw: st.DrawFn, without: frozenset[str] = frozenset()) -> str:
    """A whole master.cf of one or more different services; it may lack its last line feed."""
    text = draw(_between)
    seen = set(without)
    for entry, key in draw(st.lists(entries(), min_size=1, max_size=6)):
        if key not in seen:
            seen.add(key)
            text += entry + "\n" + draw(_between)
    if len(seen) == len(without):
        text += "pickup unix n - y 60 1 pickup\n"
    return text.rstrip("\n") if draw(st.booleans()) else text


@st.composite
def main_cf_texts(draw: st.DrawFn) -> str:
    """A main.cf, possibly empty, with folded and repeated parameters; it may lack its last line feed."""
    text = draw(_between)
    for name in draw(st.lists(st.sampled_from(["content_filter", "a", "mynetworks", "B_2", "relayhost"]), max_size=5)):
        text += name + draw(st.sampled_from([" = ", "=", "\t=\n  ", " ="]))
        text += draw(st.sampled_from(["", "x", "a, b", "a,\n  b", "a\n# in between\n\n b", "$x # no comment", "a = b"]))
        text += "\n" + draw(_between)
    return text.rstrip("\n") if draw(st.booleans()) else text
