# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Both engines on one host: from one to the other and back while mail flows, wrong choices, removal.

In this order, as each test goes on from where the one before has left the host.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from engines import engine, put_to_work
from load import Load
from mailhost import MailHost, wait_for
from plays import Play, play
from testinfra.host import Host

#: In two halves, as the test virus: https://spamassassin.apache.org/gtube/
GTUBE = b"XJS*C4JDBQADN1.NSBN3*2IDNEN*" + b"GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X"
CHANGES = ["amavis", "bundled", "amavis", "bundled", "amavis"]


def active(host: Host) -> list[str]:
    units = ["filter-daemon.socket", "filter-daemon.service", "amavis.service"]
    return [unit for unit in units if host.run(f"systemctl is-active --quiet {unit}").rc == 0]


def test_five_changes_of_the_engine_under_load_lose_nothing(host: Host, mail: MailHost) -> None:
    # An engine that is stopped in the moment after its hand-over leaves a message that Postfix tries again.
    load = Load(mail, may_repeat=len(CHANGES))
    with load.running(pause=0.3):
        for name in CHANGES:
            done = engine(name)
            assert done.code == 0, done.output
            expected = ["amavis.service"] if name == "amavis" else ["filter-daemon.socket", "filter-daemon.service"]
            assert active(host) == expected
    account = load.account()
    print(account)
    assert "lost 0" in account


def test_the_same_engine_again_changes_nothing(host: Host) -> None:
    done = engine("amavis")
    assert (done.code, done.changed) == (0, 0), done.output


def test_the_report_tells_of_amavisd_new_and_of_nothing_else(host: Host, tmp_path: Path) -> None:
    # Given amavisd-new at work, and the bundled daemon's command and configuration still there
    assert host.file("/usr/local/sbin/filter-daemon").exists
    done, page = report(tmp_path)
    assert done.changed == 1, done.output
    # then the page says that all is well, draws the way there and back, and has what was just probed
    assert "Nothing: all hosts are well." in page
    assert "filter-daemon" not in page
    assert page.count('class="wire"') == page.count('class="wire back"') == 1
    for words in (
        "scan:[127.0.0.1]:10024",
        "amavisd-new",
        "2.13.0",
        "ok: 127.0.0.1:10024: answers EHLO<",
        "ok: ClamAV-clamd",
    ):
        assert words in page
    # and that it does not run, when it does not
    host.check_output("systemctl stop amavis.service")
    try:
        page = report(tmp_path)[1]
    finally:
        host.check_output("systemctl start amavis.service")
    assert "filter does not run" in page
    assert "systemctl status amavis" in page
    wait_for("its return", lambda: host.run("ss -Hltn sport = :10024").stdout)


def report(directory: Path) -> tuple[Play, str]:
    done = play("report", filter_stack_engine="amavis", filter_report_file=str(directory / "report.html"))
    assert done.code == 0, done.output
    return done, (directory / "report.html").read_text()


def test_spam_is_marked_where_spamassassin_is_wanted(host: Host, mail: MailHost) -> None:
    put_to_work("amavis", filter_amavis_spamassassin=True)
    token, content = mail.message()
    mail.send(content.replace(b"Hello.", GTUBE))
    assert b"X-Spam-Flag: YES" in mail.wait_delivered(token, seconds=120)
    clean, content = mail.message()
    mail.send(content)
    delivered = mail.wait_delivered(clean, seconds=120)
    assert b"X-Spam-Flag: YES" not in delivered
    put_to_work("amavis")


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"filter_stack_engine": "amavisd"}, 'filter_stack_engine is "amavisd": it takes "bundled" or "amavis"'),
        (
            {"filter_amavis_quarantine_directory": "/var/spool/vscan/quarantine"},
            "amavisd-new's quarantine would be /var/spool/vscan/quarantine",
        ),
        (
            {"filter_amavis_extra_configuration": "$QUARANTINEDIR = '/var/spool/vscan';"},
            "amavisd-new's quarantine would be /var/spool/vscan",
        ),
        (
            {"filter_amavis_extra_configuration": "$max_servers = 20;"},
            "filter_amavis_extra_configuration sets $max_servers to 20, and filter_amavis_instances",
        ),
        ({"filter_stack_expansion_factor": 0}, "filter_amavis_expansion_factor"),
        ({"filter_amavis_hostname": "mail"}, "This host calls itself 'mail'"),
        ({"filter_stack_clamav": False}, "names no other scanner in @av_scanners"),
        ({"filter_clamav_database_files": [], "filter_clamav_memory_minimum": 10**9}, "filter_clamav_memory_minimum"),
    ],
)
def test_a_wrong_choice_is_refused_before_the_host_is_touched(
    host: Host, variables: dict[str, Any], words: str
) -> None:
    done = play("site", "--tags", "filter_amavis,filter_clamav", **{"filter_stack_engine": "amavis", **variables})
    assert done.code != 0
    assert words in " ".join(done.output.split())
    assert done.changed == 0


