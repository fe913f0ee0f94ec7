# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The story of a message, from logs that Postfix 3.7 and 3.10 wrote in containers."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
from ansible_collections.mailops.filter_stack.plugins.module_utils import _postfix_log as postfix_log
from hypothesis import given
from hypothesis import strategies as st

LOGS = Path(__file__).parents[2] / "data" / "log"


class Sample(NamedTuple):
    reply: str
    message_id: str
    lines: list[str]

    def log(self) -> list[str]:
        return postfix_log.Log(self.lines).mentioning([*self.told().queue_ids, self.message_id])

    def told(self, lines: list[str] | None = None) -> postfix_log.Story:
        queue_id = postfix_log.queue_id_in(self.reply)
        log = postfix_log.Log(self.lines if lines is None else lines)
        return log.tell([queue_id] if queue_id else [], self.message_id)


def sample(name: str) -> Sample:
    lines = (LOGS / f"{name}.txt").read_text().splitlines()
    head = dict(line[2:].split(": ", 1) for line in lines if line.startswith("# ") and ": " in line)
    return Sample(head["reply"], head["message-id"], [line for line in lines if not line.startswith("#")])


@pytest.mark.parametrize(
    ("name", "ends", "statuses"),
    [
        ("after_queue_clean", ["delivered"], ["sent", "sent"]),
        ("after_queue_smtp", ["delivered"], ["sent", "sent"]),
        ("after_queue_eicar", ["discarded"], ["sent"]),
        ("alias_of_two", ["delivered", "delivered"], ["sent", "sent", "sent"]),
        ("before_queue", ["delivered"], ["sent"]),
        ("bounced", ["bounced"], ["sent", "bounced"]),
        ("deferred_behind_filter", ["deferred"], ["sent", "deferred"]),
        ("discard_transport", ["discarded"], ["sent", "sent"]),
        ("expired", ["bounced"], ["deferred"]),
        ("filter_down", ["deferred"], ["deferred"]),
        ("header_checks_discard", ["discarded"], []),
        ("long_queue_ids", ["delivered"], ["sent", "sent"]),
        ("maillog_file", ["delivered"], ["sent", "sent"]),
        ("other_host", ["delivered"], ["sent", "sent"]),
        ("pipe_filter", ["delivered"], ["sent", "sent"]),
    ],
)
def test_stories_that_have_an_end(name: str, ends: list[str], statuses: list[str]) -> None:
    story = sample(name).told()
    assert story.ends == ends
    assert story.verdict == ends[0]
    assert [hop.status for hop in story.hops] == statuses
    assert not story.pending
    assert not story.unsettled


def test_the_way_through_the_filter_is_told_hop_by_hop() -> None:
    given_sample = sample("after_queue_clean")
    story = given_sample.told()
    front, back = story.queue_ids
    assert given_sample.reply.endswith(f"queued as {front}")
    assert [hop._replace(line="", delay=0.0) for hop in story.hops] == [
        postfix_log.Hop(
            front,
            "alice@example.com",
            "postfix/lmtp",
            "127.0.0.1[127.0.0.1]:10024",
            "sent",
            "2.0.0",
            0.0,
            story.hops[0].reply,
            back,
            "",
        ),
        postfix_log.Hop(
            back, "alice@example.com", "postfix/local", "local", "sent", "2.0.0", 0.0, "delivered to maildir", None, ""
        ),
    ]
    assert story.hops[0].reply.endswith(f"reinjected as 250 2.0.0 Ok: queued as {back}")
    log = given_sample.log()
    assert story.hops[0].line in log
    # The filter's own line belongs to it, other messages' lines do not.
    assert any("disposition=pass" in line for line in log)
    assert len(log) < len(given_sample.lines)


def test_a_held_message_has_no_end() -> None:
    story = sample("header_checks_hold").told()
    assert (story.ends, story.verdict, story.pending) == ([], "unknown", True)


ENDED_BY_REMOVAL = sorted(
    path.stem
    for path in LOGS.glob("*.txt")
    # These are in the queue still, or have been told by cleanup(8) before it says that it removed them.
    if path.stem not in ("header_checks_hold", "filter_down", "deferred_behind_filter", "header_checks_discard")
)


@pytest.mark.parametrize("name", ENDED_BY_REMOVAL)
def test_a_story_is_pending_until_its_last_line(name: str) -> None:
    whole = sample(name)
    last = whole.log()[-1]
    cut = whole.lines[: whole.lines.index(last)]
    # The filter's own line may come last, and says nothing that Postfix has not said.
    if " python3[" not in last:
        assert whole.told(cut).pending, last


@pytest.mark.parametrize("name", sorted(path.stem for path in LOGS.glob("*.txt")))
def test_every_beginning_of_a_log_is_a_story(name: str) -> None:
    whole = sample(name)
    for length in range(len(whole.lines)):
        story = whole.told(whole.lines[:length])
        assert set(story.ends) <= set(whole.told().ends) | {"deferred", "delivered"}


Respell = Callable[[re.Match[str]], str]


@pytest.mark.parametrize(
    "prefix",
    [
        "Nov  2 18:03:54 mail",
        "Nov 22 18:03:54 mail",
        "Nov 22 18:03:54.123456 mail",
        "2026-11-22T18:03:54.123456+01:00 mail.example.com",
        "2026-11-22T18:03:54Z mail",
        "<22>Nov 22 18:03:54 mail",
    ],
)
def test_the_prefixes_of_syslog_make_no_difference(prefix: str) -> None:
    given_sample = sample("after_queue_clean")
    lines = [re.sub(r"^\S+ \S+", prefix, line) for line in given_sample.lines]
    story = given_sample.told(lines)
    assert (story.ends, len(story.hops)) == (["delivered"], 2)


