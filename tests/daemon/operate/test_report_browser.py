# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report in a real browser, without network: complete, nothing beside the page, and it prints."""

from __future__ import annotations

import fcntl
import importlib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from ansible_collections.mailops.filter_stack.plugins.filter.report_page import report_page
from harness.client import lmtp

#: It installs Chromium where it is missing.
pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[3]
# for the hosts of the unit tests
sys.path.insert(0, str(ROOT))
#: Says in the page itself whether anything is wider than the window.
_MEASURE = """<script>addEventListener("load", () => {
  const wide = [...document.querySelectorAll("body *")].filter(e => e.getBoundingClientRect().right > innerWidth + 1);
  document.body.insertAdjacentHTML("beforeend", "<output>" + wide.length + " too wide, " +
    performance.getEntriesByType("resource").length + " fetched</output>");
})</script>"""


@pytest.fixture(scope="module")
def browser() -> str:
    """Chromium, and pdftotext(1) to read what it printed."""
    with open("/tmp/filter-stack-unit-tests.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (shutil.which("chromium") and shutil.which("pdftotext")):
            sudo = [] if os.geteuid() == 0 else ["sudo", "-n"]
            environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
            for command in (
                ["update"],
                ["install", "--yes", "--no-install-recommends", "chromium", "fonts-dejavu-core", "poppler-utils"],
            ):
                subprocess.run([*sudo, "apt-get", "--quiet", *command], check=True, env=environment)
    return "chromium"


def run(browser: str, directory: Path, *arguments: str) -> bytes:
    command = [browser, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={directory / 'profile'}"]
    # No network: every name leads nowhere.
    command += ["--host-resolver-rules=MAP * ~NOTFOUND", "--virtual-time-budget=2000"]
    done = subprocess.run([*command, *arguments], capture_output=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_page_takes_what_a_daemon_says(start_daemon):
    daemon = start_daemon()
    lmtp(daemon.address)
    told = json.loads(daemon.run("status", "--json").stdout)
    check = json.loads(daemon.run("check", "--json").stdout)
    hosts = importlib.import_module("tests.unit.plugins.filter.report_hosts")
    assert set(hosts.status()) <= set(told)
    page = report_page([hosts.host("mx.example.com", status=told, check=check)], told["running"]["since"] + 5)
    # in the words of the screen
    for part in ("messages", "scratch", "quarantine"):
        assert told[part]["words"] in page
        # rates change from one look to the next
        assert told[part]["words"].split(";")[0] in daemon.run("status").stdout.decode()
    assert told["running"]["code"] in page


@pytest.mark.parametrize("count", [1, 20])
@pytest.mark.parametrize("width", [1200, 420])
def test_the_page_is_complete(browser, tmp_path, count, width):
    hosts = importlib.import_module("tests.unit.plugins.filter.report_hosts")
    names = [f"mx{number}.example.com" for number in range(count)]
    page = report_page([hosts.host(name) for name in names], hosts.NOW)
    (tmp_path / "page.html").write_text(page.replace("</body>", _MEASURE + "</body>"))
    found = run(browser, tmp_path, f"--window-size={width},2000", "--dump-dom", f"file://{tmp_path}/page.html").decode()
    assert "<output>0 too wide, 0 fetched</output>" in found, re.findall("<output>.*</output>", found)
    assert all(f"<h3>{name}</h3>" in found for name in names)
    # and it prints, on more sheets for more hosts
    (tmp_path / "page.html").write_text(page)
    run(browser, tmp_path, f"--print-to-pdf={tmp_path / 'page.pdf'}", f"file://{tmp_path}/page.html")
    sheets = len(re.findall(rb"/Type\s*/Page\b", (tmp_path / "page.pdf").read_bytes()))
    assert 1 <= sheets <= 1 + count
    printed = subprocess.run(["pdftotext", "-layout", tmp_path / "page.pdf", "-"], capture_output=True, check=True)
    words = printed.stdout.decode().split()
    # in the drawing on both sides, and above its own figures
    assert [words.count(name) for name in names] == [3] * count
    assert words.count("Probed") == count