def test_another_number_of_processes_in_somebody_elses_file_is_refused(host: Host) -> None:
    host.check_output("cp -p /etc/amavis/conf.d/50-user /root/50-user.kept")
    host.check_output("sed -i '1i $max_servers = 20;' /etc/amavis/conf.d/50-user")
    try:
        done = play("site", "--tags", "filter_amavis", filter_stack_engine="amavis")
    finally:
        host.check_output("mv /root/50-user.kept /etc/amavis/conf.d/50-user")
    assert done.code != 0
    said = " ".join(done.output.split())
    assert "/etc/amavis/conf.d/50-user sets $max_servers to 20, and filter_amavis_instances" in said
    assert done.changed == 0


def test_a_configuration_that_perl_does_not_take_never_replaces_the_one_that_runs(host: Host, mail: MailHost) -> None:
    before = host.check_output("sha256sum /etc/amavis/conf.d/60-filter-stack")
    done = engine("amavis", filter_amavis_extra_configuration="$log_level = ;")
    assert done.code != 0
    assert "syntax error" in done.output
    assert host.check_output("sha256sum /etc/amavis/conf.d/60-filter-stack") == before
    token, content = mail.message()
    mail.send(content)
    mail.wait_delivered(token)


#: In clamd's place: cannot read what it is asked about.
DEAF = """
import os, socket
listener = socket.socket(socket.AF_UNIX)
listener.bind("/run/deaf.ctl")
os.chmod("/run/deaf.ctl", 0o777)
listener.listen()
while True:
    client = listener.accept()[0]
    client.recv(1000)
    client.sendall(b"/p001: lstat() failed: Permission denied. ERROR\\0")
    client.close()
"""
CONFIGURATION = "sha256sum /etc/amavis/conf.d/60-filter-stack /etc/systemd/system/amavis.service.d/filter-stack.conf"


def test_a_scanner_that_may_not_read_the_parts_is_refused_and_everything_stays(host: Host, mail: MailHost) -> None:
    before = host.check_output(CONFIGURATION)
    host.check_output("systemd-run --unit=deaf python3 -c %s", DEAF)
    try:
        done = engine(
            "amavis",
            filter_amavis_clamd_socket="/run/deaf.ctl",
            filter_amavis_quarantine_directory="/var/lib/vscan/kept",
        )
    finally:
        host.check_output("systemctl stop deaf.service")
    assert done.code != 0
    said = " ".join(done.output.split())
    assert "did not scan a file in /var/spool/vscan that user vscan had put there: it answered" in said
    assert "Permission denied" in said
    # then also the next start is one with the configuration that has proven itself
    assert host.check_output(CONFIGURATION) == before
    host.check_output("systemctl restart amavis.service")
    token, content = mail.message()
    mail.send(content)
    wait_for("an empty queue", mail.flush, seconds=120)
    mail.wait_delivered(token)


def test_an_engine_that_does_not_start_gives_its_place_back(host: Host, mail: MailHost) -> None:
    # Given the bundled daemon at work, and an amavisd-new that cannot listen where it should
    put_to_work("bundled")
    before = host.check_output(CONFIGURATION)
    done = engine("amavis", filter_amavis_extra_configuration="@listen_sockets = ('192.0.2.1:10024');")
    # then the play fails with what it saw, and the daemon filters again
    assert done.code != 0
    assert "which runs again" in done.output
    assert host.check_output(CONFIGURATION) == before
    assert not host.service("amavis").is_enabled
    assert active(host) == ["filter-daemon.socket", "filter-daemon.service"]
    token, content = mail.message()
    mail.send(content)
    mail.wait_delivered(token)


def test_removal_takes_both_away(host: Host, mail: MailHost) -> None:
    done = play("remove")
    assert done.code == 0, done.output
    assert active(host) == []
    for path in (
        "/etc/amavis/conf.d/60-filter-stack",
        "/etc/systemd/system/amavis.service.d",
        "/usr/local/sbin/filter-stack-amavis-clean",
        "/usr/local/sbin/filter-daemon",
        "/etc/cron.d/filter-stack",
        "/var/lib/filter-stack",
    ):
        assert not host.file(path).exists, path
    assert host.run("mountpoint -q /var/spool/vscan").rc != 0
    assert host.run("getent passwd vscan").rc != 0
    assert "vscan" not in host.check_output("id -nG clamav").split()
    token, content = mail.message()
    mail.send(content)
    mail.wait_delivered(token)
    assert play("remove").changed == 0
