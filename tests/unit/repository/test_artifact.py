# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a built collection may hold, by archives that hold something else."""

from __future__ import annotations

import importlib.util
import io
import subprocess
import tarfile
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[3]


def load() -> ModuleType:
    specification = importlib.util.spec_from_file_location("artifact", ROOT / "tools/artifact.py")
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


ARTIFACT = load()


def archive(tmp_path: Path, *members: tuple[str, bytes], mode: int = 0o644) -> str:
    """An artifact with all that it needs, and these members beside."""
    path = tmp_path / "artifact.tar.gz"
    with tarfile.open(path, "w:gz") as made:
        for name, content in (*((name, b"") for name in ARTIFACT.NEEDED if name not in dict(members)), *members):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            member.mode = mode if (name, content) in members else 0o644
            made.addfile(member, io.BytesIO(content))
    return str(path)


def test_one_that_holds_what_it_has_to_is_good(tmp_path: Path) -> None:
    assert list(ARTIFACT.complaints(archive(tmp_path, ("docs/daemon.md", b"/home/USER/Maildir")))) == []


def test_one_that_lacks_something_is_not(tmp_path: Path) -> None:
    path = tmp_path / "empty.tar.gz"
    tarfile.open(path, "w:gz").close()
    assert list(ARTIFACT.complaints(str(path))) == [f"{name}: missing" for name in ARTIFACT.NEEDED]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("tests/unit/data/main.cf/folded.cf", b""),
        ("molecule/default/molecule.yml", b""),
        ("tools/lib.sh", b""),
        (".venv/bin/python", b""),
        ("roles/filter_daemon/tests/test.yml", b""),
        ("files/filterd/__pycache__", b""),
        ("files/filterd/cli.pyc", b""),
        ("files/.cache", b""),
        ("docs/notes.md~", b""),
        ("roles/filter_clamav/files/test.hdb", b""),
        ("files/tls.key", b""),
        ("examples/single/vault.yml", b""),
        ("docs/one.md", b"-----BEGIN OPENSSH " + b"PRIVATE KEY-----"),
        ("docs/one.md", b"$ANSIBLE_" + b"VAULT;1.1;AES256"),
        ("docs/one.md", b"ghp_" + b"0123456789abcdefghijklmnopqrstuvwxyz"),
        ("docs/one.md", b"/home/" + b"jane/src/filter"),
        ("docs/one.md", rb"X5O!P%@AP[4\PZX54(P^)7CC)7}" + rb"$EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"),
        ("docs/large.png", bytes(2 * 1024 * 1024)),
    ],
)
def test_what_does_not_belong_is_named(tmp_path: Path, name: str, content: bytes) -> None:
    (complaint,) = ARTIFACT.complaints(archive(tmp_path, (name, content)))
    assert complaint.startswith(f"{name}: ")


def test_what_others_may_write_to_is_named(tmp_path: Path) -> None:
    assert list(ARTIFACT.complaints(archive(tmp_path, ("docs/a.md", b""), mode=0o666))) == [
        "docs/a.md: others may write to it"
    ]


def test_this_checkout_makes_a_good_one(tmp_path: Path) -> None:
    built = subprocess.run(
        [ROOT / "tools/build.sh", tmp_path], check=False, capture_output=True, text=True, stdin=subprocess.DEVNULL
    )
    assert built.returncode == 0, built.stderr
    assert list(tmp_path.iterdir()) == [Path(built.stdout.strip())]
