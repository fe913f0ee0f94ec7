# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""main.cf is read as Postfix reads it, and only lines that Postfix takes are written."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from ansible_collections.mailops.filter_stack.plugins.module_utils import _main_cf as main_cf
from ansible_collections.mailops.filter_stack.plugins.module_utils import _postfix_edit as edit
from hypothesis import given
from hypothesis import strategies as st

from .strategies import refusal

FOLDED = Path(__file__).parents[2] / "data" / "main.cf" / "folded.cf"


def values(text: str) -> dict[str, str]:
    return {one.key: one.value for one in main_cf.parse(text)}


def test_folding_and_comments_are_no_difference() -> None:
    text = "mynetworks=127.0.0.0/8\n# the office\n    192.0.2.0/24\n\n\t198.51.100.0/24  \n"
    assert values(text) == {"mynetworks": "127.0.0.0/8 192.0.2.0/24 198.51.100.0/24"}


def test_spaces_within_a_line_are_a_difference() -> None:
    assert values("a = b  c\n") != values("a = b c\n")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("content_filter", "line 2: 'content_filter' is wrong, it takes name = value"),
        ("= x", "line 2: '= x' is wrong"),
        ("two words = x", "line 2: 'two words = x' is wrong"),
        (" a = b", "line 2: ' a = b' starts with white space"),
        ("a = b\r", "line 2: 'a = b\\\\r' holds a carriage return"),
    ],
)
def test_a_malformed_line_is_refused_with_its_number(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=rf"^main.cf, {words}"):
        main_cf.parse(f"# one\n{text}\n")


def test_of_a_repeated_parameter_the_last_one_is_changed() -> None:
    text = "a = 1\nb = 2\na = 3\nc = 4\n"
    done = edit.merge(text, main_cf.parse, main_cf.wanted_settings({"a": 5}), {})
    assert done.text == "a = 1\nb = 2\na = 5\nc = 4\n"
    assert edit.retract(done.text, main_cf.parse, ["a"], done.record).text == text


def test_a_later_line_of_somebody_else_stays_and_ours_goes() -> None:
    done = edit.merge("a = 1\n", main_cf.parse, main_cf.wanted_settings({"b": 2}), {})
    gone = edit.retract(done.text + "b = 3\n", main_cf.parse, ["b"], done.record)
    assert gone.text == "a = 1\nb = 3\n"


@pytest.mark.parametrize("name", ["", "a b", "a=b", "a\nb", "#a", "-a", "a-", "é", 5, None, "a/b"])
def test_wrong_names(name: object) -> None:
    with pytest.raises(ValueError, match=r"settings: .* is no parameter name, it takes"):
        main_cf.wanted_settings({name: "x"})


@pytest.mark.parametrize("name", ["content_filter", "my_Macro_2", "smtp-amavis_destination_recipient_limit", "a.b_c"])
def test_right_names(name: str) -> None:
    assert main_cf.wanted_settings({name: "x"})[0].text == f"{name} = x\n"


@pytest.mark.parametrize("value", ["a\nb", "a\n = b", "a\rb", "a\0b", "a\x0bb", None, 1.5, ["a"], {"a": 1}])
def test_wrong_values(value: object) -> None:
    with pytest.raises(ValueError, match="settings: a: "):
        main_cf.wanted_settings({"a": value})


@pytest.mark.parametrize(
    ("value", "line"),
    [
        ("", "a =\n"),
        ("  x y ", "a = x y\n"),
        (5, "a = 5\n"),
        (True, "a = yes\n"),
        (False, "a = no\n"),
        ("# x", "a = # x\n"),
        ("= x", "a = = x\n"),
        ("scan:[127.0.0.1]:10024", "a = scan:[127.0.0.1]:10024\n"),
    ],
)
def test_right_values(value: object, line: str) -> None:
    wanted = main_cf.wanted_settings({"a": value})[0]
    assert wanted.text == line
    assert values(line) == {"a": wanted.value}


@given(
    st.dictionaries(st.text(max_size=8), st.text(max_size=8) | st.integers() | st.booleans() | st.none(), max_size=3)
)
def test_any_setting_is_written_as_one_line_or_refused(settings: dict[object, object]) -> None:
    refused = refusal(main_cf.wanted_settings, settings, otherwise="")
    if refused:
        assert refused.startswith("settings: ")
        return
    wanted = main_cf.wanted_settings(settings)
    done = edit.merge("first = 1\n", main_cf.parse, wanted, {})
    assert len(done.text.split("\n")) == 2 + len(settings)
    assert values(done.text) == {"first": "1", **{one.key: one.value for one in wanted}}


@given(st.text(alphabet=st.sampled_from("ab =#\n\t\r\0é"), max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    assert refusal(main_cf.parse, text, otherwise="main.cf, line ").startswith("main.cf, line ")


def test_what_shall_be_gone_has_to_be_named() -> None:
    with pytest.raises(ValueError, match="it names no parameter"):
        main_cf.unwanted_settings({}, [])
    found = main_cf.unwanted_settings({"a": None, "b": "x", "c": True}, ["b", "d"])
    assert [(one.key, one.value) for one in found] == [("a", None), ("b", None), ("c", "yes"), ("d", None)]


def test_without_a_record_only_the_given_value_is_removed() -> None:
    text = "a = 1\nb = 2\na = 1\nc = 3\n"
    unwanted = main_cf.unwanted_settings({"a": 1, "b": 3}, ["c", "d"])
    done = edit.remove(text, main_cf.parse, unwanted)
    assert done.text == "b = 2\n"
    assert [step.action for step in done.steps] == ["removed", "kept", "removed", "unchanged"]


def test_a_file_from_the_field_is_read_as_postconf_reads_it(postfix: Path, tmp_path: Path) -> None:
    path = tmp_path / "main.cf"
    path.write_bytes(FOLDED.read_bytes())
    # Postfix waits until a new main.cf is two seconds old.
    os.utime(path, (0, 0))
    (tmp_path / "master.cf").write_bytes(b"")
    for name, value in values(FOLDED.read_text()).items():
        said = subprocess.run(["postconf", "-c", str(tmp_path), "-h", name], capture_output=True, text=True, check=True)
        assert said.stdout.split() == value.split()