@pytest.mark.parametrize("program", ["postfix-out/smtp", "postfix/reinject/smtpd", "mailer"])
def test_other_names_in_syslog_make_no_difference(program: str) -> None:
    given_sample = sample("after_queue_clean")
    lines = [line.replace("postfix/lmtp", program) for line in given_sample.lines]
    story = given_sample.told(lines)
    assert (story.ends, story.hops[0].program) == (["delivered"], program)


def test_the_order_of_lines_of_different_programs_makes_no_difference() -> None:
    given_sample = sample("after_queue_clean")
    # The journal may show the reinjected message before the delivery that led to it, and the other way round.
    assert given_sample.told(list(reversed(given_sample.lines))).ends == ["delivered"]


def test_a_reply_of_another_host_that_names_its_queue_id_may_be_the_end() -> None:
    given_sample = sample("other_host")
    lines = [
        line.replace("status=sent (250 2.0.0 Ok)", "status=sent (250 2.0.0 Ok: queued as 4ABC5)")
        for line in given_sample.lines
    ]
    assert lines != given_sample.lines
    story = given_sample.told(lines)
    assert (story.ends, story.pending, story.unsettled) == (["delivered"], False, True)


def test_a_filter_that_passed_the_message_on_is_not_the_end() -> None:
    given_sample = sample("after_queue_clean")
    back = given_sample.told().queue_ids[1]
    story = given_sample.told([line for line in given_sample.lines if f" {back}: " not in line])
    assert (story.ends, story.pending, story.verdict) == ([], True, "unknown")


def test_amavis_replies_are_understood() -> None:
    passed = "250 2.0.0 from MTA(smtp:[127.0.0.1]:10025): 250 2.0.0 Ok: queued as 5B3C21B0354"
    discarded = "250 2.7.0 Ok, discarded, id=00123-01 - INFECTED: Eicar-Signature"
    assert postfix_log.was_passed_on(passed)
    assert not postfix_log.was_discarded(passed)
    assert postfix_log.queue_id_in(passed) == "5B3C21B0354"
    assert postfix_log.was_discarded(discarded)
    assert not postfix_log.was_discarded("250 2.0.0 Ok: queued as 5B3C21B0354")
    assert not postfix_log.was_discarded("554 5.7.0 discarded, quarantined as x")


def test_a_deferred_message_that_is_delivered_later_is_delivered() -> None:
    given_sample = sample("filter_down")
    queue_id = given_sample.told().queue_ids[0]
    at = "2026-11-22T19:00:00+0000 mail.example.com"
    relay = "relay=127.0.0.1[127.0.0.1]:10024, delay=300, delays=1/2/3/4"
    later = [
        f"{at} postfix/lmtp[1]: {queue_id}: to=<alice@example.com>, {relay}, dsn=2.0.0, status=sent (250 2.0.0 Ok)",
        f"{at} postfix/qmgr[1]: {queue_id}: removed",
    ]
    story = given_sample.told(given_sample.lines + later)
    assert (story.ends, story.pending, len(story.hops)) == (["delivered"], False, 2)


def test_different_ends_are_told_by_the_one_that_matters() -> None:
    given_sample = sample("alias_of_two")
    last = [line for line in given_sample.lines if "to=<bob@" in line][-1]
    for status, verdict in (("bounced", "delivered"), ("deferred", "delivered")):
        lines = [
            line.replace("status=sent", f"status={status}") if line == last else line for line in given_sample.lines
        ]
        story = given_sample.told(lines)
        assert sorted(story.ends) == sorted(["delivered", status])
        assert story.verdict == verdict


@pytest.mark.parametrize(
    "line",
    [
        "",
        "nonsense",
        "2026-11-22T18:03:54+0000 mail postfix/smtpd[1]: connect from localhost[127.0.0.1]",
        "2026-11-22T18:03:54+0000 mail postfix/smtpd[1]: NOQUEUE: reject: RCPT from localhost[127.0.0.1]: 550 5.1.1",
        "2026-11-22T18:03:54+0000 mail postfix/smtpd[1]: warning: 4ABCDE: no",
    ],
)
def test_lines_without_a_queue_id(line: str) -> None:
    assert postfix_log.parse_line(line) is None


@given(
    st.text(max_size=120)
    | st.from_regex(r"Nov 22 18:00:00 m p\[1\]: ABCDE: to=<.*>, relay=.*, delay=1, dsn=2, status=.*")
)
def test_any_line_can_be_read(line: str) -> None:
    postfix_log.parse_line(line)
    postfix_log.Log([line]).tell(["ABCDE"], "<x@y>")


def test_a_busy_log_is_followed_without_reading_it_again_and_again() -> None:
    given_sample = sample("after_queue_clean")
    noise = sample("bounced").lines * 500
    log = postfix_log.Log()
    begun = time.process_time()
    for line in given_sample.lines:
        log.add(noise)
        log.add([line])
        story = log.tell([], given_sample.message_id)
    assert story.ends == ["delivered"]
    # 130,000 lines: a second or two, where reading all of them at each step took a minute.
    assert time.process_time() - begun < 15


def test_the_quarantine_is_told() -> None:
    story = sample("after_queue_eicar").told()
    assert postfix_log.quarantine_id_in(story.hops[0].reply) == "20261122T181140Z-831da52edd"
    assert postfix_log.quarantine_id_in("250 2.0.0 Ok: queued as 4ABCD") is None
