# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The pipe(8) program: mail is sent on intact or stays in the queue, whatever goes wrong; nothing is left."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from harness.behaviour import wait_until
from harness.disclaimer import Program

LETTER = b"From: Anna <anna@example.com>\nSubject: x\n\nHello\n"
BOTH = pytest.mark.parametrize("name", ["bundled", "altermime"])


def slow_down(made: Program, name: str, here: Path) -> None:
    """Let it take a second over adding the text, and make the file `here` when it is about to."""
    if name == "altermime":
        slow = made.home / "altermime"
        slow.write_text(f'#!/bin/sh\ntouch {here}\nsleep 1\nexec /usr/bin/altermime "$@"\n')
        slow.chmod(0o755)
        made.configure(altermime=str(slow))
        return
    line = "    from filterd.disclaimer.program import main\n"
    slower = f"""
    from filterd.disclaimer import bundled
    real = bundled.apply
    bundled.apply = lambda *given: (open({str(here)!r}, "w").close(), time.sleep(1), real(*given))[2]
"""
    made.script.write_text(made.script.read_text().replace(line, line + slower))


@BOTH
class TestBothPrograms:
    def test_a_letter_goes_on_with_its_text(self, program, name):
        message = program(name).through(LETTER)
        assert b"X-Filter-Disclaimer: added by filter-stack at localhost\n" in message
        assert message.count(b"Dies ist vertraulich.") == 1
        assert b"\n\nHello\n" in message

    def test_both_header_fields_are_added(self, program, name):
        message = program(name, header="X-Terms: https://www.example.com/terms", hostname="mx.example.com").through(
            LETTER
        )
        assert b"\nX-Terms: https://www.example.com/terms\n" in message
        assert b"X-Filter-Disclaimer: added by filter-stack at mx.example.com\n" in message

    def test_a_second_time_nothing_is_added(self, program, name):
        made = program(name)
        message = made.through(LETTER)
        assert made.through(message) == message

    @pytest.mark.parametrize(
        "address",
        [
            *(
                "$(touch /tmp/x)@example.com",
                '"a b;\'`|>"@example.com',
                "-oQ/tmp@example.com",
                "a\\b@example.com",
                "ä@ö.example",
            )
        ],
    )
    def test_addresses_reach_sendmail_as_they_are(self, program, name, address):
        made = program(name)
        assert made.run(LETTER, address, address, "bob@example.org").returncode == 0
        assert made.arguments() == [["-G", "-i", "-f", address, "--", address, "bob@example.org"]]

    def test_a_line_with_one_dot_and_lines_with_dots(self, program, name):
        message = program(name).through(LETTER + b".\n..\nend\n")
        assert b"\nHello\n.\n..\nend\n" in message

    def test_a_null_sender_stays_one_and_gets_no_text(self, program, name):
        made = program(name)
        made.run(LETTER, "")
        assert made.arguments() == [["-G", "-i", "-f", "<>", "--", "bob@example.org"]]
        assert made.messages() == [LETTER]

    @pytest.mark.parametrize("status", [1, 64, 65, 67, 69, 70, 71, 73, 75, 77, 78])
    def test_whatever_sendmail_says_the_mail_is_deferred(self, program, name, status):
        made = program(name)
        made.sendmail(after=f"exit {status}")
        result = made.run(LETTER)
        assert result.returncode == 75
        assert f"exit status {status}".encode() in result.stderr

    def test_a_sendmail_that_is_killed(self, program, name):
        made = program(name)
        made.sendmail(before="kill -9 $$")
        assert made.run(LETTER).returncode == 75

    @pytest.mark.parametrize("missing", ["text", "html", "disclaimer.json", "sendmail", "work"])
    def test_a_missing_file_defers(self, program, name, missing):
        made = program(name)
        path = made.home / missing
        path.rename(made.home / "gone")
        result = made.run(LETTER)
        assert result.returncode == 75
        assert str(path).encode() in result.stderr
        assert not made.messages()
        (made.home / "gone").rename(path)
        assert made.through(LETTER)

    @pytest.mark.parametrize("text", [b"\xff\xfe", b"", b"${nonsense}"])
    def test_a_text_that_cannot_be_used_defers(self, program, name, text):
        made = program(name)
        (made.home / "text").write_bytes(text)
        assert made.run(LETTER).returncode == 75
        assert not made.messages()

    @pytest.mark.parametrize("setting", ['{"program": "x"}', "[]", "{", '{"rows": 1}', '{"unknown": true}'])
    def test_a_configuration_that_cannot_be_used_defers(self, program, name, setting):
        made = program(name)
        (made.home / "disclaimer.json").write_text(setting)
        assert made.run(LETTER).returncode == 75

    @pytest.mark.parametrize(
        "words", [[], ["-f"], ["-f", "a@b"], ["-f", "a@b", "--"], ["--", "a@b"], ["-x", "y", "--", "z"]]
    )
    def test_a_command_line_that_makes_no_sense_defers(self, program, name, words):
        made = program(name)
        result = subprocess.run([made.script, *words], input=LETTER, capture_output=True, check=False)
        assert result.returncode == 75

    def test_a_message_that_cannot_be_read_defers(self, program, name):
        made = program(name)
        with open(os.devnull, "w") as unreadable:
            result = subprocess.run(made.command(), stdin=unreadable.fileno(), capture_output=True, check=False)
        assert result.returncode == 75
        assert not made.messages()

    def test_a_full_disk_defers(self, program, name, tmp_path):
        made = program(name)
        small = tmp_path / "small"
        small.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", small], check=True)
        try:
            made.configure(directory=str(small))
            result = made.run(LETTER + b"x" * 70 + b"\n" * 100000)
            assert result.returncode == 75
            assert b"No space left" in result.stderr
            # there is room for the message, and none for the one with the text
            assert made.run(LETTER + b"12345678\n" * 5000).returncode == 75
            assert list(small.iterdir()) == []
        finally:
            subprocess.run(["umount", small], check=True)

    def test_a_message_that_never_ends_is_given_up(self, program, name):
        made = program(name, timeout=1)
        with subprocess.Popen(made.command(), stdin=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            process.stdin.write(LETTER)
            process.stdin.flush()
            assert process.wait(30) == 75
        assert not made.messages()

    def test_without_pipe_the_rest_of_a_message_is_not_taken_for_the_whole(self, program, name, tmp_path):
        made = program(name)
        fifo = tmp_path / "fifo"
        os.mkfifo(fifo)
        # A shell stands for pipe(8): it starts the program and is killed before the message is complete.
        command = " ".join(f"'{word}'" for word in made.command())
        shell = subprocess.Popen(["/bin/sh", "-c", f"{command} < {fifo}; true"])
        with open(fifo, "wb") as message:
            message.write(LETTER)
            message.flush()
            time.sleep(2)  # it has started, and reads
            shell.kill()
            shell.wait()
            time.sleep(0.1)
        time.sleep(1)
        assert not made.messages()
        assert made.left() == []

    @pytest.mark.parametrize("stage", ["reading", "adding", "sending"])
    def test_killed_at_any_stage_it_leaves_nothing_behind(self, program, name, stage, tmp_path):
        made = program(name)
        here = tmp_path / "here"
        if stage == "adding":
            slow_down(made, name, here)
        if stage == "sending":
            made.sendmail(before=f"touch {here}; sleep 1")
        with subprocess.Popen(made.command(), stdin=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            process.stdin.write(LETTER)
            process.stdin.flush()
            if stage == "reading":
                time.sleep(0.3)
            else:
                process.stdin.close()
                wait_until(here.exists, stage, 10)
            process.send_signal(signal.SIGKILL)
            process.wait()
        time.sleep(1.5)
        wait_until(lambda: not made.left(), "the working directory is empty", 10)
        # sendmail(1) had the whole message when it had been started
        whole = made.messages()
        assert len(whole) == (1 if stage == "sending" else 0)
        assert all(message.rstrip().endswith(b"Beispiel GmbH") for message in whole)

    def test_killed_at_any_moment_it_leaves_nothing_behind_and_sends_no_part(self, program, name):
        made = program(name)
        began = time.monotonic()
        expected = made.through(LETTER)
        needed = time.monotonic() - began
        moments = 25
        for moment in range(moments):
            with subprocess.Popen(made.command(), stdin=subprocess.PIPE, stderr=subprocess.PIPE) as process:
                process.stdin.write(LETTER)
                process.stdin.close()
                time.sleep(needed * moment / moments)
                process.send_signal(signal.SIGKILL)
                process.wait()
            wait_until(lambda: not made.left(), "the working directory is empty", 15)
        wait_until(lambda: not list(made.sent.glob("*.part")), "sendmail is done", 10)
        assert set(made.messages()) <= {expected}

    def test_a_loop_is_seen(self, program, name):
        made = program(name)
        received = f"Received: by mx.example.com (Postfix, from userid {os.getuid()})\n\tid 1; today\n".encode()
        assert made.run(received * 2 + LETTER).returncode == 0
        result = made.run(received * 3 + LETTER)
        assert result.returncode == 75
        assert b"content_filter" in result.stderr


def test_each_recipient_gets_the_text_meant_for_him(program):
    made = program(
        rows=[{"recipients": ["intern.example"]}, {"recipients": [".example.org"], "text": "One"}, {"text": "Two"}]
    )
    assert (
        made.run(
            LETTER, "a@example.com", "x@intern.example", "y@a.example.org", "z@b.example.org", "q@example.net"
        ).returncode
        == 0
    )
    assert sorted(arguments[5:] for arguments in made.arguments()) == [
        ["q@example.net"],
        ["x@intern.example"],
        ["y@a.example.org", "z@b.example.org"],
    ]
    ends = sorted(message.rsplit(b"\n", 2)[-2] for message in made.messages())
    assert ends == [b"Hello", b"One", b"Two"]


def test_rows_by_sender_see_through_quotation_marks(program):
    made = program(rows=[{"senders": ["a b@example.com".replace(" ", "_")], "text": "One"}])
    made.run(LETTER, '"a_b"@example.com')
    assert b"One" in made.messages()[0]


def test_eight_bit_mail_is_handed_on_as_such(program):
    made = program()
    made.run(LETTER + "Grüße\n".encode())
    assert "-B8BITMIME" in made.arguments()[0]


class TestAltermime:
    def damaging(self, made: object, what: str) -> None:
        script: Path = made.home / "altermime"
        script.write_text(f"#!/bin/sh\nf=${{1#--input=}}\n{what}\nexit 0\n")
        script.chmod(0o755)
        made.configure(altermime=str(script))

    @pytest.mark.parametrize(
        "what",
        [
            *(": > $f", "head -c 20 $f > $f.x; mv $f.x $f", "rm $f", "kill -11 $$", "sed -i s/AAAA/BBBB/ $f"),
            *(
                "sed -i /--b--/d $f",
                "sed -i s/a.bin/b.bin/ $f",
                "yes | head -c 90000 >> $f",
                "sed -i s/Hello/Hallo/ $f",
            ),
        ],
    )
    def test_damage_is_seen_although_it_exits_0(self, program: Callable[..., object], what: str):
        letter = LETTER.replace(b"\n\n", b"\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\n") + (
            b"--b\nContent-Type: application/octet-stream; name=a.bin\n"
            b"Content-Transfer-Encoding: base64\n\nAAAA\n--b--\n"
        )
        made = program("altermime")
        assert b"AAAA" in made.through(letter)
        self.damaging(made, what)
        assert made.run(letter).returncode == 75
        assert not made.messages()
        assert made.left() == []

    def test_damaged_mail_may_go_on_without_the_text(self, program: Callable[..., object]):
        made = program("altermime", on_damage="pass")
        self.damaging(made, "echo > $f")
        assert made.through(LETTER) == LETTER

    def test_what_is_left_when_all_is_killed_at_once_goes_with_the_next_message(self, program, tmp_path):
        made = program("altermime")
        here = tmp_path / "here"
        slow_down(made, "altermime", here)
        with subprocess.Popen(made.command(), stdin=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            process.stdin.write(LETTER)
            process.stdin.close()
            wait_until(here.exists, "it has started alterMIME", 10)
            # the guardian and alterMIME: its children
            found = subprocess.run(["pgrep", "-P", str(process.pid)], capture_output=True, text=True, check=True)
            # stopped first: nobody may see the others go
            for number in (signal.SIGSTOP, signal.SIGKILL):
                for child in (process.pid, *map(int, found.stdout.split())):
                    os.kill(child, number)
            process.wait()
        assert len(made.left()) == 1
        # What is at work beside it is let alone.
        here.unlink()
        with subprocess.Popen(made.command(), stdin=subprocess.PIPE) as other:
            other.stdin.write(LETTER)
            other.stdin.close()
            wait_until(here.exists, "another one is at work", 10)
            assert made.run(LETTER).returncode == 0
            assert other.wait() == 0
        assert len(made.messages()) == 2
        assert made.left() == []
