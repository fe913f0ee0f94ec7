# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module postfix_main as Ansible runs it, on a Debian host's files, with a real postconf as judge."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ...conftest import DATA, RunModule

Main = Callable[..., dict[str, Any]]
SETTINGS = {"content_filter": "scan:[127.0.0.1]:10024", "smtpd_banner": "$myhostname ESMTP", "soft_bounce": False}


@pytest.fixture
def main(run_module: RunModule, etc_postfix: Path, tmp_path: Path) -> Main:
    def run(**options: Any) -> dict[str, Any]:
        defaults = {"path": str(etc_postfix / "main.cf"), "restore_file": str(tmp_path / "record.json")}
        return run_module("postfix_main", **{**defaults, **options})

    return run


def actions(result: dict[str, Any]) -> dict[str, str]:
    return {one["name"]: one["action"] for one in result["settings"]}


def test_a_converge_and_the_way_back(
    main: Main, etc_postfix: Path, tmp_path: Path, postconf: Callable[..., str]
) -> None:
    path = etc_postfix / "main.cf"
    record = tmp_path / "record.json"
    before = path.read_bytes()

    foreseen = main(settings=SETTINGS, check=True)
    assert path.read_bytes() == before
    assert not record.exists()
    done = main(settings=SETTINGS)
    for same in ("changed", "settings", "diff", "reload_required", "restart_required", "record_changed", "validated"):
        assert foreseen[same] == done[same]
    assert done["changed"]
    assert done["diff"]["after"].encode() == path.read_bytes()
    assert done["settings"] == [
        {"name": "content_filter", "action": "added", "before": None, "after": "scan:[127.0.0.1]:10024"},
        {
            "name": "smtpd_banner",
            "action": "changed",
            "before": "$myhostname ESMTP $mail_name (Debian/GNU)",
            "after": "$myhostname ESMTP",
        },
        {"name": "soft_bounce", "action": "added", "before": None, "after": "no"},
    ]
    assert (done["reload_required"], done["restart_required"], done["validated"]) == (True, False, True)
    assert stat.S_IMODE(record.stat().st_mode) == 0o600
    theirs = b"smtpd_banner = $myhostname ESMTP $mail_name (Debian/GNU)\n"
    assert path.read_bytes() == before.replace(theirs, b"smtpd_banner = $myhostname ESMTP\n") + (
        b"content_filter = scan:[127.0.0.1]:10024\nsoft_bounce = no\n"
    )

    inode = path.stat().st_ino
    for check in (True, False):
        assert not main(settings=SETTINGS, check=check)["changed"]
    assert path.stat().st_ino == inode
    assert postconf("-h", "content_filter") == "scan:[127.0.0.1]:10024"
    assert postconf("-h", "smtpd_banner") == "$myhostname ESMTP"

    gone = main(state="absent", names=list(SETTINGS))
    assert gone["changed"]
    assert actions(gone) == {"content_filter": "removed", "smtpd_banner": "restored", "soft_bounce": "removed"}
    assert path.read_bytes() == before
    assert not record.exists()
    again = main(state="absent", names=list(SETTINGS))
    assert not again["changed"]
    # The banner is there, and nothing says that it is ours.
    assert again["kept"] == ["smtpd_banner"]


def test_a_file_from_the_field(main: Main, etc_postfix: Path, postconf: Callable[..., str]) -> None:
    path = etc_postfix / "main.cf"
    content = DATA.joinpath("main.cf", "folded.cf").read_bytes()
    path.write_bytes(content)
    settings = {
        "mynetworks": "127.0.0.0/8 192.0.2.0/24 198.51.100.0/24",
        "message_size_limit": 30000000,
        "content_filter": "",
        "relayhost": "[mail.example.com]",
    }
    done = main(settings=settings)
    # What was only folded stays folded.
    assert actions(done) == {
        "mynetworks": "unchanged",
        "message_size_limit": "changed",
        "content_filter": "changed",
        "relayhost": "changed",
    }
    # It was said of the old file too, so it is no news.
    assert "warnings" not in done
    text = path.read_text()
    assert "message_size_limit = 10240000\n" in text
    assert "message_size_limit = 30000000\n" in text
    assert "content_filter =\n" in text
    assert main(state="absent", settings=settings)["changed"]
    assert path.read_bytes() == content


def test_the_first_original_is_kept_through_changes(main: Main, etc_postfix: Path) -> None:
    path = etc_postfix / "main.cf"
    before = path.read_bytes()
    main(settings={"biff": "yes"})
    main(settings={"biff": "maybe", "content_filter": "x:"}, validate=False)
    main(settings={"content_filter": "y:"})
    main(state="absent", names=["content_filter", "biff"])
    assert path.read_bytes() == before


def test_what_others_changed_is_kept_with_a_warning(main: Main, etc_postfix: Path) -> None:
    path = etc_postfix / "main.cf"
    main(settings=SETTINGS)
    path.write_text(path.read_text().replace("scan:[127.0.0.1]:10024", "other:[127.0.0.1]:10026"))
    gone = main(state="absent", names=list(SETTINGS))
    assert gone["kept"] == ["content_filter"]
    assert "content_filter is left as it is: somebody else has changed it" in json.dumps(gone["warnings"])
    assert "content_filter = other:[127.0.0.1]:10026\n" in path.read_text()


