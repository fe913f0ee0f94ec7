# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is found inside archives, and where unpacking ends."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import random
import resource
import struct
import subprocess
import tarfile
import threading
import time
import zipfile
from pathlib import Path

import pytest
from harness.archives import (
    gzip_of_zeros,
    nested_zip,
    overlapping_zip,
    packed_by,
    tarred,
    zip_of_many,
    zipped,
)
from harness.clamd import EICAR
from harness.mail import attachment, clamav_files, installed
from hypothesis import given, settings
from hypothesis import strategies as st

from filterd.content import helper
from filterd.content.analysis import Analysis
from filterd.content.limits import Limits, Store
from filterd.content.rules import Rules
from filterd.content.unpack import inspect
from filterd.findings import AMBIGUOUS, BANNED, ENCRYPTED, UNCHECKED, VIRUS
from filterd.keys.content import ContentKeys
from filterd.scratch import Budget

FOUND_EICAR = (VIRUS, "Eicar-Test-Signature")
TREE = {"a.txt": b"text\n" * 100, "run.exe": b"x"}


@pytest.fixture(scope="module", autouse=True)
def unpackers():
    """Archive programs, installed if they are missing."""
    installed("libarchive-tools", Path("/usr/bin/bsdtar"))
    installed("p7zip-full", Path("/usr/bin/7z"))
    helper._programs.cache_clear()


def look(data: bytes, name: str = "a", budget: int = 50_000_000, stop: bool = False, **keys: object):
    """What unpacking a message with this attachment finds. Nothing may stay reserved."""
    content = attachment(data, name)
    pieces = [content[start : start + 65536] for start in range(0, len(content), 65536)]
    analysis = Analysis(Rules.of(ContentKeys(**keys)))  # type: ignore[arg-type]
    for piece in pieces:
        analysis.feed(piece)
    analysis.finish()
    share = Budget(budget)
    flag = threading.Event()
    if stop:
        flag.set()
    found = inspect(analysis, lambda: pieces, share, "/tmp", flag)
    assert share.used == 0
    assert all(len(finding.name) <= 200 and finding.name.isprintable() for finding in found)
    return {(finding.category, finding.name) for finding in found}


def found_in(data: bytes, name: str = "a", **keys: object) -> set[str]:
    return {category for category, _ in look(data, name, **keys)}


