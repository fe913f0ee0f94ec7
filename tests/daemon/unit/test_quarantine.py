# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The quarantine on disk: whole or not there, private, and read back exactly."""

from __future__ import annotations

import errno
import json
import os
import stat
import subprocess
import sys

import pytest

from filterd import quarantine
from filterd.findings import Finding
from filterd.quarantine import QuarantineError
from filterd.smtp.esmtp import Envelope, Recipient

ENVELOPE = Envelope(
    "ü\udcff@example.com",
    {"SMTPUTF8": "", "ENVID": "x"},
    [Recipient("b@example.com", {"NOTIFY": "NEVER"}), Recipient("c@example.com", {})],
    {"IDENT": "4FQB"},
    True,
    "client.example.com",
)
FINDINGS = [Finding("virus", "Test.Virus", "clamd")]
PIECES = [b"Subject: x\r\n", b"\r\n", b"\0\xff" * 100000, b"\r\n"]


def store(directory, pieces=PIECES, message_id="0123456789") -> str:
    return quarantine.store(str(directory), message_id, ENVELOPE, FINDINGS, pieces)


@pytest.fixture(params=["nameless files", "no nameless files"])
def directory(request, tmp_path, monkeypatch):
    """On a file system that can have files without a name (O_TMPFILE), and on one that cannot."""
    real = os.open

    def refusing(path, flags, *arguments, **options):
        if flags & os.O_TMPFILE == os.O_TMPFILE:
            raise OSError(errno.EOPNOTSUPP, "Operation not supported")
        return real(path, flags, *arguments, **options)

    if request.param == "no nameless files":
        monkeypatch.setattr(os, "open", refusing)
    return tmp_path


class TestStore:
    def test_what_is_stored_is_read_back(self, directory):
        quarantine_id = store(directory)
        entry = quarantine.find(str(directory), quarantine_id)
        assert b"".join(quarantine.content(entry)) == b"".join(PIECES)
        assert entry.data["findings"] == [FINDINGS[0]._asdict()]
        assert entry.data["xforward"] == {"IDENT": "4FQB"}
        # Released mail goes to an SMTP server, and XFORWARD attributes are of the past.
        assert entry.envelope() == ENVELOPE._replace(xforward={}, lmtp=False, client_name="")

    def test_the_id_sorts_by_time_and_names_the_message(self, directory):
        quarantine_id = store(directory)
        assert quarantine_id.endswith("Z-0123456789")
        assert os.listdir(directory) == [quarantine_id + ".msg"]

    @pytest.mark.parametrize("mask", [0o000, 0o022, 0o077])
    def test_the_mode_does_not_depend_on_the_umask(self, directory, mask):
        before = os.umask(mask)
        try:
            quarantine_id = store(directory)
        finally:
            os.umask(before)
        assert stat.S_IMODE((directory / f"{quarantine_id}.msg").stat().st_mode) == 0o640

    def test_nothing_is_left_when_it_fails(self, directory):
        def pieces():
            yield b"half"
            raise OSError(28, "No space left on device")

        with pytest.raises(OSError, match="No space"):
            store(directory, pieces())
        assert os.listdir(directory) == []

    def test_nothing_is_left_when_the_process_is_killed(self, tmp_path):
        program = (
            "import os, signal, sys; sys.path.insert(0, sys.argv[1])\n"
            "from filterd import quarantine; from filterd.smtp.esmtp import Envelope\n"
            "def pieces():\n"
            "    yield b'half' * 100000\n"
            "    os.kill(os.getpid(), signal.SIGKILL)\n"
            "quarantine.store(sys.argv[2], '0123456789', Envelope('', {}, [], {}, True, ''), [], pieces())\n"
        )
        package = os.path.dirname(os.path.dirname(quarantine.__file__))
        killed = subprocess.run([sys.executable, "-c", program, package, str(tmp_path)], check=False, timeout=30)
        assert killed.returncode == -9
        assert os.listdir(tmp_path) == []

    def test_a_missing_directory_is_an_error(self, tmp_path):
        with pytest.raises(OSError, match="No such file"):
            store(tmp_path / "missing")


class TestFind:
    @pytest.mark.parametrize(
        "name", ["", "x", "../etc/passwd", "20261122T180000Z-", "20261122T180000Z-a/b", "20261122T180000Z-a\n"]
    )
    def test_what_is_no_id(self, tmp_path, name):
        with pytest.raises(QuarantineError, match="is no quarantine id; one looks like"):
            quarantine.find(str(tmp_path), name)

    def test_what_is_not_there(self, tmp_path):
        with pytest.raises(QuarantineError, match=f"20261122T180000Z-a: not in {tmp_path}"):
            quarantine.find(str(tmp_path), "20261122T180000Z-a")

    @pytest.mark.parametrize(
        "line",
        [
            b"",
            b"\xff\xfe\n",
            b"{}\n",
            b"[]\n",
            b"[" * 100000,
            b'{"format": 2}\n',
            b'{"format": 1}\n',
            b'{"format": 1, "time": 1, "sender": "", "parameters": {}, "recipients": [1], "findings": []}\n',
            b'{"format": 1, "time": 1, "sender": "", "parameters": {}, "recipients": [{}], "findings": []}\n',
            b'{"format": 1, "time": "x", "sender": "", "parameters": {}, "recipients": [], "findings": []}\n',
        ],
    )
    def test_what_is_not_ours(self, tmp_path, line):
        path = tmp_path / "20261122T180000Z-a.msg"
        path.write_bytes(line + b"Subject: x\r\n")
        with pytest.raises(QuarantineError, match="is not a quarantined message of format 1"):
            quarantine.find(str(tmp_path), "20261122T180000Z-a")

    def test_the_list_leaves_out_what_is_not_ours(self, tmp_path):
        (tmp_path / "20261122T180000Z-a.msg").write_bytes(b"broken")
        (tmp_path / "notes.msg").write_bytes(b"x")
        (tmp_path / ".20261122T180000Z-b.1").write_bytes(b"x")
        one, two = store(tmp_path, message_id="aaa"), store(tmp_path, message_id="bbb")
        assert [entry.quarantine_id for entry in quarantine.entries(str(tmp_path))] == [one, two]

    def test_delete(self, tmp_path):
        entry = quarantine.find(str(tmp_path), store(tmp_path))
        quarantine.delete(entry)
        assert os.listdir(tmp_path) == []

    def test_the_first_line_is_plain_json(self, tmp_path):
        line = (tmp_path / f"{store(tmp_path)}.msg").read_bytes().split(b"\n")[0]
        assert line.isascii()
        assert json.loads(line)["recipients"][0] == {"address": "b@example.com", "parameters": {"NOTIFY": "NEVER"}}
