# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The list of scanners: what each type takes, its defaults, and the one line that a wrong value gets."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filterd import config
from filterd.config import ConfigError

CLAMD = {"type": "clamd", "socket": "/run/clamd"}
COMMAND = {"type": "command", "argv": ["/usr/bin/clamscan", "--infected", "{}"]}
SPAMD = {"type": "spamd", "address": "127.0.0.1:783"}
RSPAMD = {"type": "rspamd", "address": "[::1]:11333"}
#: Each with its keys, all of them given, none with its default.
FULL: list[dict[str, Any]] = [
    {"type": "clamd", "address": "[::1]:3310", "timeout": 1.5, "content": "both", "backup": True},
    {
        "type": "command",
        "argv": ["/opt/scanner/bin/scan", "--all", "--file={message}"],
        "clean": [0, 3],
        "infected": [1, 9],
        "unchecked": [2],
        "pattern": "^found (.+)$",
        "timeout": 7,
        "cpu_limit": 5,
        "memory_limit": 1 << 28,
        "file_limit": 1 << 20,
        "concurrency": 3,
        "content": "whole",
        "backup": True,
    },
    {
        "type": "spamd",
        "socket": "/run/spamd.sock",
        "timeout": 3,
        "user": "filter",
        "size_limit": 4096,
        "threshold": 6.5,
        "backup": True,
    },
    {
        "type": "rspamd",
        "socket": "/run/rspamd.sock",
        "timeout": 3,
        "password_file": "/etc/filter-stack/rspamd.password",
        "size_limit": 4096,
        "threshold": -1,
        "backup": True,
    },
]