class TestForms:
    @pytest.mark.parametrize(
        ("make", "path"),
        [
            (lambda: zipped(TREE), "outer/run.exe"),
            (lambda: zipped(TREE, zipfile.ZIP_STORED), "outer/run.exe"),
            (lambda: zipped(TREE, zipfile.ZIP_BZIP2), "outer/run.exe"),
            (lambda: tarred(TREE), "outer/run.exe"),
            (lambda: tarred(TREE, tar_format=tarfile.GNU_FORMAT), "outer/run.exe"),
            (lambda: tarred(TREE, tar_format=tarfile.USTAR_FORMAT), "outer/run.exe"),
            (lambda: tarred(TREE, "w:gz"), "outer/run.exe"),
            (lambda: tarred(TREE, "w:bz2"), "outer/run.exe"),
            (lambda: tarred(TREE, "w:xz"), "outer/run.exe"),
            (lambda: lzma.compress(tarred(TREE), lzma.FORMAT_ALONE), "outer/run.exe"),
            (lambda: zipped({"inner.zip": zipped(TREE)}), "outer/inner.zip/run.exe"),
            (lambda: zipped({"dir/x.tgz": tarred(TREE, "w:gz")}), "outer/dir/x.tgz/x.tar/run.exe"),
        ],
    )
    def test_names_inside(self, make, path):
        assert look(make(), "outer") == {(BANNED, f"exe ({path})")}

    @pytest.mark.parametrize(
        ("name", "inner"), [("run.exe.gz", "run.exe"), ("run.EXE.BZ2", "run.EXE"), ("a.exe.xz", "a.exe")]
    )
    def test_a_packed_file_has_the_name_of_the_archive(self, name, inner):
        pack = {"gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress}[name.rpartition(".")[2].lower()]
        assert look(pack(b"x"), name) == {(BANNED, f"exe ({name}/{inner})")}

    def test_a_packed_file_has_the_name_that_gzip_wrote(self):
        file = io.BytesIO()
        with gzip.GzipFile("run.exe", "wb", fileobj=file) as packed:
            packed.write(b"x")
        assert look(file.getvalue(), "readme.gz") == {(BANNED, "exe (readme.gz/run.exe)")}

    @pytest.mark.parametrize("name", ["x" * 99 + ".exe", "d/" * 90 + "run.exe", "é" * 150 + ".exe"])
    @pytest.mark.parametrize("tar_format", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
    def test_long_names(self, name, tar_format):
        assert found_in(tarred({name: b"x"}, tar_format=tar_format)) == {BANNED}

    def test_real_types_inside(self):
        program = clamav_files()["clam.exe"]
        assert look(zipped({"readme.txt": program}), "a.zip") == {
            (BANNED, "application/x-msdownload (a.zip/readme.txt)")
        }

    @pytest.mark.parametrize("pad", [0, 100_000])
    @pytest.mark.parametrize(
        "pack",
        [
            lambda data: zipped({"a.txt": data}),
            lambda data: zipped({"b.gz": gzip.compress(data)}),
            lambda data: tarred({"a": data}, "w:bz2"),
            lzma.compress,
            lambda data: gzip.compress(b"first member") + gzip.compress(data),
        ],
    )
    def test_the_test_pattern_inside(self, pack, pad):
        noise = random.Random(1).randbytes(pad)
        assert look(pack(noise + EICAR + noise)) == {FOUND_EICAR}

    def test_large_archives_go_through_scratch(self):
        data = zipped({"a": random.Random(1).randbytes(2_000_000), "run.exe": b"x"})
        assert look(data, "a.zip") == {(BANNED, "exe (a.zip/run.exe)")}

    def test_garbage_behind_an_archive_is_no_damage(self):
        assert look(gzip.compress(b"x") + b"\0" * 1000 + b"garbage") == set()
        assert look(tarred({"a": b"x"}) + b"garbage") == set()

    def test_ordinary_archives_say_nothing(self):
        files = {
            f"dir/file{number}.txt": random.Random(number).randbytes(10_000).hex().encode() for number in range(50)
        }
        assert look(zipped(files)) == set()
        assert look(tarred(files, "w:gz")) == set()


class TestHelpers:
    @pytest.mark.parametrize(
        "file", ["clam.7z", "clam.arj", "clam.cab", "clam.newc.cpio", "clam.odc.cpio", "clam.bin-be.cpio"]
    )
    @pytest.mark.parametrize("program", ["7z", "bsdtar"])
    def test_other_forms(self, monkeypatch, file, program):
        if file == "clam.arj" and program == "bsdtar":
            return  # it does not know this form
        path = helper.programs()[program]
        monkeypatch.setattr(helper, "programs", lambda: {program: path})
        found = look(clamav_files()[file], "sample")
        assert (BANNED, "exe (sample/clam.exe)") in found
        assert (BANNED, "application/x-msdownload (sample/clam.exe)") in found

    @pytest.mark.parametrize("program", ["7z", "bsdtar"])
    def test_the_test_pattern_in_one_of_several_files(self, monkeypatch, program):
        data = packed_by("7z", "p7zip-full", ["a"], {"a.txt": b"x" * 70000, "b.txt": EICAR, "run.exe": b"y"}, ".7z")
        path = helper.programs()[program]
        monkeypatch.setattr(helper, "programs", lambda: {program: path})
        assert look(data, "a.7z") == {FOUND_EICAR, (BANNED, "exe (a.7z/run.exe)")}

    def test_archives_in_archives_of_another_form(self):
        data = packed_by("7z", "p7zip-full", ["a"], {"in.zip": zipped(TREE)}, ".7z")
        assert look(zipped({"x.7z": data}), "a.zip") == {(BANNED, "exe (a.zip/x.7z/in.zip/run.exe)")}

    def test_an_iso_image_is_known_by_its_name(self):
        data = packed_by("bsdtar", "libarchive-tools", ["-c", "--format=iso9660", "-f"], {"run.exe": b"x"}, ".iso")
        assert BANNED in found_in(data, "a.iso")
        assert found_in(b"x" * 100_000, "a.iso") == set()

    @pytest.mark.parametrize("hidden", ["off", "on"])
    def test_encrypted(self, hidden):
        data = packed_by("7z", "p7zip-full", ["a", "-psecret", f"-mhe={hidden}"], {"a.txt": b"x"}, ".7z")
        assert found_in(data) == {ENCRYPTED}

    def test_an_archive_that_no_program_opens_is_left_to_the_scanner(self, monkeypatch):
        monkeypatch.setattr(helper, "programs", dict)
        assert look(clamav_files()["clam.7z"]) == set()

    def test_the_self_report_knows_what_is_missing(self, monkeypatch):
        monkeypatch.setattr(helper, "programs", lambda: {"bsdtar": "/usr/bin/bsdtar"})
        assert helper.unpackers()["zip"] == "built in"
        assert helper.unpackers()["7z"] == "/usr/bin/bsdtar"
        assert helper.unpackers()["arj"] == ""

    def test_a_name_is_never_an_argument_or_a_path(self):
        names = ["-x.txt", "@list", "$(touch x).exe", "../../* .scr", "/etc/x.bat"]
        convert = ["bsdtar", "-c", "--format=newc", "-f", "-", "@-"]
        data = subprocess.run(convert, input=tarred(dict.fromkeys(names, b"x")), capture_output=True, check=True).stdout
        found = {name for _, name in look(data, "a.cpio")}
        assert {name.split(" ")[0] for name in found} == {"exe", "scr", "bat"}
        assert "exe (a.cpio/$(touch x).exe)" in found

    def test_a_program_that_hangs_is_ended_in_time(self, monkeypatch, tmp_path):
        program = tmp_path / "7z"
        program.write_text("#!/bin/sh\nsleep 60 & sleep 60\n")
        program.chmod(0o755)
        monkeypatch.setattr(helper, "programs", lambda: {"7z": str(program)})
        start = time.monotonic()
        assert look(clamav_files()["clam.7z"], "a.7z", unpack_timeout=0.5) == {
            (UNCHECKED, "unpacking took too long (a.7z)")
        }
        # the program takes a minute
        assert time.monotonic() - start < 30

    def test_a_program_is_confined(self, tmp_path):
        # Given a program that says what its limits are, when it is run, then they are those of the configuration.
        program = tmp_path / "program"
        program.write_text("#!/bin/bash\nulimit -v; ulimit -f; ulimit -c; ulimit -t; env | cut -d= -f1 | xargs\n")
        program.chmod(0o755)
        keys = ContentKeys(unpack_helper_memory=268435456, unpack_timeout=9)
        limits = Limits(keys, Budget(100), str(tmp_path), threading.Event())
        store = Store([b"x"], limits, on_disk=True)
        with helper._Child([str(program)], store, limits) as child:
            said = b"".join(child.output()).decode().split("\n")
        store.close()
        assert child.status == 0
        assert said[:4] == ["262144", "0", "0", "10"]
        assert set(said[4].split()) <= {"LC_ALL", "PATH", "PWD", "SHLVL", "_"}


class TestDamage:
    @pytest.mark.parametrize(
        "make",
        [
            lambda: gzip.compress(random.Random(1).randbytes(1000))[:-100],
            lambda: bz2.compress(random.Random(1).randbytes(1000))[:-100],
            lambda: lzma.compress(random.Random(1).randbytes(1000))[:-100],
            lambda: zipped({"a": b"x" * 1000})[:-10],
            lambda: tarred({"a": b"x" * 5000})[:3000],
            lambda: b"PK\3\4" + b"\0" * 100,
        ],
    )
    def test_what_ends_too_early_or_has_no_directory_is_unchecked(self, make):
        assert found_in(make()) == {UNCHECKED}

    def test_one_damaged_file_does_not_hide_the_others(self):
        data = bytearray(zipped({"a": b"A" * 1000, "run.exe": b"x"}, zipfile.ZIP_DEFLATED))
        data[31:36] = b"\xff" * 5
        assert found_in(bytes(data)) == {UNCHECKED, BANNED}

    def test_encrypted_zip(self):
        data = packed_by("7z", "p7zip-full", ["a", "-tzip", "-psecret"], {"a.txt": b"x", "run.exe": b"x"}, ".zip")
        assert look(data, "a.zip") == {
            (ENCRYPTED, "encrypted (a.zip/a.txt)"),
            (ENCRYPTED, "encrypted (a.zip/run.exe)"),
            (BANNED, "exe (a.zip/run.exe)"),
        }

    def test_another_name_before_the_file_than_in_the_directory(self):
        data = zipped({"run.exe": b"x"})
        assert (AMBIGUOUS, "zip headers that differ (a)") in look(data.replace(b"run.exe", b"run.txt", 1))

    def test_a_file_that_is_not_in_the_directory(self):
        first, second = zipped({"run.exe": b"x"}), zipped({"a.txt": b"y"})
        assert look(first + second) == {(AMBIGUOUS, "zip entries outside the directory (a)")}

    def test_files_that_share_their_bytes(self):
        assert look(overlapping_zip(2, 1000)) == {(UNCHECKED, "zip entries overlap (a)")}

    def test_a_file_behind_those_of_the_directory(self):
        data = zipped({"a.txt": b"y"})
        hidden = zipped({"run.exe": b"x" * 100}, zipfile.ZIP_STORED)[:137]
        at = data.index(b"PK\1\2")
        end = bytearray(data[-22:])
        end[16:20] = (at + len(hidden)).to_bytes(4, "little")
        assert look(data[:at] + hidden + data[at:-22] + bytes(end)) == {
            (AMBIGUOUS, "zip entries outside the directory (a)")
        }

    def test_a_directory_with_more_files_than_it_says(self):
        data = bytearray(zipped({"a.txt": b"y", "run.exe": b"x"}))
        data[-14:-10] = b"\1\0\1\0"
        assert look(bytes(data)) == {(AMBIGUOUS, "zip headers that differ (a)"), (BANNED, "exe (a/run.exe)")}

    def test_a_flood_of_names_does_not_hide_a_virus(self):
        files = {f"{number}.exe": b"x" for number in range(500)}
        assert found_in(zipped({**files, "a.txt": EICAR})) == {BANNED, VIRUS}

    @settings(max_examples=200)
    @given(st.data())
    def test_bytes_never_raise(self, data):
        original = data.draw(
            st.sampled_from([zipped(TREE), tarred(TREE), gzip.compress(b"x" * 100), bz2.compress(b"x"), zip_of_many(3)])
        )
        changed = bytearray(original)
        for _ in range(data.draw(st.integers(0, 5))):
            changed[data.draw(st.integers(0, len(changed) - 1))] = data.draw(st.integers(0, 255))
        look(bytes(changed[: data.draw(st.integers(0, len(changed)))]))

    @given(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1), st.integers(0, 65535))
    def test_no_position_in_a_zip_is_believed(self, size, offset, count):
        end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, count, count, size, offset, 0)
        look(zipped(TREE)[:-22] + end)


