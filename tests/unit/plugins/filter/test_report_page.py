# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report's page: what it says of each host, and that nothing from a host becomes markup."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.mailops.filter_stack.plugins.filter.report_page import report_page
from ansible_collections.mailops.filter_stack.plugins.plugin_utils._report_wiring import wires

from .report_hosts import NOW, host, status

_VOID = {"meta", "br", "rect", "path", "line"}


class Markup(HTMLParser):
    """Whether each element is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.names: list[str] = []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.names.append(tag)
        if tag not in _VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in _VOID:
            assert self.open.pop() == tag


def text(*hosts: dict[str, Any]) -> str:
    page = report_page(list(hosts), NOW)
    markup = Markup()
    markup.feed(page)
    assert not markup.open
    return page


def test_a_host_that_is_well() -> None:
    page = text(host())
    assert "all is well" in page
    assert "Nothing: all hosts are well." in page
    assert "211 quarantined" in page


@pytest.mark.parametrize("count", [1, 20])
def test_every_host_is_there(count: int) -> None:
    page = text(*[host(f"mx{number}.example.com") for number in range(count)])
    assert page.count("<article>") == count
    assert page.count('class="wire"') == page.count('class="wire back"') == count


def test_it_needs_nothing_from_anywhere() -> None:
    page = text(host(), host("mx2.example.com", reachable=False))
    assert not re.search(r"<(script|link|img|iframe|object)|\b(src|href)=|@import|url\((?!#)|https?:", page)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"reachable": False}, "not reached"),
        ({"status": {"ok": False, "running": None, "error": "no such socket"}}, "filter does not run"),
        ({"status": status(warnings=[{"name": "clock", "words": "wrong", "advice": "see"}])}, "1 warning"),
        ({"status": status(drift=[{"key": "instances", "running": 4, "deployed": 8}])}, "4 runs, 8 is deployed"),
        ({"postfix": {"version": "3.7", "transport": "", "next_hops": []}}, "mail does not pass a filter"),
        (
            {"check": {"checks": [{"section": "x", "state": "PROBLEM", "text": "bad"}]}},
            "the self-report names problems",
        ),
    ],
)
def test_what_is_wrong_is_said_first(changes: dict[str, Any], words: str) -> None:
    page = text(host(**changes))
    assert words in page
    assert "To do: " in page
    assert "Nothing: all hosts are well." not in page


def test_a_host_with_other_code_than_most_is_marked() -> None:
    other = status()
    other["running"] = {**other["running"], "code": "000000000000"}
    other["deployed"] = {"code": "000000000000"}
    page = text(host("a"), host("b"), host("c", status=other))
    assert "000000000000 (others run another one)" in page
    assert "a62fd503d922 (others" not in page


def test_nothing_from_a_host_becomes_markup() -> None:
    nasty = "<script>alert(1)</script>&\"'"
    page = text(
        host(
            nasty,
            status=status(
                warnings=[{"name": "x", "words": nasty, "advice": nasty}],
                drift=[{"key": nasty, "running": nasty, "deployed": nasty}],
                scanners=[{"name": nasty, "asked": 1, "failed": 0, "average": 0.0, "signatures": None}],
            ),
            check={"checks": [{"section": nasty, "state": nasty, "text": nasty}]},
            postfix={"version": nasty, "transport": nasty, "next_hops": [nasty, f"scan:{nasty}:1"]},
        )
    )
    assert "<script" not in page


def test_wiring_to_this_host_to_others_and_to_unknown_ones() -> None:
    def hops(name: str, *next_hops: str, is_filter_host: bool = False) -> dict[str, Any]:
        postfix = {"version": "3.7", "transport": "", "next_hops": list(next_hops)}
        return host(name, postfix=postfix, is_filter_host=is_filter_host)

    hosts = [
        hops("a", "scan:[127.0.0.1]:10024", is_filter_host=True),
        hops("b", "scan:a:10024"),
        hops("c", "scan:filters.example.com:10024"),
        hops("d", "127.0.0.1:10024", is_filter_host=True),
        hops("e", "nonsense"),
    ]
    assert [wire[:2] for wire in wires(hosts)] == [("a", "a"), ("b", "a"), ("c", "filters.example.com"), ("d", "d")]


def test_a_farm_behind_one_name_and_where_its_clean_mail_goes() -> None:
    def part(name: str, mail: bool, reinject: str = "", **postfix: Any) -> dict[str, Any]:
        running = {**status()["running"], "configuration": {"reinject": reinject}}
        return host(
            name,
            is_mail_host=mail,
            is_filter_host=not mail,
            postfix={"version": "3.7", "transport": "", **postfix} if mail else {},
            status={} if mail else status(running=running),
            addresses=[f"192.0.2.{name[-1]}"],
        )

    hop = "scan:filters.example.com:10024"
    resolved = {"filters.example.com": ["192.0.2.3", "192.0.2.4", "192.0.2.5"]}
    hosts = [
        part("mx1", True, next_hops=[hop], resolved=resolved),
        part("mx2", True, next_hops=[hop], resolved=resolved),
        part("filter3", False, "*:10025"),
        part("filter4", False, "192.0.2.1:10025"),
        # with nobody behind it who is in the report
        part("filter5", False, "127.0.0.1:10025"),
    ]
    assert [(wire.source, wire.target, wire.back) for wire in wires(hosts)] == [
        *(("mx1", "filter3", "mx1"), ("mx1", "filter4", "mx1"), ("mx1", "filter5", "filter5")),
        *(("mx2", "filter3", "mx2"), ("mx2", "filter4", "mx1"), ("mx2", "filter5", "filter5")),
    ]
    page = text(*hosts)
    assert (page.count('class="wire"'), page.count('class="wire back"')) == (6, 4)


def test_mx_records_are_followed_where_postfix_looks_for_them() -> None:
    records = [
        {"preference": 10, "host": "f1.example.net", "addresses": ["192.0.2.3"]},
        {"preference": 20, "host": "f2.example.net", "addresses": []},
    ]

    def targets(*hops: str, **postfix: Any) -> list[str]:
        hosts = [
            host(
                "mx", is_filter_host=False, postfix={"version": "", "transport": "", "next_hops": list(hops), **postfix}
            ),
            host("f1", is_mail_host=False, postfix={}, addresses=["192.0.2.3"]),
            host("f2.example.net", is_mail_host=False, postfix={}),
            host("f3", is_mail_host=False, postfix={}, addresses=["192.0.2.5"]),
        ]
        return [wire.target for wire in wires(hosts)]

    name = "scan.example.net"
    known = {"mx": {name: records}, "resolved": {name: ["192.0.2.5"]}}
    # hosts of the MX records, by address or name, and not those of address records
    assert targets(f"scan:{name}:10024", **known) == ["f1", "f2.example.net"]
    # but not where Postfix takes addresses
    assert targets(f"scan:[{name}]:10024", **known) == ["f3"]
    assert targets(f"{name}:10024", **known) == ["f3"]
    assert targets(f"scan:{name}:10024", mx={name: []}, resolved=known["resolved"]) == ["f3"]
    assert targets(f"scan:{name}:10024") == [name]


@pytest.mark.parametrize(
    ("line", "back"),
    [
        ("$forward_method = 'smtp:[127.0.0.1]:10025';", ["filter", "filter"]),
        ("$forward_method = 'smtp:*:10025';", ["mx1", "mx2"]),
        ("$forward_method = 'smtp:[127.0.0.1]:10025';\n$forward_method = 'smtp:[192.0.2.2]:10025';", ["mx2", "mx2"]),
        ("# $forward_method = 'smtp:*:10025';", ["", ""]),
    ],
)
def test_where_amavisd_new_hands_mail_back(line: str, back: list[str]) -> None:
    amavis = {"active": True, "configuration": f"use strict;\n{line}\n$notify_method = $forward_method;\n1;\n"}
    hosts = [
        *(host(name, addresses=[address]) for name, address in (("mx1", "192.0.2.1"), ("mx2", "192.0.2.2"))),
        host("filter", is_mail_host=False, postfix={}, status={}, amavis=amavis),
    ]
    for one in hosts[:2]:
        one["is_filter_host"] = False
        one["postfix"] = {"version": "3.7", "transport": "", "next_hops": ["scan:filter:10024"]}
    assert [wire.back for wire in wires(hosts)] == back


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"error": "syntax error <x>"}, "PROBLEM: syntax error &lt;x&gt;"),
        ({"scanners": []}, "PROBLEM: none: mail is not scanned"),
        (
            {"greetings": [{"item": "127.0.0.1:10024", "accepted": False, "msg": "refused"}]},
            "PROBLEM: 127.0.0.1:10024: answers EHLO with refused",
        ),
    ],
)
def test_what_is_wrong_with_amavisd_new(changes: dict[str, Any], words: str) -> None:
    amavis = {"active": True, "scanners": ["ClamAV-clamd"], **changes}
    page = text(host(status={}, check={}, amavis=amavis))
    assert words in page
    assert "the self-report names problems" in page


@pytest.mark.parametrize("active", [True, False])
def test_a_host_with_amavisd_new(active: bool) -> None:
    amavis = {"active": active, "version": "2.13.0", "listening": ["127.0.0.1:10024"], "scanners": ["ClamAV-clamd"]}
    amavis["greetings"] = [{"item": "127.0.0.1:10024", "accepted": True, "reply": "250 mx1.example.com"}]
    amavis["unpackers_missing"] = ["F", "zoo"]
    page = text(host(status={}, check={}, amavis=amavis))
    assert ("all is well" in page, "filter does not run" in page) == (active, not active)
    assert "2.13.0" in page
    assert "ClamAV-clamd" in page
    assert "ok: 127.0.0.1:10024: answers EHLO<" in page
    assert "warning: nothing opens .F, .zoo" in page


def test_data_that_are_none_are_told() -> None:
    with pytest.raises(AnsibleFilterError, match="not as filter_report collects them"):
        report_page([{"name": "x", "reachable": True, "is_filter_host": True, "status": {"running": {"x": 1}}}], NOW)
