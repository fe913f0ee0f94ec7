# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""ClamAV as a service: limits, databases that change while mail flows, freshclam, no databases.

In this order, as the last ones take away what the first ones need.
"""

from __future__ import annotations

import hashlib
import os
import re
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from load import Load
from mailhost import EICAR, MailHost, wait_for
from plays import Play, play
from testinfra.host import Host

MIRROR = "mirror.example.com"
FRESHCLAM = "/etc/clamav/freshclam.conf"
CLAMD = "/etc/clamav/clamd.conf"
OWN = Path(__file__).parents[2] / "resources/clamav/filter-stack-test.hdb"


def clamav(**variables: Any) -> Play:
    return play("site", "--tags", "filter_clamav", **variables)


def succeeds(**variables: Any) -> Play:
    done = clamav(**variables)
    assert done.code == 0, done.output
    return done


def signature(content: bytes, name: str) -> str:
    """A line of an .hdb database: the file's MD5, its size, a name."""
    return f"{hashlib.md5(content).hexdigest()}:{len(content)}:{name}\n"


def settings(host: Host, path: str) -> dict[str, str]:
    lines = host.file(path).content_string.splitlines()
    return dict(line.split(None, 1) for line in lines if line.strip() and not line.startswith("#"))


def names(mail: MailHost, sender: str) -> set[str]:
    """What was found in mail from this sender that is in quarantine."""
    return {finding["name"] for entry in mail.quarantined(sender) for finding in entry["findings"]}


def found(mail: MailHost, attachment: bytes) -> set[str]:
    """Send it, wait until it is in quarantine, and say what was found."""
    sender = f"{uuid.uuid4().hex}@example.org"
    token, content = mail.message(attachment)
    mail.send(content, sender=sender)
    wait_for("the quarantine", lambda: names(mail, sender))
    assert mail.delivered(token) == []
    return names(mail, sender)


