# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""File names of parts: every reading of them, and what they say about the file."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filterd.content.fields import read_entity
from filterd.content.names import conflict, double_extension, extensions, finding_name, shown


def names(*fields: str) -> set[str]:
    block = "\r\n".join(fields).encode("utf-8", "surrogateescape")
    return set(read_entity(block, digest=False).names)


@pytest.mark.parametrize(
    ("parameter", "name"),
    [
        ('filename="report.pdf"', "report.pdf"),
        ("filename=report.pdf", "report.pdf"),
        ("FileName = report.pdf ; size=3", "report.pdf"),
        ("\r\n filename=\r\n\treport.pdf", "report.pdf"),
        ("filename=my report.pdf", "my report.pdf"),
        ("filename=report.pdf (of today)", "report.pdf"),
        ('filename="re\\"port.pdf"', 're"port.pdf'),
        ('filename="C:\\dir\\report.pdf"', "C:\\dir\\report.pdf"),
        ('filename="report.pdf', "report.pdf"),
        ("filename*=utf-8'en'r%C3%A9port.pdf", "réport.pdf"),
        ("filename*=iso-8859-1''r%E9port.pdf", "réport.pdf"),
        ("filename*=nobody-knows''r%E9port.pdf", "réport.pdf"),
        ('filename*0="rep"; filename*1=ort; filename*2=".pdf"', "report.pdf"),
        ("filename*1*=%70ort.pdf; filename*0*=utf-8''r%65", "report.pdf"),
        ("filename*0*=utf-8''%C3%A9; filename*1=\".pdf\"", "é.pdf"),
        ('filename="=?utf-8?B?csOpcG9ydC5wZGY=?="', "réport.pdf"),
        ('filename="=?utf-8?Q?r=C3=A9_p?= =?utf-8*en?q?ort.pdf?="', "ré port.pdf"),
        ("filename=réport.pdf", "réport.pdf"),
    ],
)
@pytest.mark.parametrize("field", ["Content-Disposition: attachment; ", "Content-Type: application/pdf; "])
def test_forms_of_a_name(field, parameter, name):
    if field.startswith("Content-Type"):
        parameter = parameter.replace("filename", "name").replace("FileName", "NAME")
    assert name in names(field + parameter)


@pytest.mark.parametrize(
    ("field", "name"),
    [
        ("Content-Disposition: filename=run.exe", "run.exe"),
        ("Content-Disposition: attachment filename=run.exe", "run.exe"),
        ('Content-Disposition: attachment filename="run.exe"; size=1', "run.exe"),
        ("Content-Type: application/x name=run.exe", "run.exe"),
        ('Content-Disposition: attachment; filename=(x)"run.exe"', "run.exe"),
        ("Content-Disposition: attachment; filename(x)=run.exe", "run.exe"),
        ("Content-Disposition: attachment; filename*0=run.exe; filename*2=.txt", "run.exe"),
        ("Content-Disposition: attachment; filename*0=run; filename*1=.txt; filename*1=.exe", "run.exe"),
    ],
)
def test_careless_and_malicious_forms(field, name):
    assert name in names(field)


@pytest.mark.parametrize(
    "parameters",
    ["; x=y" * 1001 + "; filename=run.exe", "; x=" + "y" * 70000 + "; filename=run.exe", '; filename="' + "x" * 5000,
     "".join(f"; filename={number}" for number in range(60))],
    ids=["parameters", "field", "name", "names"],
)  # fmt: skip
def test_names_beyond_the_limits_are_told(parameters):
    entity = read_entity(b"Content-Disposition: attachment" + parameters.encode(), digest=False)
    assert "Content fields over the limits" in entity.flaws


def test_every_name_is_read():
    found = names(
        "Content-Type: text/plain; name=a.txt; name=b.txt",
        "Content-Disposition: attachment; filename=c.txt; filename*=utf-8''d.txt; filename*0=e; filename*1=.txt",
        "Content-Disposition: attachment; filename=f.txt",
    )
    assert found == {"a.txt", "b.txt", "c.txt", "d.txt", "e.txt", "f.txt"}


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("run.exe", {"exe"}),
        ("RUN.EXE", {"exe"}),
        ("run.exe.", {"exe"}),
        ("run.exe . ", {"exe"}),
        ("photo.jpg        .scr", {"scr"}),
        ("run. exe", {"exe"}),
        ("run.exe\0.txt", {"exe", "txt"}),
        ("run.e\x01xe", {"exe"}),
        ("run.exe:stream", {"exe", "exe:stream"}),
        ("run.exe::$DATA", {"exe", "exe::$data"}),
        ("photo\u202egpj.exe", {"exe"}),
        ("dir.exe/readme", set()),
        ("C:\\dir\\run.exe", {"exe"}),
        ("archive.tar.gz", {"gz"}),
        (".exe", {"exe"}),
        ("exe", set()),
        ("...", set()),
    ],
)
def test_extensions(name, found):
    assert extensions(name) == found


@pytest.mark.parametrize("name", ["invoice.pdf.exe", "photo.jpg      .scr", "A.DOC.JS ", "x.mp3.lnk"])
def test_double_extensions(name):
    assert double_extension(name)


@pytest.mark.parametrize("name", ["setup.exe", "v1.2.exe", "backup.tar.gz", "a.min.js", "a.pdf", "www.example.com"])
def test_no_double_extensions(name):
    assert not double_extension(name)


@pytest.mark.parametrize(
    ("first", "second", "differ"),
    [
        ("report.pdf", "report.PDF", False),
        ("report.pdf", "report", False),
        ("report.pdf", "réport.pdf", False),
        ("photo.jpg", "photo.jpeg", False),
        ("photo.jpg", "photo.png", False),
        ("data.csv", "data.txt", False),
        ("version 1.2", "version 1.3", False),
        ("photo.jpg", "photo.exe", True),
        ("photo.jpg", "photo.html", True),
        ("photo.jpg", "photo.zip", True),
        ("run.exe\0.txt", "run", True),
    ],
)
def test_conflicts(first, second, differ):
    assert conflict([first, second]) is differ


@given(st.text(), st.text(max_size=300))
def test_what_is_shown_is_short_and_printable(what, path):
    assert len(finding_name(what, path)) <= 200
    assert finding_name(what, path).isprintable()
    assert len(shown(path)) <= 200


def test_the_end_of_a_long_path_is_shown():
    assert finding_name("exe", "x" * 500 + "/run.exe").endswith("/run.exe)")


@given(st.binary(max_size=200))
def test_bytes_never_raise(data):
    for field in (b"Content-Type: ", b"Content-Type: multipart/mixed;", b"Content-Disposition: a; filename="):
        read_entity(field + data, digest=False)
        read_entity(field + b"*0*=" + data, digest=False)


@given(st.lists(st.sampled_from(["filename", "*", "0", "1", "=", '"', "'", ";", "\\", "%41", "=?utf-8?b?QQ==?=", " "])))
def test_parameters_never_raise(pieces):
    for name in names("Content-Disposition: x;" + "".join(pieces)):
        extensions(name)
