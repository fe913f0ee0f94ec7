# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options that are put over somebody else's service."""

from __future__ import annotations

import pytest
from ansible_collections.mailops.filter_stack.plugins.module_utils import _master_cf, _master_overlay, _postfix_edit
from hypothesis import assume, given
from hypothesis import strategies as st

SMTP = "smtp inet n - y - - smtpd\n  -o syslog_name=mx\n  -v\n  # why\n  -o { smtpd_banner = a b }\n"
PROXY = {"service": "smtp/inet", "maxproc": "20", "options": {"smtpd_proxy_filter": "127.0.0.1:10024"}}


def put_over(text: str, *overlays: dict[str, object]) -> str:
    changed, _untouched = _master_overlay.wanted(
        _master_overlay.checked(overlays), _master_cf.parse(text), {}, "master.cf"
    )
    return "".join(one.text for one in changed)


def test_everything_else_of_the_service_stays() -> None:
    assert put_over(SMTP, PROXY) == (
        "smtp      inet  n       -       y       -       20      smtpd\n"
        "  -o syslog_name=mx\n  -v\n  -o { smtpd_banner=a b }\n  -o smtpd_proxy_filter=127.0.0.1:10024\n"
    )


def test_a_service_that_is_right_already_is_not_touched() -> None:
    once = put_over(SMTP, PROXY)
    overlays = _master_overlay.checked([PROXY])
    assert _master_overlay.wanted(overlays, _master_cf.parse(once), {}, "master.cf") == ([], ["smtp/inet"])


def test_an_option_is_replaced_or_taken_away() -> None:
    text = "smtp inet n - y - - smtpd -o content_filter=old -o a=1 -o content_filter=older\n"
    replaced = put_over(text, {"service": "smtp/inet", "options": {"content_filter": ""}})
    assert replaced.splitlines()[1:] == ["  -o a=1", "  -o content_filter="]
    gone = put_over(text, {"service": "smtp/inet", "options": {"content_filter": None}})
    assert gone.splitlines()[1:] == ["  -o a=1"]


def test_the_base_is_the_service_as_it_was_before_us() -> None:
    # Given an overlay with two options that the record knows
    first = _master_overlay.checked([{"service": "smtp/inet", "options": {"a": 1, "b": True}}])
    changed, _ = _master_overlay.wanted(first, _master_cf.parse(SMTP), {}, "master.cf")
    edit = _postfix_edit.merge(SMTP, _master_cf.parse, changed, {})
    # when another one comes, then only its own options are there
    services = _master_cf.parse(edit.text)
    second = _master_overlay.checked([{"service": "smtp/inet", "options": {"c": "x"}}])
    changed, _ = _master_overlay.wanted(second, services, edit.record, "master.cf")
    assert [line for line in changed[0].text.splitlines() if "=" in line] == [
        "  -o syslog_name=mx",
        "  -o { smtpd_banner=a b }",
        "  -o c=x",
    ]
    # and what somebody else has written since is the new base
    by_hand = edit.text.replace("b=yes", "b=no")
    changed, _ = _master_overlay.wanted(second, _master_cf.parse(by_hand), edit.record, "master.cf")
    assert "-o b=no" in changed[0].text


@pytest.mark.parametrize(
    ("overlay", "words"),
    [
        ({"service": "smtp"}, "name and type"),
        ({"service": "smtp/inet", "maxproc": "many"}, "maxproc 'many' is wrong"),
        ({"service": "smtp/inet", "options": {"a b": "c"}}, "'a b' is no parameter name"),
        ({"service": "smtp/inet", "options": {"a": "b\nc"}}, "one line of text"),
        ({"service": "smtp/inet", "options": {"a": ["b"]}}, "one line of text"),
        ({"service": "2525/inet"}, "has no service 2525/inet"),
    ],
)
def test_what_is_refused(overlay: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        put_over(SMTP, overlay)


def test_one_overlay_for_each_service() -> None:
    with pytest.raises(ValueError, match="there twice"):
        put_over(SMTP, PROXY, PROXY)


@given(
    st.dictionaries(
        st.from_regex(r"[a-z_]{1,8}", fullmatch=True), st.text("ab =,:[]{}$", max_size=12) | st.none(), max_size=4
    )
)
def test_what_is_written_is_what_is_read(options: dict[str, str | None]) -> None:
    # Unbalanced braces cannot be written in master.cf: that is said, and nothing else is written.
    try:
        text = put_over(SMTP, {"service": "smtp/inet", "options": options})
    except ValueError:
        text = ""
        assume(any("{" in value or "}" in value for value in options.values() if value))
    if text:
        settings, _rest = _master_overlay.split_arguments(_master_cf.parse(text)[0].value[8:])
        found = dict(setting.partition("=")[::2] for flag, setting in settings if flag == "-o" and setting)
        for name, value in options.items():
            assert found.get(name) == (None if value is None else value.strip())