def test_without_a_record_the_value_decides(main: Main, etc_postfix: Path) -> None:
    path = etc_postfix / "main.cf"
    before = path.read_bytes()
    main(settings={"content_filter": "scan:"}, restore_file=None)
    gone = main(state="absent", settings={"content_filter": "other:"}, restore_file=None)
    assert (gone["changed"], gone["kept"]) == (False, ["content_filter"])
    assert "it holds another value than the one to remove" in json.dumps(gone["warnings"])
    assert main(state="absent", settings={"content_filter": "scan:"}, restore_file=None)["changed"]
    assert path.read_bytes() == before
    assert main(state="absent", settings={"biff": None}, restore_file=None)["changed"]
    assert path.read_bytes() == before.replace(b"biff = no\n", b"")


@pytest.mark.parametrize(
    ("settings", "restart"),
    [
        ({"inet_interfaces": "loopback-only"}, True),
        ({"inet_protocols": "ipv4"}, True),
        ({"queue_directory": "/var/spool/postfix2"}, True),
        ({"content_filter": "scan:"}, False),
        ({"message_size_limit": 10000000}, False),
    ],
)
def test_some_parameters_need_a_restart(main: Main, settings: dict[str, Any], restart: bool) -> None:
    done = main(settings=settings)
    assert done["restart_required"] is restart
    assert ("restart_reason" in done) is restart
    assert not main(settings=settings)["restart_required"]
    assert main(state="absent", settings=settings)["restart_required"] is restart


def test_a_parameter_that_postfix_does_not_know_is_a_warning(main: Main) -> None:
    done = main(settings={"smtpd_no_such_parameter": "1"})
    assert "unused parameter: smtpd_no_such_parameter=1" in json.dumps(done["warnings"])


def test_a_value_that_is_fatal_is_told_in_the_words_of_postconf(main: Main, etc_postfix: Path) -> None:
    before = (etc_postfix / "main.cf").read_bytes()
    for check in (True, False):
        result = main(settings={"compatibility_level": "many"}, fails=True, check=check)
        assert "postconf refuses the new content" in result["msg"]
        assert "many" in result["msg"]
    assert (etc_postfix / "main.cf").read_bytes() == before


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "main.cf does not exist; it takes the configuration file of an installed Postfix"),
        ("a = b\nbroken\n", "line 2: 'broken' is wrong, it takes name = value"),
        (" a = b\n", "line 1: ' a = b' starts with white space"),
        ("a = b\r\n", "holds a carriage return"),
    ],
)
def test_a_file_that_cannot_be_right_is_refused(main: Main, etc_postfix: Path, content: str | None, words: str) -> None:
    path = etc_postfix / "main.cf"
    path.unlink()
    if content is not None:
        path.write_bytes(content.encode())
    for check in (True, False):
        assert words in main(settings=SETTINGS, fails=True, check=check)["msg"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "state is present but all of the following are missing: settings"),
        ({"state": "absent"}, "state is absent but any of the following are missing: settings, names"),
        ({"state": "absent", "names": []}, "settings: it names no parameter"),
        ({"settings": {"a b": "c"}}, "settings: 'a b' is no parameter name"),
        ({"settings": {"a": "b\nc = d"}}, "settings: a: 'b\\nc = d' holds a line break or control character"),
        ({"settings": {"a": None}}, "settings: a: None is wrong, it takes a string or a whole number"),
        ({"settings": {"a": ["b"]}}, "it takes a string or a whole number"),
    ],
)
def test_wrong_options_change_nothing(main: Main, etc_postfix: Path, options: dict[str, Any], words: str) -> None:
    before = (etc_postfix / "main.cf").read_bytes()
    assert words in main(fails=True, **options)["msg"]
    assert (etc_postfix / "main.cf").read_bytes() == before


def test_purge_takes_back_what_is_no_longer_wanted(run_module: RunModule, etc_postfix: Path, tmp_path: Path) -> None:
    path = etc_postfix / "main.cf"
    path.write_text(path.read_text() + "content_filter = old:[192.0.2.1]:25\n")
    before = path.read_bytes()
    options = {"path": str(path), "restore_file": str(tmp_path / "record.json"), "purge": True}
    run_module("postfix_main", settings={"content_filter": "scan:x", "smtpd_error_sleep_time": "1"}, **options)
    done = run_module("postfix_main", settings={"smtpd_error_sleep_time": "1"}, **options)
    assert [(one["name"], one["action"]) for one in done["settings"]] == [
        ("smtpd_error_sleep_time", "unchanged"),
        ("content_filter", "restored"),
    ]
    assert path.read_bytes() == before + b"smtpd_error_sleep_time = 1\n"
    assert not run_module("postfix_main", settings={"smtpd_error_sleep_time": "1"}, **options)["changed"]
