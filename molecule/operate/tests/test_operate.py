# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""status, trace, audit, metrics and warnings on a host with Postfix, clamd, systemd and Prometheus."""

from __future__ import annotations

import json
import re
import socket
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from mailhost import EICAR, MailHost, wait_for
from testinfra.host import Host

SOCKET = "/run/filter-stack/metrics.sock"
CONFIGURATION = "/etc/filter-stack/daemon.json"
GET = """
import socket, sys
with socket.socket(socket.AF_UNIX) as connection:
    connection.connect(sys.argv[1])
    connection.sendall(b"GET " + sys.argv[2].encode() + b" HTTP/1.0\\r\\n\\r\\n")
    print(connection.makefile("rb").read().decode().partition("\\r\\n\\r\\n")[2])
"""


def status(host: Host) -> dict[str, Any]:
    """What `status --json` says."""
    return json.loads(host.run("filter-daemon status --json").stdout)


def story(host: Host, word: str) -> str:
    """What `trace` says, without its times."""
    return re.sub(r"(?m)^\d\S+ \d\S+  ", "", host.run(f"filter-daemon trace '{word}'").stdout)


def in_order(text: str, *words: str) -> None:
    """All of these stand in the text, in this order."""
    place = 0
    for word in words:
        place = text.find(word, place)
        assert place >= 0, f"no {word!r} behind the words before it in:\n{text}"


def ledger(host: Host) -> str:
    """The ledger's file."""
    return json.loads(host.file(CONFIGURATION).content)["ledger_file"]


@contextmanager
def configured(host: Host, **keys: Any) -> Iterator[None]:
    """The daemon runs with other values for a while, as after a reload by hand."""
    before = host.file(CONFIGURATION).content_string
    try:
        _configure(host, json.dumps({**json.loads(before), **keys}))
        yield
    finally:
        _configure(host, before)


def _configure(host: Host, text: str) -> None:
    # the same file: its owner and mode stay
    host.run_expect([0], f"cat > {CONFIGURATION} <<'END'\n{text}\nEND")
    host.check_output("systemctl reload filter-daemon.service")
    wait_for("the new configuration", lambda: status(host)["ok"] or status(host)["warnings"])
    wait_for("its reading", lambda: not status(host)["drift"])


# status


def test_status_for_people_and_machines(host: Host, mail: MailHost) -> None:
    mail.wait_delivered(mail_through(mail))
    done = host.run("filter-daemon status")
    assert done.rc == 0, done.stdout
    in_order(done.stdout, "running", "instances", "scratch", "quarantine", "messages", "clamd", "workers", ledger(host))
    # no colour where it is no terminal, and one screen
    assert "\033" not in done.stdout
    assert len(done.stdout.splitlines()) <= 30
    told = status(host)
    assert told["ok"]
    assert told["running"]["code"] == told["deployed"]["code"]
    assert told["messages"]["by_verdict"]["clean"] >= 1
    assert told["ledger"]["failures"] == 0
    # as the filter's user too
    assert host.run("runuser -u vscan -- filter-daemon status").rc == 0


def test_a_live_view_on_a_terminal(host: Host) -> None:
    # script(1) gives it a terminal
    seen = host.run("timeout --signal=INT 5 script -qefc 'filter-daemon status --watch' /dev/null").stdout
    assert seen.count("filter-daemon ") >= 2
    assert "\033[32mrunning" in seen
    assert "Traceback" not in seen


def test_status_while_it_does_not_run(host: Host) -> None:
    host.check_output("systemctl stop filter-daemon.socket filter-daemon.service")
    try:
        done = host.run("filter-daemon status")
        assert done.rc == 1
        assert "not running" in done.stdout
    finally:
        host.check_output("systemctl start filter-daemon.socket filter-daemon.service")
    wait_for("its return", lambda: host.run("filter-daemon status").rc == 0)


# trace


