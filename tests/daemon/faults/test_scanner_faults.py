# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""clamd gone, slow, broken and lying: the mail stays in the client's queue, and nothing passes unscanned."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from harness.behaviour import Action, close, flood, late, raw, reset, stall, wait_until
from harness.clamd import EICAR, Clamd
from harness.client import CLEAN, lmtp, smtp
from harness.daemon import Daemon
from harness.downstream import Downstream

INFECTED = b"Subject: x\r\n\r\nother virus\r\n"
LARGE = CLEAN + b"0123456789abcdef\r\n" * 150_000


def other_virus(content: bytes) -> str:
    """A verdict that the built-in pattern cannot give."""
    return "Other.Virus FOUND" if b"other virus" in content else "OK"


@pytest.fixture(scope="module")
def troubled(tmp_path_factory):
    """One daemon and one clamd for many troubles; the scanner has a short time to answer."""
    directory = tmp_path_factory.mktemp("troubled")
    downstream, clamd = Downstream(), Clamd(directory / "clamd.ctl")
    daemon = Daemon(
        directory, downstream.address, scanners=[{**clamd.settings, "timeout": 0.4, "content": "whole"}]
    ).start()
    yield daemon, downstream, clamd
    try:
        daemon.finish()
    finally:
        daemon.kill()
        clamd.stop()
        downstream.stop()


@pytest.fixture
def scanned(start_daemon, clamd):
    """A daemon with one clamd, which is given each message as a whole."""
    return start_daemon(scanners=[{**clamd.settings, "content": "whole"}])


TROUBLE: dict[str, tuple[str, Action]] = {
    "closes at once": ("connect", close()),
    "resets at once": ("connect", reset()),
    "closes while the content comes": ("stream", close()),
    "resets while the content comes": ("stream", reset()),
    "closes without a verdict": ("verdict", close()),
    "says nothing": ("verdict", stall()),
    "reads nothing": ("stream", stall()),
    "talks before it is asked": ("connect", raw(b"1: stream: OK\0")),
    "floods without end": ("verdict", Action(b"1: stream: OK OK OK ", "stall", repeat=20000)),
    "half a verdict": ("verdict", close(b"1: stream: OK")),
    "half a verdict, then nothing": ("verdict", stall(b"1: stream: O")),
    "an empty verdict": ("verdict", raw(b"\0")),
    "a verdict about another message": ("verdict", raw(b"7: stream: OK\0")),
    "OK before the whole message": ("stream", raw(b"1: stream: OK\0")),
    "an error": ("verdict", raw(b"1: stream: Can't allocate memory ERROR\0")),
    "an error about time": ("verdict", close(b"COMMAND READ TIMED OUT\0")),
    "unknown command": ("verdict", raw(b"UNKNOWN COMMAND\0")),
    "something like OK": ("verdict", raw(b"1: stream: OKAY\0")),
    "not OK": ("verdict", raw(b"1: stream: not OK\0")),
    "OK and more": ("verdict", raw(b"1: stream: OK but slow\0")),
    "found nothing": ("verdict", raw(b"1: stream: FOUND\0")),
    "found a blank": ("verdict", raw(b"1: stream:  FOUND\0")),
    "lower case": ("verdict", raw(b"1: stream: ok\0")),
    "another language": ("verdict", raw(b"HTTP/1.1 200 OK\0")),
    "bytes": ("verdict", raw(bytes(range(1, 256)) + b"\0")),
}


#: What can be told from a good answer only when the message does not fit into one packet.
ONLY_LARGE = ("talks before it is asked", "OK before the whole message", "reads nothing")


@pytest.mark.parametrize(
    ("trouble", "content"),
    [(trouble, CLEAN) for trouble in TROUBLE if trouble not in ONLY_LARGE]
    + [(trouble, LARGE) for trouble in TROUBLE if TROUBLE[trouble][0] != "verdict"],
    ids=lambda value: value if isinstance(value, str) else f"{len(value)}-bytes",
)
def test_a_scanner_in_trouble_defers_mail(troubled, trouble, content):
    # Given a clamd that does not give a clear verdict on the whole message
    daemon, downstream, clamd = troubled
    clamd.drop_connections()
    clamd.on(*TROUBLE[trouble])
    # when a message comes, then it is neither passed nor refused for good nor removed
    reply = lmtp(daemon.address, content)[0]
    assert (reply.code, reply.enhanced) == (451, ["4.3.0"]), reply
    assert downstream.transactions == []
    assert daemon.quarantined() == []
    # and when clamd is well again, mail flows
    clamd.clear()
    assert smtp(daemon.address, content).code == 250
    assert downstream.last.content == content
    downstream.clear()


