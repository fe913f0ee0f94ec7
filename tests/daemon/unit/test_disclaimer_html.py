# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The place of a disclaimer in HTML, judged by a parser that reads as browsers do."""

from __future__ import annotations

from xml.etree import ElementTree

import html5lib
import pytest
from harness.effort import growth
from hypothesis import example, given, settings
from hypothesis import strategies as st

from filterd.disclaimer.eligible import Left
from filterd.disclaimer.html_place import place

MARKUP = '<p id="disclaimer">text</p>'


def tree(page: str) -> ElementTree.Element:
    return html5lib.parse(page, treebuilder="etree", namespaceHTMLElements=False)


def inserted(page: str) -> str:
    at = place(page)
    return page[:at] + MARKUP + page[at:]


def check(page: str) -> None:
    """The disclaimer is an element of the body, and without it the document is what it was."""
    root = tree(inserted(page))
    found = root.findall(".//*[@id='disclaimer']")
    assert len(found) == 1, inserted(page)
    assert "".join(found[0].itertext()) == "text"
    assert any(found[0] in list(element.iter()) for element in root.findall("body"))


@pytest.mark.parametrize(
    ("page", "expected"),
    [
        ("<body>x</body></html>", "<body>x|</body></html>"),
        ("<BODY>x</BODY\n></HTML>", "<BODY>x|</BODY\n></HTML>"),
        ("<p>x", "<p>x|"),
        ("", "|"),
        ("x</html>\n", "x|</html>\n"),
        ("<body>one</body>two</body>", "<body>one</body>two|</body>"),
        ("<body>x<!-- </body> --></body>", "<body>x<!-- </body> -->|</body>"),
        ("<body>x<!-- </body>", "<body>x|<!-- </body>"),
        ("<body>x<!--></body>-->y", "<body>x<!-->|</body>-->y"),
        ("<body>x<!--a--!></body>", "<body>x<!--a--!>|</body>"),
        ("<body>x<![endif]--></body>", "<body>x<![endif]-->|</body>"),
        ("<body><!--[if mso]></body><![endif]-->x</body>", "<body><!--[if mso]></body><![endif]-->x|</body>"),
        ("<script>'</body>'</script>x</body>", "<script>'</body>'</script>x|</body>"),
        ("<body>x<script>'</body>'", "<body>x|<script>'</body>'"),
        ("<body>x<title></body></titlex></title></body>", "<body>x<title></body></titlex></title>|</body>"),
        ("<textarea></body></TEXTAREA >y</body>", "<textarea></body></TEXTAREA >y|</body>"),
        ("<a title='</body>'>x</a></body>", "<a title='</body>'>x</a>|</body>"),
        ('<a title = "</body>" >x</a></body>', '<a title = "</body>" >x</a>|</body>'),
        ("<a b'</body>'>x", "<a b'</body>'>x|"),
        ("<a href=x'y></body>", "<a href=x'y>|</body>"),
        ("<body>x<a href='y></body>", "<body>x|<a href='y></body>"),
        ("<body>x</body", "<body>x|</body"),
        ("<body>a < b</body>", "<body>a < b|</body>"),
        ("<body>x</ body></body>", "<body>x</ body>|</body>"),
        ("<plaintext></body>", "|<plaintext></body>"),
        ("<bodyx>x</bodyx></body>", "<bodyx>x</bodyx>|</body>"),
    ],
)
def test_place(page, expected):
    at = place(page)
    assert page[:at] + "|" + page[at:] == expected


def test_a_page_of_frames_has_no_body():
    with pytest.raises(Left):
        place("<html><frameset><frame src=x></frameset></html>")


PIECES = [
    *("<html>", "<head>", "</head>", "<body>", "</body>", "</html>", "<p>", "</p>", "x", " ", "\n", "<", ">", "'", '"'),
    *("<!--", "-->", "--!>", "<!-->", "<script>", "</script>", "<style>", "</style>", "<textarea>", "</textarea>"),
    *(
        "<a href='",
        '<a href="',
        "<a b=c ",
        "<div",
        "=",
        "/>",
        "<!x",
        "<?y",
        "</ z",
        "<![endif]-->",
        "<b>",
        "</b>",
        "<br/>",
    ),
    *("<xmp>", "</xmp>", "&lt;", "<iframe>", "</iframe>", '<BODY class="a>b">', "<title>", "</title>", "<noembed>"),
]


@pytest.mark.slow
@settings(max_examples=2000, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=14).map("".join))
@example("<a x='</body>")
@example("<script><!--<script></script>")
@example("<script><!--<script></script></script>x")
@example("<script><!--<script>--></script>x")
@example("<script><!--><script></script>x")
@example("<script><!--<script></script><script></script></script>x")
def test_browsers_show_it_whatever_the_page_is_like(page):
    check(page)


def test_a_large_page_takes_linear_time():
    for piece in (
        "<",
        "<a ",
        "<a b='",
        "<!--",
        "</body>",
        '<p class="x">y</p>',
        "<a b=c d='",
        "< ",
        "<!",
        "<script>",
        "<script><!--",
        "</",
    ):
        assert growth(lambda number, piece=piece: piece * number, place, 50000 // len(piece)) < 3, piece