def refusal(scanners: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        config.from_json({"scanners": scanners})
    line = str(caught.value)
    assert line.isprintable(), line
    return line


def written(*scanners: dict[str, Any]) -> list[dict[str, Any]]:
    data = config.from_json({"scanners": list(scanners)}).as_json()["scanners"]
    assert isinstance(data, list)
    return data


@pytest.mark.parametrize("full", FULL, ids=lambda item: item["type"])
def test_every_key_of_every_type_comes_back(full):
    primary = CLAMD if full["type"] in ("clamd", "command") else SPAMD
    assert written(primary, full)[1] == full
    # and JSON knows all of it
    assert json.loads(json.dumps(written(primary, full)))[1] == full


@pytest.mark.parametrize("short", [CLAMD, COMMAND, SPAMD, RSPAMD], ids=lambda item: item["type"])
def test_defaults_are_written_and_read_again(short):
    found = written(short)
    assert found[0].items() >= short.items()
    assert found[0]["backup"] is False
    assert found[0]["timeout"] > 0
    assert written(*found) == found


def test_what_a_scorer_says_is_its_threshold_unless_another_is_given():
    assert "threshold" not in written(SPAMD)[0]
    assert written({**SPAMD, "threshold": 0})[0]["threshold"] == 0


def test_a_program_may_be_given_a_directory_or_the_message():
    for word in ("{}", "--path={}", "{message}", "--file={message}"):
        assert written({"type": "command", "argv": ["/bin/scan", word]})[0]["argv"] == ["/bin/scan", word]


@pytest.mark.parametrize(
    ("scanners", "words"),
    [
        ([CLAMD, "clamd"], 'objects; item 1 held "clamd"'),
        ([{"socket": "/x"}], "a type of clamd, command, spamd, rspamd; item 0 held null"),
        ([{"type": ["clamd"]}], 'item 0 held ["clamd"]'),
        ([{**CLAMD, "argv": []}], 'the keys type, socket, address, timeout, backup and content; item 0 held "argv"'),
        ([{**CLAMD, "backup": 1}], "true or false in item 0, whose backup held 1"),
        ([{**CLAMD, "timeout": 0}], "a number from 0.1 to 3600 in item 0, whose timeout held 0"),
        ([{**CLAMD, "backup": True}], 'a virus scanner without "backup" where there is one with it; item 0 held "ba'),
        ([SPAMD, {**COMMAND, "backup": True}], 'a virus scanner without "backup"'),
        ([CLAMD, {**SPAMD, "backup": True}], 'a spam scorer without "backup" where there is one with it; item 1 held'),
        ([{"type": "command"}], '"argv" (a list of words: the program'),
        ([{**COMMAND, "argv": "/usr/bin/clamscan {}"}], "a list of words: the program's absolute path"),
        (
            [{**COMMAND, "argv": ["clamscan", "{}"]}],
            "absolute path, then arguments, at least one with {} (the directory",
        ),
        ([{**COMMAND, "argv": ["/usr/bin/clamscan"]}], 'in item 0, whose argv held ["/usr/bin/clamscan"]'),
        ([{**COMMAND, "argv": ["/bin/{}", "x"]}], "at least one with {}"),
        ([{**COMMAND, "argv": ["/bin/x", "{}", "a\nb"]}], "a list of words"),
        ([{**COMMAND, "argv": ["/bin/x", "{}", 1]}], "a list of words"),
        ([{**COMMAND, "argv": ["/bin/x", "{}", "{message}"]}], "or else {message} (the whole message as one file)"),
        (
            [{**COMMAND, "argv": ["/bin/x", "{message}"], "content": "both"}],
            '"whole" as content where argv has {message}',
        ),
        ([{**COMMAND, "clean": 0}], "a list of exit codes from 0 to 255 (125 to 127 are the shell's) in item 0, whose"),
        ([{**COMMAND, "clean": [0, 256]}], "whose clean held [0, 256]"),
        ([{**COMMAND, "infected": [127]}], "whose infected held [127]"),
        ([{**COMMAND, "infected": [True]}], "whose infected held [true]"),
        ([{**COMMAND, "infected": []}], 'at least one exit code in "clean" and in "infected", and each in one list'),
        ([{**COMMAND, "unchecked": [0]}], "each in one list only, in item 0"),
        ([{**COMMAND, "pattern": "FOUND"}], "a regular expression with a group for the name"),
        ([{**COMMAND, "pattern": "(("}], 'whose pattern held "(("'),
        ([{**COMMAND, "memory_limit": 1000}], "a whole number from 16777216 to"),
        ([{**COMMAND, "concurrency": 0}], "a whole number from 1 to 1000 in item 0, whose concurrency held 0"),
        ([{**COMMAND, "content": "all"}], "one of auto, whole, parts, both in item 0, whose content held"),
        ([{"type": "spamd"}], 'either "socket" (an absolute path) or "address" (host:port) in item 0'),
        ([{**SPAMD, "socket": "/x"}], 'either "socket" (an absolute path) or "address" (host:port) in item 0'),
        ([{**SPAMD, "address": "localhost"}], "host:port, like 127.0.0.1:10024"),
        ([{**SPAMD, "user": "a b"}], "a user's name in printable ASCII"),
        ([{**SPAMD, "user": "a\r\nx: y"}], "a user's name in printable ASCII"),
        ([{**SPAMD, "threshold": "5"}], 'a number from -1000 to 1000 in item 0, whose threshold held "5"'),
        ([{**SPAMD, "size_limit": 0}], "a whole number from 1024 to"),
        ([{**RSPAMD, "password": "x"}], "socket, address, timeout, backup, size_limit, threshold and password_file"),
        ([{**RSPAMD, "password_file": "x"}], "an absolute path in item 0, whose password_file held"),
    ],
)
def test_a_wrong_value_is_one_line_that_names_it(scanners, words):
    line = refusal(scanners)
    assert line.startswith("scanners: held [")
    assert words in line, line


_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=9)
    | st.sampled_from(["/x", "{}", "(a)"]),
    lambda children: st.lists(children, max_size=3),
    max_leaves=5,
)
_KEYS = sorted({key for item in FULL for key in item})


@given(st.sampled_from(FULL), st.dictionaries(st.sampled_from(_KEYS), _VALUES, max_size=3))
def test_anything_is_taken_or_refused_in_one_line(full, changed):
    # Given a right scanner in which anything has been changed
    scanners = [CLAMD, SPAMD, {**full, **changed}]
    settings = None
    with contextlib.suppress(ConfigError):
        settings = config.from_json({"scanners": scanners})
    if settings is None:
        refusal(scanners)
        return
    # then what is taken means the same when it is written and read again
    assert config.from_json(settings.as_json()) == settings