def test_a_flood_of_verdicts(troubled):
    # Given a clamd that does not stop saying OK, then its first word counts, and the session is not used again
    daemon, downstream, clamd = troubled
    clamd.drop_connections()
    clamd.on("verdict", flood(b"1: stream: OK\0", 20000), times=1)
    assert lmtp(daemon.address)[0].code == 250
    before = clamd.connections
    assert lmtp(daemon.address)[0].code == 250
    assert clamd.connections == before + 1
    downstream.clear()


def test_clamd_is_not_there(scanned, downstream, clamd):
    # Given clamd stopped, and started again
    clamd.stop()
    assert lmtp(scanned.address)[0].code == 451
    assert "clamd" in scanned.log
    clamd.start()
    # then mail flows again
    assert lmtp(scanned.address)[0].code == 250


def test_a_restarted_clamd_costs_no_message_a_451(scanned, downstream, clamd):
    # Given kept sessions which a restarted clamd has closed
    clamd.on("verdict", late(0.1))
    with ThreadPoolExecutor(4) as threads:
        assert {replies[0].code for replies in threads.map(lmtp, [scanned.address] * 4)} == {250}
    clamd.stop()
    clamd.start()
    # then the next messages are scanned on new ones
    with ThreadPoolExecutor(4) as threads:
        assert {replies[0].code for replies in threads.map(lmtp, [scanned.address] * 4)} == {250}
    assert len(clamd.scanned) == len(downstream.accepted) == 8


@pytest.mark.parametrize(("stage", "action"), [("stream", close()), ("verdict", close()), ("verdict", reset())])
def test_a_kept_session_that_ends_is_opened_again_once(scanned, downstream, clamd, stage, action):
    # Given a kept session that ends in the middle of a scan, once
    assert lmtp(scanned.address)[0].code == 250
    clamd.on(stage, action, times=1)
    # then the whole message is scanned on a new one
    assert lmtp(scanned.address, LARGE)[0].code == 250
    assert clamd.scanned[-1] == LARGE


def test_an_idle_session_that_clamd_closes(scanned, downstream, clamd):
    # Given a clamd with a short IdleTimeout
    clamd.idle_timeout = 0.1
    assert lmtp(scanned.address)[0].code == 250
    wait_until(lambda: not clamd._sockets, "clamd to close the idle session")
    # then the next message does not notice
    assert lmtp(scanned.address)[0].code == 250


def test_a_verdict_is_never_taken_for_another_message(scanned, downstream, clamd):
    # Given a clamd that says OK twice for one message
    clamd.verdict = other_virus
    clamd.on("verdict", raw(b"1: stream: OK\0" + b"2: stream: OK\0"), times=1)
    lmtp(scanned.address)
    # when an infected message comes next, then it is not passed by the left-over OK
    reply = lmtp(scanned.address, INFECTED)[0]
    assert "quarantined" in reply.text
    assert all(b"other virus" not in item.content for item in downstream.accepted)


def test_a_late_verdict_is_never_taken_for_another_message(start_daemon, downstream, clamd):
    # Given a clean message whose verdict comes after the daemon gave it up
    daemon = start_daemon(scanners=[{**clamd.settings, "timeout": 0.3}])
    clamd.verdict = other_virus
    clamd.on("verdict", late(0.6), times=1)
    assert lmtp(daemon.address)[0].code == 451
    # when an infected message follows at once, then the late OK is not its verdict
    assert "quarantined" in lmtp(daemon.address, INFECTED)[0].text
    assert downstream.transactions == []


def test_the_virus_name_cannot_forge_a_reply_or_a_log_line(scanned, downstream, clamd):
    # Given a virus name with line ends, NUL-free control characters and 8-bit
    clamd.on("verdict", raw(b"1: stream: Evil\r\n250 2.0.0 Ok\n\x1b[2J\xff FOUND\0"))
    reply = lmtp(scanned.address)[0]
    # then one clean reply line comes, and one log line
    assert reply.code == 250
    assert len(reply.lines) == 1
    assert len(scanned.messages()) == 1
    assert downstream.transactions == []


