# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What docs/engines.md says of amavisd-new where it differs from the bundled daemon, or could be thought to."""

from __future__ import annotations

import json
import smtplib
import uuid

from mailhost import MailHost, wait_for
from testinfra.host import Host

INSTANCES = 3

IDLE = """
import socket, sys, time
clients = [socket.create_connection(("127.0.0.1", 10024)) for _ in range(int(sys.argv[1]))]
print(all(client.recv(1000).startswith(b"220") for client in clients), flush=True)
late = socket.create_connection(("127.0.0.1", 10024))
late.settimeout(3)
try:
    print(late.recv(1000)[:3], flush=True)
except socket.timeout:
    print("nothing", flush=True)
"""

RESTART = """
import json, socket, subprocess, time
began = time.monotonic()
restart = subprocess.Popen(["systemctl", "restart", "amavis.service"])
refused, last, good = 0, began, 0
while good < 20:
    try:
        with socket.create_connection(("127.0.0.1", 10024), timeout=5) as client:
            greeted = client.recv(1000).startswith(b"220")
    except OSError:
        greeted = False
    if greeted and restart.poll() is not None:
        good += 1
    elif not greeted:
        refused, last, good = refused + 1, time.monotonic(), 0
    time.sleep(0.02)
print(json.dumps({"refused": refused, "seconds": last - began}))
"""


def test_n_idle_clients_keep_the_next_one_waiting(host: Host, mail: MailHost) -> None:
    assert host.check_output("python3 -c %s %s", IDLE, str(INSTANCES)).split() == ["True", "nothing"]
    token, content = mail.message()
    mail.send(content)
    mail.wait_delivered(token)


def test_long_header_lines_and_odd_folding_come_through(mail: MailHost) -> None:
    token = uuid.uuid4().hex
    fields = b"X-Long: " + b"x" * 1900 + b"\r\nX-Folded: a\r\n \r\n\tb\r\n"
    header = b"From: tester@example.org\r\nTo: alice@example.com\r\nSubject: %s\r\n" % token.encode()
    mail.send(header + fields + b"\r\nHello.\r\n")
    assert fields.replace(b"\r\n", b"\n") in mail.wait_delivered(token)


def test_mail_in_many_languages_comes_through(mail: MailHost) -> None:
    token = uuid.uuid4().hex
    text = f"From: tester@example.org\r\nTo: alice@example.com\r\nSubject: {token} Grüße\r\n\r\nGrüße, 你好\r\n"
    with smtplib.SMTP(mail.address, 25, timeout=60) as client:
        client.ehlo("client.example.org")
        client.mail("tester@example.org", ["SMTPUTF8", "BODY=8BITMIME"])
        client.rcpt("alice@example.com")
        assert client.data(text.encode())[0] == 250
    assert text.partition("\r\n\r\n")[2].replace("\r\n", "\n").encode() in mail.wait_delivered(token)


def test_a_restart_refuses_connections_for_a_moment_and_loses_nothing(host: Host, mail: MailHost) -> None:
    token, content = mail.message()
    gap = json.loads(host.check_output("python3 -c %s", RESTART))
    mail.send(content)
    print(f"{mail.name}: connections refused for {gap['seconds']:.1f} s ({gap['refused']} tries)")
    assert gap["refused"] > 0
    assert gap["seconds"] < 30
    wait_for("an empty queue", mail.flush, seconds=120)
    mail.wait_delivered(token)