def test_the_limits_fit_the_largest_message(host: Host) -> None:
    limits = settings(host, CLAMD)
    megabytes = -(-150000000 // 2**20)
    assert int(limits["StreamMaxLength"].rstrip("M")) >= megabytes + 1
    assert int(limits["MaxFileSize"].rstrip("M")) >= megabytes + 1
    assert int(limits["MaxScanSize"].rstrip("M")) >= 3 * 150000000 / 2**20
    assert limits["AlertExceedsMax"] == "true"
    assert int(limits["MaxThreads"]) >= 2
    # and clamd takes more than its own limit, 100 MiB
    assert host.check_output("python3 -c %s", SCAN_LARGE) == "stream: OK"


def test_what_is_over_a_limit_is_not_called_clean(mail: MailHost) -> None:
    succeeds(filter_clamav_settings={"MaxFileSize": "1M"})
    assert any("Limits.Exceeded" in name for name in found(mail, os.urandom(2_000_000)))
    succeeds()


def test_new_databases_are_read_without_a_gap(host: Host, mail: MailHost, tmp_path: Path) -> None:
    # Given databases that take clamd a moment to read, and one more signature with each change
    many = "".join(signature(b"%d" % number, f"Nothing-{number}") for number in range(200_000))
    viruses = [os.urandom(1000) for _ in range(5)]
    database = tmp_path / "changing.hdb"
    started = host.check_output("systemctl show -P ExecMainStartTimestampMonotonic clamav-daemon.service")
    since = host.check_output("date '+%F %T'")
    load = Load(mail)
    with load.running(pause=0.3):
        for number, virus in enumerate(viruses):
            many += signature(virus, f"Changing-{number}")
            database.write_text(many)
            # when it is changed while mail flows
            assert succeeds(filter_clamav_database_files=[str(OWN), str(database)]).changed > 0
            # then clamd knows it soon,
            wait_for("the new signatures", lambda virus=virus: "UNOFFICIAL" in scan(host, virus))
    # and nothing was lost or late
    account = load.account()
    print(account)
    assert "lost 0" in account
    assert load.errors == {}
    assert "status=deferred" not in host.check_output(f"journalctl --no-pager -o cat -u 'postfix*' --since '{since}'")
    assert host.check_output("systemctl show -P ExecMainStartTimestampMonotonic clamav-daemon.service") == started
    # and a database that is no longer listed goes
    succeeds()
    wait_for("the old signatures", lambda: "OK" in scan(host, viruses[0]))


SCAN = """
import socket, struct, sys
content = bytes.fromhex(sys.argv[1])
clamd = socket.socket(socket.AF_UNIX)
clamd.connect("/run/clamav/clamd.ctl")
clamd.sendall(b"zINSTREAM\\0" + struct.pack("!I", len(content)) + content + struct.pack("!I", 0))
print(clamd.recv(1000).decode())
"""


SCAN_LARGE = """
import socket, struct
clamd = socket.socket(socket.AF_UNIX)
clamd.connect("/run/clamav/clamd.ctl")
clamd.sendall(b"zINSTREAM\\0")
for _ in range(120):
    clamd.sendall(struct.pack("!I", 1 << 20) + bytes(1 << 20))
clamd.sendall(struct.pack("!I", 0))
print(clamd.recv(1000).decode().rstrip(chr(0)))
"""


def scan(host: Host, content: bytes) -> str:
    """What clamd itself says of a file."""
    return host.check_output("python3 -c %s %s", SCAN, content.hex())


@pytest.fixture
def proxy(host: Host) -> Iterator[str]:
    """A proxy on the host, with a mirror behind it that serves /root/mirror.hdb; its unit's name."""
    host.check_output("printf %%s %s >/root/proxy.py", (Path(__file__).parent / "proxy.py").read_text())
    host.check_output("systemd-run --unit=proxy python3 -u /root/proxy.py 3128 /root/mirror.hdb")
    wait_for("the proxy", lambda: host.socket("tcp://127.0.0.1:3128").is_listening)
    yield "proxy.service"
    host.check_output("systemctl stop proxy.service")


def test_freshclam_gets_a_database_through_the_proxy_and_clamd_reads_it(host: Host, mail: MailHost, proxy: str) -> None:
    before = host.file(FRESHCLAM).content
    virus = os.urandom(1000)
    host.check_output("printf %%s %s >/root/mirror.hdb", signature(virus, "From-The-Mirror"))
    through = {
        "filter_clamav_private_mirrors": [f"http://{MIRROR}"],
        "filter_clamav_proxy_server": "127.0.0.1",
        "filter_clamav_proxy_username": "fresh",
        "filter_clamav_proxy_password": "s3cret",
    }
    excluded = {"ExcludeDatabase": ["daily", "main", "bytecode"], "DatabaseCustomURL": f"http://{MIRROR}/own.hdb"}
    # Given mail that flows
    load = Load(mail)
    with load.running(pause=0.3):
        # when freshclam is told of the mirror and the proxy
        done = succeeds(**through, filter_clamav_freshclam_settings=excluded)
        assert "s3cret" not in done.output
        # then it asks them, as the user that it should be, without anybody calling it
        wait_for("freshclam", lambda: "asked for /own.hdb" in says(host, proxy), seconds=120)
        assert f"tunnel to {MIRROR}:80 for fresh:s3cret" in says(host, proxy)
        # and clamd reads what it got
        wait_for("the new signature", lambda: "From-The-Mirror" in scan(host, virus), seconds=120)
    account = load.account()
    print(account)
    assert "lost 0" in account
    assert load.errors == {}
    # and nobody else reads the password
    assert host.file(FRESHCLAM).mode == 0o400
    assert host.file(FRESHCLAM).user == "clamav"
    # the same again changes nothing
    assert succeeds(**through, filter_clamav_freshclam_settings=excluded).changed == 0
    # Without them, freshclam asks for the official databases, and all is as it was
    succeeds(**through)
    wait_for("freshclam", lambda: re.search(r"asked for /(daily|main)\.c", says(host, proxy)), seconds=120)
    succeeds()
    assert host.file(FRESHCLAM).content == before
    host.check_output("rm /var/lib/clamav/own.hdb")


def says(host: Host, unit: str) -> str:
    return host.check_output(f"journalctl --no-pager -o cat -u {unit}")


#: freshclam gets nothing here: the port is closed.
NOWHERE = {
    "filter_clamav_database_files": [],
    "filter_clamav_database_wait": 10,
    "filter_clamav_memory_minimum": 100,
    "filter_clamav_private_mirrors": ["http://127.0.0.1:9"],
}


def test_without_any_database_the_play_says_so_and_mail_is_scanned_as_before(host: Host, mail: MailHost) -> None:
    # Given a host whose own databases are taken out of the inventory, and that reaches no mirror
    done = clamav(**NOWHERE)
    # then the play fails with freshclam's words and what can be done
    said = " ".join(done.output.split())
    assert done.code != 0
    assert "ClamAV has no signature databases in /var/lib/clamav" in said
    assert "0 of 2 (main, daily)" in said
    assert "give databases of your own (filter_clamav_database_files)" in said
    assert re.search("It says: .*127.0.0.1", said), said
    # and clamd keeps those that it has, also when it is started again
    host.check_output("systemctl restart clamav-daemon.service")
    token, content = mail.message()
    mail.send(content)
    mail.wait_delivered(token, seconds=120)
    assert "Eicar-Test-Signature.UNOFFICIAL FOUND" in scan(host, EICAR)
    succeeds()


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        (
            {"filter_clamav_database_files": [], "filter_clamav_memory_minimum": 10**7},
            "filter_clamav_memory_minimum asks for 10000000 MiB, and the scratch tmpfs takes up to",
        ),
        ({"filter_clamav_database_files": ["/nowhere/x.hdb"]}, "names /nowhere/x.hdb, which is not a file on the"),
        ({"filter_clamav_memory_minimum": "much"}, "filter_clamav_memory_minimum"),
        ({"filter_clamav_message_size_limit": 0}, "it takes a number of bytes, 1 or more"),
        ({"filter_clamav_private_mirrors": ["http://mirror example.com"]}, "holds 'http://mirror example.com'"),
    ],
    ids=["memory", "file", "number", "limit", "mirror"],
)
def test_a_wrong_choice_is_refused_before_the_host_is_touched(
    host: Host, variables: dict[str, Any], words: str
) -> None:
    done = clamav(**variables)
    assert done.code != 0
    assert words in " ".join(done.output.split()), done.output
    assert done.changed == 0