def test_over_limit_results_are_unchecked_and_not_clean(start_daemon, downstream, clamd):
    # Given a clamd that looked at a part of the message only
    daemon = start_daemon(scanners=[clamd.settings], on_unchecked="reject")
    clamd.verdict = lambda content: "Heuristics.Limits.Exceeded.MaxFileSize FOUND"
    assert lmtp(daemon.address)[0].code == 554
    # or one with a StreamMaxLength below the message's size, which closes while the content still comes
    clamd.verdict = other_virus
    clamd.stream_limit = 100_000
    reply = lmtp(daemon.address, LARGE)[0]
    # then the message is not passed as clean
    assert reply.code in (451, 554)
    assert downstream.transactions == []
    # and the scanner is used for the next one
    assert lmtp(daemon.address)[0].code == 250


def test_clamd_gets_exactly_what_is_reinjected(scanned, downstream, clamd):
    # Given messages that are easy to change on the way
    all_bytes = bytes(byte for byte in range(256) if byte not in b"\r\n")
    for content in [b"", b"\r\n", b".\r\n", b"..\r\n.x\r\n", all_bytes + b"\r\n", LARGE]:
        # when they pass, then what was scanned is what was sent
        assert lmtp(scanned.address, content)[0].code == 250
        assert clamd.scanned[-1] == content
        assert downstream.last.content == content


def test_one_stuck_scan_does_not_stop_others(start_daemon, downstream, clamd):
    # Given one scan of two that hangs
    daemon = start_daemon(instances=2, scanners=[clamd.settings])
    clamd.on("verdict", stall(), times=1)
    with ThreadPoolExecutor(1) as threads:
        stuck = threads.submit(lmtp, daemon.address)
        wait_until(lambda: len(clamd.scanned) == 1, "the scan to hang")
        # then others pass
        for _ in range(5):
            assert lmtp(daemon.address)[0].code == 250
        clamd.release()
        assert stuck.result()[0].code == 250


# Two scanners


@pytest.fixture
def second(tmp_path):
    """Another clamd."""
    server = Clamd(tmp_path / "second.ctl")
    yield server
    server.stop()


def test_one_of_two_scanners_is_enough(start_daemon, downstream, clamd, second):
    # Given two scanners, one of which is in trouble
    daemon = start_daemon(scanners=[clamd.settings, second.settings])
    clamd.on("verdict", close())
    second.verdict = other_virus
    # then the other one's word counts, and the trouble is in the log
    assert lmtp(daemon.address)[0].code == 250
    assert "quarantined" in lmtp(daemon.address, INFECTED)[0].text
    assert [item.content for item in downstream.accepted] == [CLEAN]
    daemon.wait_for_log("warning: message id=.*clamd at .*clamd.ctl")


def test_all_scanners_in_trouble(start_daemon, downstream, clamd, second):
    # Given two scanners in trouble, then mail is deferred
    daemon = start_daemon(scanners=[clamd.settings, second.settings])
    clamd.stop()
    second.on("verdict", raw(b"nonsense\0"))
    assert lmtp(daemon.address)[0].code == 451
    assert downstream.transactions == []


def test_either_scanner_finds(start_daemon, downstream, clamd, second):
    # Given two scanners that know different viruses, then what one finds is enough
    daemon = start_daemon(scanners=[clamd.settings, second.settings])
    second.verdict = other_virus
    assert "Other.Virus" in lmtp(daemon.address, INFECTED)[0].text
    assert downstream.transactions == []


def test_passing_without_a_scanner_when_the_policy_says_so(start_daemon, downstream, clamd):
    # Given the policy to pass mail that no scanner answered for
    daemon = start_daemon(scanners=[clamd.settings], on_scanner_failure="pass")
    clamd.stop()
    # then clean mail passes with a warning, and the built-in pattern is still found
    assert lmtp(daemon.address)[0].code == 250
    daemon.wait_for_log("warning: message id=.*clamd")
    assert "quarantined" in lmtp(daemon.address, b"\r\n" + EICAR + b"\r\n")[0].text
    assert len(downstream.accepted) == 1
