# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the playbooks say of hosts: verify when something else runs than would be deployed, report, and remove."""

from __future__ import annotations

import json
import re
from pathlib import Path

from mailhost import wait_for
from plays import Play, play
from testinfra.host import Host

CODE = "/usr/local/lib/filter-stack"
RUNS = "the daemon runs the code and configuration that the playbook would deploy now"
CONFIGURATION = "/etc/filter-stack/daemon.json"


def limit(host: Host) -> str:
    return str(host.backend.get_hostname())


def verify(host: Host, **variables: object) -> Play:
    return play("verify", "--limit", limit(host), **variables)


def told(done: Play) -> str:
    """What it printed, without the folds of YAML."""
    return " ".join(done.output.split())


def refused(done: Play, words: str) -> None:
    """The playbook failed, and says so."""
    assert done.code != 0
    assert f"NOT SO: {RUNS}" in told(done)
    assert words in told(done), done.output


def test_what_runs_is_what_would_be_deployed(host: Host) -> None:
    done = verify(host)
    assert done.code == 0, done.output
    assert f"ok: {RUNS}" in told(done)
    assert done.changed == 0


def test_a_filter_that_does_not_answer_is_named(host: Host) -> None:
    host.check_output("systemctl stop filter-daemon.socket filter-daemon.service")
    try:
        done = verify(host, filter_verify_timeout=5)
    finally:
        host.check_output("systemctl start filter-daemon.socket filter-daemon.service")
    assert done.code != 0
    assert "NOT SO: the filter answers EHLO and LHLO on 127.0.0.1:10024" in told(done)
    # mail that came meanwhile goes now
    host.check_output("postqueue -f")
    wait_for("the probes", lambda: "Mail queue is empty" in host.check_output("postqueue -p"))


def test_a_configuration_that_was_edited_by_hand_is_found_key_by_key(host: Host) -> None:
    before = host.file(CONFIGURATION).content_string
    edited = json.dumps({**json.loads(before), "instances": 3, "on_clean": "tag"})
    try:
        # not yet read by the daemon,
        host.run_expect([0], f"cat > {CONFIGURATION} <<'END'\n{edited}\nEND")
        done = verify(host)
        refused(done, "instances: 4 runs, 3 is on disk; ")
        refused(done, 'on_clean: "pass" runs, "tag" is on disk')
        # and read
        host.check_output("systemctl reload filter-daemon.service")
        refused(verify(host), "instances: 3 runs, 4 would be deployed")
    finally:
        host.run_expect([0], f"cat > {CONFIGURATION} <<'END'\n{before}\nEND")
        host.check_output("systemctl reload filter-daemon.service")


def test_what_another_run_would_deploy_is_found(host: Host) -> None:
    done = verify(host, filter_daemon_message_deadline=60)
    refused(done, "message_deadline: 90 runs, 60 would be deployed")


def test_code_that_was_not_started_is_found_and_put_right(host: Host) -> None:
    host.check_output(f"echo '# newer' >> {CODE}/filterd/log.py")
    done = verify(host)
    refused(done, "is on disk")
    # the next run replaces it, and starts what is deployed
    done = play("site", "--limit", limit(host), "--tags", "filter_daemon")
    assert done.code == 0, done.output
    done = verify(host)
    assert done.code == 0, done.output


def test_one_page_about_all_hosts(host: Host, tmp_path: Path) -> None:
    done = play("report", filter_report_file=str(tmp_path / "report.html"))
    assert done.code == 0, done.output
    page = (tmp_path / "report.html").read_text()
    told = json.loads(host.run("filter-daemon status --json").stdout)
    name = limit(host)
    assert f"<h3>{name}</h3>" in page
    assert told["running"]["code"] in page
    assert told["running"]["fingerprint"] in page
    # drawn from the live wiring
    assert "scan:[127.0.0.1]:10024" in page
    assert "mail does not pass a filter" not in page
    assert not re.search(r"<(script|link|img|iframe)|\b(src|href)=|https?:", page)
    # and a host that is away is on it too
    host.check_output("systemctl stop filter-daemon.socket filter-daemon.service")
    try:
        assert play("report", filter_report_file=str(tmp_path / "report.html")).code == 0
    finally:
        host.check_output("systemctl start filter-daemon.socket filter-daemon.service")
    assert "filter does not run" in (tmp_path / "report.html").read_text()
    wait_for("its return", lambda: host.run("filter-daemon status").rc == 0 or host.run("filter-daemon status").stdout)


def test_removal_keeps_the_ledger_for_root(host: Host) -> None:
    path = json.loads(host.file(CONFIGURATION).content)["ledger_file"]
    done = play("remove", "--limit", limit(host))
    assert done.code == 0, done.output
    # below the directory that is kept with the quarantine, or in one of its own
    kept = host.file("/var/lib/vscan" if path.startswith("/var/lib/vscan/") else str(Path(path).parent))
    assert (kept.user, kept.group, kept.mode) == ("root", "root", 0o700)
    # the newest file may just have been full, and got another name
    assert host.run(f"ls {path}*").rc == 0
    # and the next installation goes on with it
    done = play("site", "--limit", limit(host))
    assert done.code == 0, done.output
    told = json.loads(host.run("filter-daemon status --json").stdout)["ledger"]
    assert (told["lines"] > 0, told["failures"]) == (True, 0)
    assert host.check_output(f"find {Path(path).parent} ! -user vscan") == ""
    # and it goes with the quarantine, when that is asked for
    assert play("remove", "--limit", limit(host), filter_stack_remove_quarantine=True).code == 0
    assert not kept.exists