def test_removal_puts_both_files_back_and_stops_it(host: Host) -> None:
    first = host.file("/var/lib/filter-stack/clamd.conf").content
    assert host.file(CLAMD).content != first
    succeeds(filter_clamav_private_mirrors=["http://127.0.0.1:9"])
    done = play("remove")
    assert done.code == 0, done.output
    assert "PrivateMirror" not in settings(host, FRESHCLAM)
    assert host.file(CLAMD).content == first
    assert host.file(FRESHCLAM).mode == 0o444
    for unit in ("clamav-daemon.service", "clamav-daemon.socket", "clamav-freshclam.service"):
        assert not host.service(unit).is_running
    assert host.run("ls /var/lib/clamav/filter-stack-*").rc != 0


def test_too_little_memory_and_no_database_are_told_on_a_plain_host(host: Host, mail: MailHost) -> None:
    # Given a host that has nothing of it any more
    host.check_output("DEBIAN_FRONTEND=noninteractive apt-get -q -y purge 'clamav*'")
    done = play("site", filter_clamav_database_files=[], filter_clamav_memory_minimum=10**7)
    # then nothing is installed on one with too little memory
    assert done.code != 0
    assert "would make it swap" in " ".join(done.output.split())
    assert done.changed == 0
    assert not host.package("clamav-daemon").is_installed
    # and nothing is switched over on one that gets no databases, so that mail flows as before
    done = play("site", **NOWHERE)
    assert done.code != 0
    assert "ClamAV has no signature databases" in " ".join(done.output.split())
    assert host.check_output("postconf -hx content_filter") == ""
    token, content = mail.message()
    mail.send(content)
    mail.wait_delivered(token)
