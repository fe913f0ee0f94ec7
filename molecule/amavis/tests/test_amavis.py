# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""amavisd-new as the filter: mail that is really sent, its scratch directory, its reports, and a scanner that fails."""

from __future__ import annotations

import json
import os
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from mailhost import EICAR, MailHost, eicar_zip, wait_for
from plays import play

# Written for the bundled daemon, and no less true of this engine.
from test_mail import (  # noqa: F401
    test_each_recipient_gets_it_once,
    test_no_ending_smuggles_a_second_message,
    test_the_body_arrives_byte_for_byte,
    test_the_largest_message_that_is_taken_is_delivered,
    test_the_null_sender_is_served,
)
from test_postfix import (  # noqa: F401
    test_every_other_line_of_master_cf_is_as_it_came,
    test_main_cf,
    test_nobody_outside_reaches_the_way_around_the_filter,
    test_postfix_finds_no_error,
    test_the_second_pass_takes_more_than_the_first,
    test_the_way_back,
)
from test_tmpfs import test_nobody_else_looks_into_it, test_the_live_mount_has_every_option  # noqa: F401
from testinfra.host import Host

SCRATCH = "/var/spool/vscan"
QUARANTINE = "/var/lib/vscan/quarantine/amavis"
#: n*(1+f)*limit*7/8, in whole pages.
SIZE = 78753792
INSTANCES = 3
LIMIT = 10000000
PROTOCOLS = {"amavis12": "lmtp", "amavis13": "smtp"}
CONFIGURATION = "/etc/amavis/conf.d/60-filter-stack"


@contextmanager
def clamd_stopped(host: Host) -> Iterator[None]:
    """clamd takes connections, and answers none until this ends."""
    process = host.check_output("systemctl show -P MainPID clamav-daemon.service")
    host.check_output(f"kill -STOP {process}")
    try:
        yield
    finally:
        host.check_output(f"kill -CONT {process}")


def parts(host: Host) -> list[str]:
    """The decoded parts in the scratch directory."""
    return host.check_output(f"find {SCRATCH} -path '*/parts/*' -type f").split()


def test_it_is_what_filters_and_runs_as_the_filters_user(host: Host) -> None:
    assert host.service("amavis").is_running
    assert host.service("amavis").is_enabled
    assert not host.service("filter-daemon").is_running
    processes = host.check_output("ps -o user=,args= -u vscan").splitlines()
    assert len([line for line in processes if "/usr/sbin/amavisd (" in line]) == INSTANCES + 1
    assert host.run("runuser -u vscan -- amavisd test-config").rc == 0


def test_postfix_hands_over_n_at_a_time_by_the_protocol_that_was_chosen(host: Host, mail: MailHost) -> None:
    fields = host.check_output("postconf -M scan/unix").split()
    assert fields[6:8] == [str(INSTANCES), PROTOCOLS[mail.name]]
    [line] = [line for line in host.check_output(f"cat {CONFIGURATION}").splitlines() if "$max_servers =" in line]
    assert line == f"$max_servers = {INSTANCES};"


def test_a_clean_message_is_delivered_with_its_header(mail: MailHost) -> None:
    token, content = mail.message()
    front = mail.send(content)
    delivered = mail.wait_delivered(token)
    assert f"X-Virus-Scanned: amavis at {mail.name}.example.com".encode() in delivered
    assert wait_for("the hand-over", lambda: mail.log(f"^{front}: to=.*:10024.*status=sent .*from MTA.*queued as "))


@pytest.mark.parametrize("attachment", [EICAR, eicar_zip()], ids=["plain", "zip"])
def test_a_virus_is_quarantined_and_the_administrator_told(host: Host, mail: MailHost, attachment: bytes) -> None:
    token, content = mail.message(attachment)
    mail.send(content)
    # it is kept on disk,
    wait_for("the quarantine", lambda: host.run(f"grep -rlF {token} {QUARANTINE}").stdout)
    # the administrator has mail about it,
    search = f"grep -rlF '<{token}@example.org>' /home/bob/Maildir/new"
    told = wait_for("a notice", lambda: host.run(search).stdout).split()
    assert b"VIRUS" in host.file(told[0]).content
    # and neither the recipient nor the sender has any
    assert mail.delivered(token) == []
    assert mail.log("to=<tester@example.org>") == ""


def test_the_quarantine_is_the_filters_alone(host: Host) -> None:
    directory = host.file(QUARANTINE)
    assert (directory.user, directory.group, directory.mode) == ("vscan", "vscan", 0o750)


def test_it_unpacks_on_the_tmpfs(host: Host, mail: MailHost) -> None:
    # Given a scanner that takes its time
    with clamd_stopped(host):
        token, content = mail.message(os.urandom(1_000_000))
        mail.send(content)
        # then the parts are to be seen in the scratch directory meanwhile, which is a tmpfs
        wait_for("parts in the scratch directory", lambda: parts(host))
        assert host.mount_point(SCRATCH).filesystem == "tmpfs"
        assert max(host.file(path).size for path in parts(host)) >= 1_000_000
        # and readable for clamd's user
        run = host.run(f"runuser -u clamav -- cat {parts(host)[0]}")
        assert run.rc == 0, run.stderr
    mail.wait_delivered(token)
    wait_for("an empty scratch directory", lambda: parts(host) == [])


