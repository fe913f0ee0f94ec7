# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Texts of disclaimers: what is refused, with file and line; variables; rows by sender and recipient."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filterd.config import ConfigError, from_json
from filterd.disclaimer.load import header, load_rows
from filterd.disclaimer.rows import choose
from filterd.disclaimer.text import Values, compile_text, render

VALUES = Values("anna@example.com", '<b>"Anna" & Co</b>\r\nX', 0.0)


def problems(text: str | bytes, html: bool = False) -> list[tuple[int, str]]:
    data = text.encode() if isinstance(text, str) else text
    return [tuple(problem) for problem in compile_text(data, html)[1]]


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        (b"one\ntwo \xff", 2, "not valid UTF-8 (byte 0xff)"),
        ("one\n\ntwo ${nonsense}", 3, "the unknown variable ${nonsense}; there are ${date}"),
        ("costs 5 $", 1, "$ alone"),
        ("${date:%Q}", 1, "only date takes a format"),
        ("${sender:%Y}", 1, "only date takes a format"),
        ("x" * 801, 1, "801 bytes in one line"),
        ("a\x07b", 1, "control character (U+0007)"),
        ("x\n" * 40000, 1, "80000 bytes"),
    ],
)
def test_a_plain_text_is_refused_with_its_line(text, line, words):
    found = problems(text)
    assert found[0][0] == line
    assert words in found[0][1]


@pytest.mark.parametrize(
    ("page", "line", "words"),
    [
        ("only words", 1, "no markup"),
        ("<p>one\n<b>two", 1, "<p>, which is never closed"),
        ("<p>one\n<b>two</p>", 2, "</p> where it takes </b> for line 2"),
        ("</p><br>", 1, "</p> where it takes no end tag"),
        ("<p>\n1 < 2</p>", 2, "< that begins no tag"),
        ("<p>a &nonsense; b</p>", 1, "&nonsense, which is no character"),
        ("<p>x</p><!-- y -->", 1, "comment"),
        ("<body><p>x</p></body>", 1, "<body>, which does not belong"),
        ("<script>x</script>", 1, "<script>"),
        ("<p onclick='x'>x</p>", 1, "a script in <p>"),
        ("<div/>", 1, "<div/>"),
        ("<p>x</p>\n<a href='", 2, "ends inside of a tag"),
        ("<!DOCTYPE html><p>x</p>", 1, "declaration"),
        ("<p>${x}</p>", 1, "unknown variable"),
    ],
)
def test_html_is_refused_with_its_line(page, line, words):
    assert any(found[0] == line and words in found[1] for found in problems(page, True)), problems(page, True)


@pytest.mark.parametrize("page", ["<p>x<br>y</p>", "<p>a &amp; &#228; &auml; b</p>", "<hr><img src='x'>", "", "<br/>"])
def test_valid_html_is_taken(page):
    assert problems(page, True) == []


@given(st.binary(max_size=100), st.booleans())
def test_any_bytes_are_judged(data, html):
    text, found = compile_text(data, html)
    if not found:
        render(text, VALUES)


def test_variables():
    text, _ = compile_text(b"${date} ${date:%d.%m.%y} ${sender} ${sender_domain} $$5", False)
    assert render(text, VALUES).split(" ", 2)[2] == "anna@example.com example.com $5"
    assert render(text, VALUES).startswith("19")


def test_values_are_escaped_in_html_and_have_no_line_ends():
    text, _ = compile_text(b"<p title='${sender_name}'>${sender_name}</p>", True)
    name = "&lt;b&gt;&quot;Anna&quot; &amp; Co&lt;/b&gt;  X"
    assert render(text, VALUES) == f"<p title='{name}'>{name}</p>"
    plain, _ = compile_text(b"${sender_name}", False)
    assert render(plain, VALUES) == '<b>"Anna" & Co</b>  X'


def test_rows_are_chosen_by_sender_and_recipient():
    loaded = load_rows(
        [
            {"senders": ["boss@example.com"], "recipients": [".example.org"]},
            {"senders": ["sales.example.com", "info@"], "text": "sales"},
            {"recipients": ["example.net"], "text": "net"},
            {"senders": ["example.com"], "html": "<p>all</p>"},
        ],
        "rows",
        files=False,
    )
    assert loaded.problems == ()
    chosen = {
        pair: choose(loaded.rows, *pair)
        for pair in (
            ("Boss+x@example.com", "a@b.example.org"),
            ("x@sales.example.com", "a@b"),
            ("info@example.org", "a@b"),
            ("x@example.com", "a@EXAMPLE.NET"),
            ("x@example.com", "a@b"),
            ("x@example.org", "a@b"),
            ("", "a@example.net"),
        )
    }
    texts = [row and (row.text or row.html).source for row in chosen.values()]
    assert texts == [None, "sales", "sales", "net", "<p>all</p>", None, None]


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ({}, "rows: held {}; it takes a list"),
        ([1], "rows[0]: held 1; it takes an object"),
        ([{"texts": ""}], "rows[0]: has the unknown key 'texts'"),
        ([{"senders": "example.com"}], "rows[0].senders: held"),
        ([{"recipients": ["@example.com"]}], "rows[0].recipients: held"),
        ([{"text": 5}], "rows[0].text: held 5; it takes a text"),
        ([{"text": "x", "text_file": "/x"}], "one of them"),
        ([{"text_file": "/nonexistent"}], "/nonexistent: cannot be read: No such file"),
        # what Ansible's lookup of a file makes of Latin-1, and half of a character
        ([{"text": "one\nK\udcf6ln"}], "rows[0].text:2: is not valid UTF-8 (byte 0xf6)"),
        ([{"text": "\ud83d"}], "rows[0].text:1: is not valid UTF-8 (byte 0xed)"),
    ],
)
def test_wrong_rows_are_named(rows, words):
    assert words in load_rows(rows, "rows", files=True).problems[0]


@pytest.mark.parametrize("value", ["X", "X:", "From: x", "Content-Type: x", "X Y: z", "X: y\r\nZ: a", 5, "X: ä"])
def test_header_fields_that_are_refused(value):
    assert header(value) is None


def test_the_preflight_names_file_and_line(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"fine\nno \xe4")
    (tmp_path / "b.html").write_text("<p>\nx")
    rows = [{"text_file": str(tmp_path / "a.txt"), "html_file": str(tmp_path / "b.html")}, {"text": "${x}"}]
    done = subprocess.run(
        [sys.executable, "-m", "filterd.disclaimer.check"],
        input=json.dumps({"rows": rows, "label": "filter_disclaimer_texts", "header": "x"}),
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[3] / "files",
        check=False,
    )
    assert done.returncode == 1
    lines = done.stderr.splitlines()
    assert lines[0] == f"{tmp_path}/a.txt:2: is not valid UTF-8 (byte 0xe4)"
    assert lines[1] == f"{tmp_path}/b.html:1: has <p>, which is never closed"
    assert lines[2].startswith("filter_disclaimer_texts[1].text:1: has the unknown variable ${x}")
    assert "header field" in lines[3]


def test_keys_of_the_daemon():
    config = from_json({"disclaimers": [{"senders": ["example.com"], "text": "x"}], "disclaimer_clients": ["::1"]})
    assert config.as_json()["disclaimers"] == [{"senders": ["example.com"], "text": "x"}]
    with pytest.raises(ConfigError, match=r"disclaimers: held .*text:1: has the unknown variable"):
        from_json({"disclaimers": [{"text": "${x}"}]})
    with pytest.raises(ConfigError, match="disclaimer_header"):
        from_json({"disclaimer_header": "nothing"})