def mail_through(mail: MailHost, attachment: bytes | None = None, name: str = "a.txt", sender: str = "") -> str:
    """Send a message for alice; its token, and <TOKEN@example.org> is its Message-ID."""
    token = uuid.uuid4().hex
    message = EmailMessage()
    message["From"] = "Bob <bob@example.com>"
    message["To"] = "alice@example.com"
    message["Subject"] = f"operate {token}"
    message["Message-ID"] = f"<{token}@example.org>"
    message.set_content("Hello.\n")
    if attachment is not None:
        message.add_attachment(attachment, maintype="application", subtype="octet-stream", filename=name)
    mail.send(message.as_bytes().replace(b"\n", b"\r\n"), sender or f"{token[:12]}@example.com")
    return token


def test_the_story_of_a_delivered_message(host: Host, mail: MailHost) -> None:
    token = mail_through(mail)
    mail.wait_delivered(token)
    wait_for("its end", lambda: "so <alice@example.com>: delivered" in story(host, f"<{token}@example.org>"))
    told = story(host, f"<{token}@example.org>")
    in_order(
        told,
        "Postfix took it as",
        "handed it to the filter",
        "found nothing: clean",
        "handed on to Postfix as",
        "delivered to maildir",
        "so <alice@example.com>: delivered",
    )
    # each of its names finds the same story
    front = re.findall(r"Postfix took it as (\w+)", told)[0]
    back = re.findall(r"handed on to Postfix as (\w+)", told)[0]
    for word in (front, back, f"{token}@example.org", f"{token[:12]}@example.com"):
        assert story(host, word) == told


def test_the_story_of_a_quarantined_and_released_message(host: Host, mail: MailHost) -> None:
    token = mail_through(mail, EICAR, "invoice.txt")
    (entry,) = wait_for("the quarantine", lambda: mail.quarantined(f"{token[:12]}@example.com"))
    told = wait_for("the story", lambda: story(host, entry["id"]))
    in_order(told, "Postfix took it as", "Eicar", f"put into quarantine as {entry['id']}")
    assert "in quarantine" in told.splitlines()[-1]
    host.run_expect([0], f"runuser -u vscan -- filter-daemon quarantine release {entry['id']}")
    mail.wait_delivered(token)
    wait_for("its end", lambda: "so <alice@example.com>: delivered" in story(host, entry["id"]))
    in_order(story(host, entry["id"]), "put into quarantine", "released from quarantine", "delivered to maildir")


def test_the_story_of_a_deferred_and_later_delivered_message(host: Host, mail: MailHost) -> None:
    clamd = "clamav-daemon.socket clamav-daemon.service"
    host.check_output(f"systemctl stop {clamd}")
    try:
        token = mail_through(mail)
        wait_for("the deferral", lambda: "asked to come again" in story(host, f"<{token}@example.org>"))
        assert "so <alice@example.com>: deferred" in story(host, f"<{token}@example.org>")
    finally:
        host.check_output("systemctl start clamav-daemon.service")
    wait_for("an empty queue", mail.flush, 120)
    mail.wait_delivered(token)
    wait_for("its end", lambda: "so <alice@example.com>: delivered" in story(host, f"<{token}@example.org>"))
    in_order(
        story(host, f"<{token}@example.org>"),
        "asked to come again: 451",
        "deferred",
        "found nothing: clean",
        "handed on to Postfix as",
        "delivered to maildir",
    )


def test_the_story_of_a_rejected_message(host: Host, mail: MailHost) -> None:
    token = mail_through(mail, b"MZ", "setup.exe", sender="bob@example.com")
    told = wait_for("its end", lambda: story(host, f"<{token}@example.org>"))
    wait_for("Postfix' word", lambda: "bounced (" in story(host, f"<{token}@example.org>"))
    told = story(host, f"<{token}@example.org>")
    in_order(told, "Postfix took it as", "setup.exe", "(banned, says", "rejected: 554", "bounced (")
    assert re.search(r"so <alice@example.com>: (rejected|bounced)", told)
    assert mail.delivered(token, "alice") == []
    # its sender was told by Postfix
    wait_for("the bounce", lambda: mail.delivered(token, "bob"))


def test_nothing_is_known_of_what_never_was(host: Host) -> None:
    assert host.run("filter-daemon trace nobody@example.net").rc == 1


# audit