def test_n_messages_of_the_limit_do_not_fill_the_tmpfs(host: Host, mail: MailHost) -> None:
    # Given n messages just below the limit, each one large attachment, that all wait for the scanner
    assert int(host.check_output(f"df -B1 --output=size {SCRATCH} | tail -n 1")) == SIZE
    attachment = os.urandom((LIMIT - 50_000) * 57 // 78)
    messages = [mail.message(attachment) for _ in range(INSTANCES)]
    assert all(LIMIT - 200_000 < len(content) < LIMIT for _token, content in messages)
    with clamd_stopped(host):
        senders = [threading.Thread(target=mail.send, args=(content,)) for _token, content in messages]
        for sender in senders:
            sender.start()
        # when all of them are decoded
        wait_for(
            "n decoded messages",
            lambda: len([path for path in parts(host) if host.file(path).size >= len(attachment)]) >= INSTANCES,
            seconds=120,
        )
        used = int(host.check_output(f"df -B1 --output=used {SCRATCH} | tail -n 1"))
        for sender in senders:
            sender.join()
    # then they fit, and all are delivered
    assert INSTANCES * (LIMIT - 200_000 + len(attachment)) <= used < SIZE
    for token, _content in messages:
        mail.wait_delivered(token, seconds=120)


def test_a_scanner_that_is_away_defers_mail_and_passes_none(host: Host, mail: MailHost) -> None:
    host.check_output("systemctl stop clamav-daemon.socket clamav-daemon.service")
    try:
        token, content = mail.message(EICAR)
        clean, clean_content = mail.message()
        fronts = [mail.send(content), mail.send(clean_content)]
        for front in fronts:
            wait_for(
                "its deferral", lambda front=front: mail.log(f"^{front}: to=.*status=deferred .*451 "), seconds=120
            )
        assert mail.delivered(token) == mail.delivered(clean) == []
        # nothing of the failed ones stays on the tmpfs
        wait_for("an empty scratch directory", lambda: parts(host) == [])
    finally:
        host.check_output("systemctl start clamav-daemon.service")
    # when it is there again, the clean one comes and the other one does not
    wait_for("an empty queue", mail.flush, seconds=120)
    mail.wait_delivered(clean)
    assert mail.delivered(token) == []


def test_stale_directories_go_and_live_ones_stay(host: Host, mail: MailHost) -> None:
    # Given the directories of amavisd-new's own processes, one in the middle of a message, and one that nobody uses
    stale = f"{SCRATCH}/amavis-20260101T000000-00001-{uuid.uuid4().hex[:8]}"
    host.check_output(f"runuser -u vscan -- mkdir -p {stale}/parts")
    host.check_output(f"find {stale} -exec touch -d '2 days ago' {{}} +")
    with clamd_stopped(host):
        token, content = mail.message(b"x" * 100000)
        mail.send(content)
        live = wait_for("a live one", lambda: parts(host))[0]
        host.check_output(f"find {SCRATCH}/amavis-* -exec touch -d '2 days ago' {{}} +")
        # when the very command of the daily job comes by
        entry = host.file("/etc/cron.d/filter-stack").content_string
        [job] = [line for line in entry.splitlines() if "filter-stack-amavis-clean" in line]
        run = host.run("runuser -u vscan -- /bin/sh -c %s", job.split(None, 6)[6])
        # then it takes that one and no other
        assert (run.rc, run.stdout, run.stderr) == (0, f"removed {stale}\n", "")
        assert host.file(live).exists
    mail.wait_delivered(token)


def test_a_process_that_is_killed_loses_no_mail(host: Host, mail: MailHost) -> None:
    with clamd_stopped(host):
        token, content = mail.message(b"x" * 100000)
        mail.send(content)
        wait_for("a message under way", lambda: parts(host))
        host.check_output("systemctl kill --kill-whom=all --signal=KILL amavis.service")
    wait_for("its return", lambda: host.service("amavis").is_running)
    wait_for("an empty queue", mail.flush, seconds=120)
    mail.wait_delivered(token)
    assert len(mail.delivered(token)) == 1


def test_verify_shows_its_report_and_leaves_it_alone(host: Host) -> None:
    before = host.check_output("systemctl show -P MainPID amavis.service")
    module = subprocess_module(host, "amavis_info")
    assert module["version"] == "2.13.0"
    assert module["user"] == "vscan"
    assert module["uid"] == int(host.check_output("id -u vscan"))
    assert module["listening"] == ["127.0.0.1:10024"]
    assert [scanner["name"] for scanner in module["scanners"]["found"]] == ["ClamAV-clamd"]
    assert {"7z", "rar", "cab", "zst"} <= set(module["unpackers"]["found"])
    assert "MIME::Parser" in module["modules"]["loaded"]
    assert host.check_output("systemctl show -P MainPID amavis.service") == before
    done = play("verify", "--limit", limit(host))
    assert done.code == 0, done.output
    assert "unpackers_missing:" in done.output
    assert "the EICAR message was in quarantine (/var/lib/vscan/quarantine/amavis/virus-" in done.output


def limit(host: Host) -> str:
    return str(host.backend.get_hostname())


def subprocess_module(host: Host, name: str) -> dict[str, object]:
    """What a module of the collection returns."""
    result = host.ansible(f"mailops.filter_stack.{name}", check=False)
    assert not result.get("failed"), result
    return json.loads(json.dumps(result))