class TestLimits:
    def test_levels(self):
        assert look(nested_zip(8)) == set()
        assert found_in(nested_zip(9)) == {UNCHECKED}
        assert found_in(nested_zip(2), unpack_levels=1) == {UNCHECKED}
        assert found_in(nested_zip(2, name="a.exe"), unpack_levels=0) == set()

    def test_files(self):
        data = tarred({str(number): b"" for number in range(20)})
        assert look(data, unpack_files=20) == set()
        assert found_in(data, unpack_files=19) == {UNCHECKED}

    def test_files_are_counted_over_all_archives(self):
        data = zipped({f"{number}.zip": zipped({str(item): b"" for item in range(10)}) for number in range(10)})
        assert found_in(data, unpack_files=109) == {UNCHECKED}
        assert look(data, unpack_files=110) == set()

    @pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress, lambda data: zipped({"a": data})])
    def test_ratio(self, pack):
        assert found_in(pack(bytes(10_000_000))) == {UNCHECKED}
        assert look(pack(bytes(1_000_000))) == set()

    def test_a_log_of_ratio_200_is_no_bomb(self):
        chance = random.Random(1)
        lines = (b"2026-11-22 20:50:%02d daemon[1]: nothing happened at all\n" % (n // 999 % 60) for n in range(99_999))
        log = b"".join(line if chance.random() < 0.95 else line.upper() for line in lines)
        data = gzip.compress(log, 9)
        assert 100 < len(log) / len(data) < 250
        assert look(data) == set()
        assert found_in(data, unpack_ratio=90) == {UNCHECKED}

    def test_size(self):
        data = zipped({str(number): random.Random(1).randbytes(500_000) for number in range(4)})
        assert look(data) == set()
        assert found_in(data, unpack_size=1_500_000) == {UNCHECKED}

    def test_what_does_not_fit_into_the_share_of_scratch_is_unchecked(self):
        data = zipped({"inner.zip": zipped({"a": random.Random(1).randbytes(1_000_000)})}, zipfile.ZIP_STORED)
        assert look(data) == set()
        assert look(data, "a.zip", budget=1_500_000) == {(UNCHECKED, "too big to unpack (a.zip/inner.zip)")}

    def test_a_limit_that_ends_one_archive_does_not_hide_the_next(self):
        data = zipped({"bomb.gz": gzip_of_zeros(5_000_000), "run.exe": b"x"})
        assert found_in(data) == {UNCHECKED, BANNED}

    def test_the_stop_flag(self):
        assert look(zipped(TREE), "a.zip", stop=True) == {(UNCHECKED, "unpacking took too long (a.zip)")}

    def test_time(self):
        data = zipped({str(number): bytes(1_000_000) for number in range(400)})
        assert found_in(data, unpack_timeout=0.1, unpack_ratio=1000000) == {UNCHECKED}


class TestBombs:
    @pytest.mark.slow
    @pytest.mark.parametrize(
        "make",
        [
            pytest.param(lambda: nested_zip(1000), id="1000 nested zips"),
            pytest.param(lambda: overlapping_zip(60_000, 20_000_000), id="overlapping zip entries"),
            pytest.param(lambda: zip_of_many(100_000), id="zip with 100000 entries"),
            pytest.param(lambda: gzip_of_zeros(1_000_000_000), id="gz ratio 1000"),
            pytest.param(lambda: gzip.compress(gzip.compress(gzip_of_zeros(1_000_000_000))), id="gz in gz in gz"),
            pytest.param(lambda: gzip.compress(b"") * 200_000, id="200000 gzip members"),
            pytest.param(lambda: tarred({str(number): b"" for number in range(10_000)}), id="tar with 10000 entries"),
            pytest.param(lambda: bz2.compress(bytes(300_000_000)), id="bz2 of zeros"),
            pytest.param(lambda: lzma.compress(bytes(300_000_000), preset=1), id="xz of zeros"),
            pytest.param(
                lambda: packed_by("7z", "p7zip-full", ["a"], {"zeros": bytes(200_000_000)}, ".7z"), id="7z of zeros"
            ),
        ],
    )
    def test_ends_soon_in_little_memory(self, make):
        # Given an archive made to be unpacked without end, when it is looked at, then some seconds of processor time
        # and some tens of megabytes are enough to say that it has not been looked at.
        data = make()
        before = resource.getrusage(resource.RUSAGE_SELF)
        found = found_in(data)
        after = resource.getrusage(resource.RUSAGE_SELF)
        # A file of zeros that a helper unpacks, and thousands of empty members, are nothing to be afraid of.
        assert found <= {UNCHECKED}
        assert after.ru_maxrss - before.ru_maxrss < 65536
        assert after.ru_utime - before.ru_utime < 20