def test_audit_agrees_with_postfix_and_misses_what_is_cut_out(host: Host, mail: MailHost) -> None:
    # Given all the mail of the tests before, and some more at once, with workers that are killed
    tokens = []
    for number in range(20):
        tokens.append(mail_through(mail))
        if number % 8 == 3:
            victim = status(host)["workers"][0]["pid"]
            host.check_output(f"kill -KILL {victim}")
    wait_for("an empty queue", mail.flush, 120)
    for token in tokens:
        mail.wait_delivered(token)
    wait_for("two workers", lambda: [one["state"] for one in status(host)["workers"]] == ["ready"] * 2)
    # then every acknowledged message has its end, and Postfix says the same
    done = host.run("filter-daemon audit")
    assert done.rc == 0, done.stdout
    in_order(done.stdout, "Postfix' log:", "result:        every acknowledged message has its end")
    assert "not looked at" not in done.stdout
    told = json.loads(host.check_output("filter-daemon audit --json"))
    assert told["messages"] > len(tokens)
    assert told["log_lines"] > told["messages"]
    # a line that is cut out of a copy is missed, and what is no line is told with its place
    path = ledger(host)
    host.check_output(f"rm -rf /root/copy && cp -r {Path(path).parent} /root/copy")
    copy = f"/root/copy/{Path(path).name}"
    oldest = sorted(host.check_output(f"ls {copy}.[0-9]*").split(), key=lambda name: -int(name.rpartition(".")[2]))[0]
    lines = host.file(oldest).content_string.splitlines(keepends=True)
    # one that came through Postfix: a probe is handed to the filter itself, and has no queue id in front of it
    entries = [json.loads(line) for line in lines]
    number, victim = next(
        (n, one) for n, one in enumerate(entries) if one["event"] == "message" and one["front"] != "-"
    )
    host.check_output(f"sed -i {number + 1}d {oldest}")
    host.check_output(f"printf '%s\\n' 'no line at all' >> {copy}")
    done = host.run(f"filter-daemon audit --ledger {copy}")
    assert done.rc == 1
    assert f"MISSING:       1 lines of writer {victim['writer']}: {victim['n']}" in done.stdout
    assert f"id={victim['id']}: acknowledged to Postfix (queue id {victim['front']})" in done.stdout
    last = len(host.file(copy).content_string.splitlines())
    offset = host.file(copy).size - len("no line at all\n")
    assert f"BROKEN:        {copy}, line {last} (byte {offset})" in done.stdout


def test_addresses_are_in_the_ledger_as_the_host_was_told(host: Host) -> None:
    addresses = host.run(f"cat {ledger(host)}* | grep -c alice@example.com").stdout.strip()
    hashed = json.loads(host.file(CONFIGURATION).content)["ledger_addresses"] == "hashed"
    assert (int(addresses) == 0) == hashed
    directory = host.file(str(Path(ledger(host)).parent))
    assert (directory.user, directory.group, directory.mode) == ("vscan", "vscan", 0o750)


# metrics


def promtool(host: Host, expression: str) -> list[dict[str, Any]]:
    """What Prometheus answers."""
    return json.loads(host.check_output(f"promtool query instant -o json http://127.0.0.1:9090 '{expression}'"))


def test_prometheus_reads_what_the_socket_says(host: Host, mail: MailHost) -> None:
    mail.wait_delivered(mail_through(mail))
    host.run_expect([0], f"cat > /root/get.py <<'END'\n{GET}\nEND")
    text = host.check_output(f"python3 /root/get.py {SOCKET} /metrics")
    assert text.endswith("# EOF")
    clean = 'filter_daemon_messages_total{verdict="clean",disposition="pass"}'
    count = int(re.search(re.escape(clean) + r" (\d+)", text)[1])
    assert count >= 1
    # the socket is for the filter's group alone
    assert host.file(SOCKET).mode == 0o660
    assert host.run(f"runuser -u alice -- python3 /root/get.py {SOCKET} /metrics").rc != 0
    # a real Prometheus takes the same by HTTP
    wait_for("the target", lambda: [one["value"][1] for one in promtool(host, 'up{job="filter"}')] == ["1"])
    query = 'filter_daemon_messages_total{verdict="clean",disposition="pass"}'
    wait_for("the count", lambda: [int(one["value"][1]) for one in promtool(host, query)] == [count])
    (build,) = promtool(host, "filter_daemon_build_info")
    assert build["metric"]["configuration"] == status(host)["running"]["fingerprint"]
    # only on the loopback
    with pytest.raises(ConnectionRefusedError), socket.create_connection((mail.address, 9104), 5):
        pass


