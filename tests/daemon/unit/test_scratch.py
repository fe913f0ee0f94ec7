# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Scratch: a message comes back byte for byte, stays within its budget, and what is in use is never stale."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filterd import scratch
from filterd.scratch import Budget, BudgetExceeded, MemoryAccount, ScratchFull, Spool, head_limit

BIG = 1 << 30


def spool(directory, head: int = 10, memory: int = BIG, budget: int = BIG) -> tuple[Spool, MemoryAccount]:
    account = MemoryAccount(memory)
    return Spool(str(directory), head, account, Budget(budget)), account


class TestSpool:
    @given(st.lists(st.binary(max_size=20), max_size=20), st.integers(0, 40), st.integers(0, 100), st.integers(0, 100))
    def test_gives_back_what_it_took(self, tmp_path_factory, pieces, head, memory, budget):
        # Given any limits of memory and scratch, then nothing is lost or changed, and scratch stays within the budget.
        one, account = spool(tmp_path_factory.getbasetemp(), head, memory, budget)
        for piece in pieces:
            one.append(piece)
        whole = b"".join(pieces)
        assert one.size == len(whole)
        assert b"".join(one.chunks()) == whole
        assert b"".join(one.chunks()) == whole  # again: the scanner and the next hop each read it
        assert one.head(7) == whole[:7]
        assert one.budget.used <= budget
        one.close()
        assert account.used == 0
        assert one.size == 0

    def test_small_messages_stay_in_memory(self, tmp_path):
        one, account = spool(tmp_path)
        one.append(b"0123456789")
        assert one.in_memory
        assert account.used == 10
        one.append(b"x")
        assert not one.in_memory
        assert account.used == 10
        one.close()

    def test_without_memory_everything_goes_to_scratch(self, tmp_path):
        one, account = spool(tmp_path, memory=0)
        assert one.wants_scratch(1)
        one.append(b"x")
        assert not one.in_memory
        assert account.used == 0
        one.close()

    def test_keeps_as_much_again_of_what_was_decoded_and_gives_it_back(self, tmp_path):
        kept, memory = spool(tmp_path, head=10, memory=16)
        assert kept.keep(6)
        assert memory.used == 6
        assert not kept.keep(5), "more than a message may have"
        assert memory.used == 0
        kept.append(b"123456789")
        assert kept.keep(7)
        assert not kept.keep(1), "more than all messages may have"
        assert memory.used == 9
        assert kept.keep(3)
        kept.close()
        assert memory.used == 0

    def test_files_have_no_name(self, tmp_path):
        one, _ = spool(tmp_path, head=0)
        one.append(b"x" * 100)
        assert os.listdir(tmp_path) == []
        one.close()

    def test_pieces_are_of_bounded_size(self, tmp_path):
        one, _ = spool(tmp_path, head=0)
        one.append(b"x" * 1_000_000)
        assert max(len(piece) for piece in one.chunks()) <= 65536
        one.close()

    def test_a_missing_directory_is_no_space(self, tmp_path):
        one, account = spool(tmp_path / "missing", head=0)
        with pytest.raises(ScratchFull, match="missing: No such file"):
            one.append(b"x")
        one.close()
        assert account.used == 0

    @pytest.mark.parametrize("limit", [1, 8, 1000, 10240000])
    @pytest.mark.parametrize("share", [7 / 8, 1, 3 * 7 / 8])
    def test_the_largest_message_fits(self, tmp_path, limit, share):
        # Given the budget for f from 0 on and pieces as they come from a socket, then a message of the limit is taken.
        budget = int(limit * share)
        one, account = spool(tmp_path, head_limit(4096, limit, budget), BIG, budget)
        for start in range(0, limit, 262144):
            one.append(b"x" * min(262144, limit - start))
        assert one.size == limit
        assert one.budget.used <= budget
        assert account.used <= max(4096, limit - budget) + 2 * 262144
        one.close()


class TestBudget:
    def test_says_what_was_wanted(self):
        budget = Budget(10)
        budget.take(10)
        with pytest.raises(BudgetExceeded, match="11 bytes of scratch wanted, 10 allowed"):
            budget.take(1)


@pytest.fixture
def old():
    """Makes files that look old: everything is older than -1 seconds."""

    def clean(directory) -> list[str]:
        return scratch.clean(str(directory), -1)

    return clean


class TestClean:
    def test_what_nobody_uses_goes(self, tmp_path, old):
        (tmp_path / "file").write_text("x")
        (tmp_path / "tree" / "sub").mkdir(parents=True)
        (tmp_path / "tree" / "sub" / "file").write_text("x")
        (tmp_path / "link").symlink_to("/etc/passwd")
        os.mkfifo(tmp_path / "fifo")
        assert old(tmp_path) == ["fifo", "file", "link", "tree"]
        assert os.listdir(tmp_path) == []
        assert os.path.exists("/etc/passwd")

    def test_what_is_young_stays(self, tmp_path):
        (tmp_path / "file").write_text("x")
        assert scratch.clean(str(tmp_path), 60) == []

    def test_a_young_file_keeps_its_tree(self, tmp_path):
        (tmp_path / "tree").mkdir()
        os.utime(tmp_path / "tree", (0, 0))
        (tmp_path / "tree" / "file").write_text("x")
        assert scratch.clean(str(tmp_path), 60) == []

    def test_what_is_open_stays(self, tmp_path, old):
        (tmp_path / "tree").mkdir()
        with open(tmp_path / "tree" / "file", "w"):
            assert old(tmp_path) == []
        assert old(tmp_path) == ["tree"]

    def test_what_another_process_works_in_stays(self, tmp_path, old):
        (tmp_path / "tree").mkdir()
        with subprocess.Popen(
            [sys.executable, "-c", "print(flush=True); input()"],
            cwd=tmp_path / "tree",
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        ) as process:
            assert process.stdout is not None
            process.stdout.readline()
            assert old(tmp_path) == []
            process.communicate(b"\n")
        assert old(tmp_path) == ["tree"]

    def test_what_is_locked_stays(self, tmp_path, old):
        (tmp_path / "tree").mkdir()
        descriptor = os.open(tmp_path / "tree", os.O_RDONLY)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        assert old(tmp_path) == []
        os.close(descriptor)
        assert old(tmp_path) == ["tree"]

    def test_a_missing_directory_is_an_error(self, tmp_path):
        with pytest.raises(OSError, match="No such file"):
            scratch.clean(str(tmp_path / "missing"), 0)


class TestPrepare:
    def test_makes_a_private_directory(self, tmp_path):
        scratch.prepare_directory(str(tmp_path / "new" / "scratch"))
        assert os.listdir(tmp_path / "new" / "scratch") == []
        assert (tmp_path / "new" / "scratch").stat().st_mode & 0o027 == 0

    def test_proves_that_it_can_be_written_to(self, tmp_path):
        (tmp_path / "file").write_text("x")
        with pytest.raises(OSError, match=r"Not a directory|File exists"):
            scratch.prepare_directory(str(tmp_path / "file"))
