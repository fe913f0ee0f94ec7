# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The policy table: what is found and what the configuration says give one decision for each recipient."""

from __future__ import annotations

import pytest

from filterd import config, policy
from filterd.findings import CATEGORIES, CLEAN
from filterd.keys.policy import DISPOSITIONS
from filterd.policy import Decision, Origin
from filterd.values import Address

HERE = Origin("192.0.2.7", Address("127.0.0.1", 10024))


def decide(settings, categories, recipient="bob@example.com", origin=HERE):
    return policy.decide(config.from_json(settings), categories, origin, recipient)


@pytest.mark.parametrize(
    ("categories", "decision"),
    [
        ([], ("clean", "pass", ())),
        (["virus"], ("virus", "discard", ())),
        (["banned"], ("banned", "quarantine", ())),
        (["unchecked"], ("unchecked", "quarantine", ())),
        (["encrypted"], ("encrypted", "tag", ("encrypted",))),
        (["ambiguous"], ("ambiguous", "quarantine", ())),
        (["spam"], ("spam", "tag", ("spam",))),
        (["bad_header"], ("bad_header", "pass", ())),
        (["spam", "virus"], ("virus", "discard", ())),
        (["bad_header", "banned", "spam"], ("banned", "quarantine", ())),
        (["spam", "encrypted"], ("encrypted", "tag", ("encrypted", "spam"))),
        (["bad_header", "spam"], ("spam", "tag", ("spam",))),
    ],
)
def test_what_a_careful_postmaster_would_choose_is_the_default(categories, decision):
    assert decide({}, categories) == decision


@pytest.mark.parametrize("category", CATEGORIES)
@pytest.mark.parametrize("word", DISPOSITIONS)
def test_every_disposition_can_be_had_for_every_category(category, word):
    found = [] if category == CLEAN else [category]
    decision = decide({f"on_{category}": word}, found)
    assert decision == Decision(category, word, (category,) if word == "tag" else ())


@pytest.mark.parametrize(
    ("pattern", "recipients", "others"),
    [
        ("bob@example.com", ["bob@example.com", "BOB@Example.COM", "bob+list@example.com"], ["bo@example.com", "bob"]),
        ("bob+list@example.com", ["bob+list@example.com"], ["bob@example.com", "bob+other@example.com"]),
        ("example.com", ["bob@example.com", "a@EXAMPLE.com"], ["bob@mail.example.com", "bob@example.org"]),
        (".example.com", ["bob@mail.example.com", "bob@a.b.example.com"], ["bob@example.com", "bob@anexample.com"]),
        ("bob@", ["bob@example.com", "bob@example.org", "bob+x@example.net"], ["bobby@example.com"]),
    ],
)
def test_recipients_are_matched_as_in_access_tables(pattern, recipients, others):
    rules = {"policy": [{"recipients": [pattern], "virus": "pass"}]}
    for recipient in recipients:
        assert decide(rules, ["virus"], recipient).disposition == "pass", recipient
    for recipient in others:
        assert decide(rules, ["virus"], recipient).disposition == "discard", recipient


def test_the_first_row_that_fits_and_names_the_category_decides():
    rules = [
        {"recipients": ["bob@example.com"], "spam": "pass"},
        {"recipients": ["example.com"], "spam": "quarantine", "banned": "reject"},
    ]
    assert decide({"policy": rules}, ["spam"]).disposition == "pass"
    assert decide({"policy": rules}, ["banned"]).disposition == "reject"
    assert decide({"policy": rules}, ["spam"], "alice@example.com").disposition == "quarantine"
    assert decide({"policy": rules}, ["virus"]).disposition == "discard"


@pytest.mark.parametrize(
    ("client", "fits"),
    [("192.0.2.7", True), ("192.0.3.7", False), ("IPV6:2001:db8::5", True), ("2001:db9::5", False), ("-", False)],
)
def test_the_clients_network(client, fits):
    rules = {"policy": [{"clients": ["192.0.2.0/24", "2001:db8::/32"], "banned": "pass"}]}
    decision = decide(rules, ["banned"], origin=Origin(client, None))
    assert decision.disposition == ("pass" if fits else "quarantine")


@pytest.mark.parametrize(
    ("listen", "fits"),
    [
        ("127.0.0.1:10024", True),
        ("localhost:10024", True),
        ("0.0.0.0:10024", True),
        ("127.0.0.1:10026", False),
        ("127.0.0.2:10024", False),
    ],
)
def test_the_port_that_it_came_in_on(listen, fits):
    decision = decide({"policy": [{"listen": [listen], "spam": "discard"}]}, ["spam"])
    assert decision.disposition == ("discard" if fits else "tag")


def test_all_conditions_of_a_row_have_to_fit():
    rules = {"policy": [{"clients": ["192.0.2.0/24"], "recipients": ["bob@"], "virus": "tempfail"}]}
    assert decide(rules, ["virus"]).disposition == "tempfail"
    assert decide(rules, ["virus"], "alice@example.com").disposition == "discard"
    assert decide(rules, ["virus"], origin=Origin("198.51.100.1", None)).disposition == "discard"


def test_what_passes_one_category_is_still_held_by_another():
    assert decide({"on_virus": "pass"}, ["virus", "banned"]) == Decision("banned", "quarantine")


@pytest.mark.parametrize(
    ("words", "after"),
    [
        (["pass", "pass"], ["pass", "pass"]),
        (["reject", "reject"], ["reject", "reject"]),
        (["pass", "reject"], ["pass", "bounce"]),
        (["quarantine", "reject"], ["quarantine", "bounce"]),
        (["pass", "tempfail", "discard"], ["tempfail"] * 3),
        (["reject", "tempfail"], ["tempfail"] * 2),
    ],
)
def test_one_reply_for_all_recipients(words, after):
    decisions = policy.for_one_reply([Decision("virus", word) for word in words])
    assert [decision.disposition for decision in decisions] == after


@pytest.mark.parametrize(
    ("rules", "words"),
    [
        ({}, "takes a list"),
        (["virus"], "objects; item 0"),
        (
            [{"viruses": "pass"}],
            '(virus, banned, unchecked, encrypted, ambiguous, spam, bad_header, clean); item 0 held "v',
        ),
        ([{"recipients": ["bob@"]}], "at least one category"),
        ([{"recipients": [], "spam": "pass"}], "not empty as recipients; item 0"),
        ([{"recipients": ["bob@@x"], "spam": "pass"}], 'not "bob@@x", in item 0'),
        ([{"recipients": ["a b@example.com"], "spam": "pass"}], "in item 0"),
        ([{"recipients": [7], "spam": "pass"}], "not 7, in item 0"),
        ([{"clients": ["192.0.2.1/24"], "spam": "pass"}], 'not "192.0.2.1/24", in item 0'),
        ([{"listen": ["example.com:25"], "spam": "pass"}], "in item 0"),
        ([{"spam": "drop"}], 'for spam, not "drop", in item 0'),
    ],
)
def test_a_wrong_row_is_one_clear_line(rules, words):
    with pytest.raises(config.ConfigError) as caught:
        config.from_json({"policy": rules})
    assert str(caught.value).startswith("policy: held ")
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_rules_come_back_as_they_were_given():
    rules = [{"recipients": ["bob@"], "clients": ["192.0.2.0/24"], "listen": ["127.0.0.1:10026"], "virus": "reject"}]
    assert config.from_json({"policy": rules}).as_json()["policy"] == rules