def test_the_alerts_are_taken_and_only_that_fires_which_should(host: Host) -> None:
    host.check_output("promtool check rules /etc/prometheus/alerts.yml")
    host.check_output("promtool check config /etc/prometheus/prometheus.yml")
    # three workers were killed by the test of audit
    firing = 'ALERTS{alertstate="firing"}'
    wait_for("an alert", lambda: promtool(host, firing))
    assert [one["metric"]["alertname"] for one in promtool(host, firing)] == ["FilterDaemonWorkersEnd"]


# Warnings


def test_a_warning_is_said_once_when_it_begins_and_once_when_it_is_over(host: Host) -> None:
    def said(words: str) -> int:
        return int(host.run(f"journalctl --no-pager -o cat -u filter-daemon | grep -c '{words}'").stdout)

    begun, over = said("warning quarantine: the quarantine has room"), said("warning quarantine: is over")
    with configured(host, warn_quarantine_margin=2**59):
        wait_for("the warning", lambda: status(host)["warnings"])
        done = host.run("filter-daemon status")
        assert done.rc == 1
        in_order(done.stdout, "1 warnings", "WARNING quarantine: the quarantine has room", "release or delete")
        wait_for("the metric", lambda: promtool(host, 'filter_daemon_warning{warning="quarantine"} == 1'))
        time.sleep(12)  # two more looks
        assert said("warning quarantine: the quarantine has room") == begun + 1
    wait_for("its end", lambda: not status(host)["warnings"], 90)
    assert said("warning quarantine: the quarantine has room") == begun + 1
    assert said("warning quarantine: is over") == over + 1
    assert host.run("filter-daemon status").rc == 0


def test_a_full_disk_for_the_ledger_keeps_no_mail_back(host: Host, mail: MailHost) -> None:
    # Given a ledger on a small disk of its own, which something else fills
    directory = str(Path(ledger(host)).parent)
    owner = host.check_output("id -u vscan")
    host.check_output(f"mount -t tmpfs -o size=64k,uid={owner},gid={owner},mode=0750 none {directory}")
    # the service sees a mount that came after it only where mounts are shared
    host.check_output("systemctl restart filter-daemon.service")
    try:
        mail.wait_delivered(mail_through(mail))
        host.run(f"cat /dev/zero > {directory}/filler")
        tokens = [mail_through(mail) for _ in range(20)]
        # then all mail arrives,
        for token in tokens:
            mail.wait_delivered(token)
        assert mail.flush()
        # what is infected is kept all the same: the quarantine is on another disk,
        infected = mail_through(mail, EICAR, "invoice.txt")
        wait_for("the quarantine", lambda: mail.quarantined(f"{infected[:12]}@example.com"))
        # the lost lines are counted and warned of,
        lost = status(host)["ledger"]["failures"]
        assert lost >= 1
        assert mail.log("ledger: .* cannot be written .No space left on device.: mail goes on")
        wait_for("the warning", lambda: [one["name"] for one in status(host)["warnings"]] == ["ledger"])
        # and it goes on when there is room again; audit says what is missing
        host.check_output(f"rm {directory}/filler")
        for token in [mail_through(mail) for _ in range(8)]:
            mail.wait_delivered(token)
        assert mail.log("ledger: .* is written again, ")
        assert status(host)["ledger"]["failures"] == lost
        done = host.run("filter-daemon audit")
        assert done.rc == 1
        missing = sum(int(number) for number in re.findall(r"MISSING: +(\d+) lines", done.stdout))
        assert missing == lost, done.stdout
    finally:
        host.check_output(f"umount --lazy {directory}")
        host.check_output("systemctl restart filter-daemon.service")
    wait_for("its return", lambda: host.run("filter-daemon status").rc == 0)
