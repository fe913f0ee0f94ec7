# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module postfix_master as Ansible runs it, on a Debian host's files, with a real postconf as judge.

In the phases of a converge: check, real, check again, real again, then an independent tool confirms.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.mailops.filter_stack.plugins.module_utils import _postconf

from ...conftest import DATA, RunModule

FRAGMENT = """\
# To the content filter
scan      unix  -       -       n       -       4       lmtp
  -o lmtp_data_done_timeout=1200s
  -o lmtp_send_xforward_command=yes
# Back from the content filter
127.0.0.1:10025 inet n  -       n       -       -       smtpd
  -o content_filter=
  -o { smtpd_recipient_restrictions = permit_mynetworks, reject }
"""
KEYS = ["scan/unix", "127.0.0.1:10025/inet"]
SCAN_LINE = "scan       unix  -       -       n       -       4       lmtp"


@pytest.fixture
def master(run_module: RunModule, etc_postfix: Path, tmp_path: Path) -> Callable[..., dict[str, Any]]:
    def run(**options: Any) -> dict[str, Any]:
        defaults = {"path": str(etc_postfix / "master.cf"), "restore_file": str(tmp_path / "record.json")}
        return run_module("postfix_master", **{**defaults, **options})

    return run


Master = Callable[..., dict[str, Any]]


def actions(result: dict[str, Any]) -> dict[str, str]:
    return {f"{one['name']}/{one['type']}": one["action"] for one in result["services"]}


def test_a_converge_and_the_way_back(
    master: Master, etc_postfix: Path, tmp_path: Path, postconf: Callable[..., str]
) -> None:
    path = etc_postfix / "master.cf"
    record = tmp_path / "record.json"
    before = path.read_bytes()

    foreseen = master(fragment=FRAGMENT, check=True)
    assert foreseen["changed"]
    assert path.read_bytes() == before
    assert not record.exists()

    done = master(fragment=FRAGMENT)
    assert done["changed"]
    for same in ("services", "diff", "reload_required", "restart_required", "record_changed", "validated"):
        assert foreseen[same] == done[same]
    assert done["diff"]["before"].encode() == before
    assert done["diff"]["after"].encode() == path.read_bytes()
    assert actions(done) == {"scan/unix": "added", "127.0.0.1:10025/inet": "added"}
    assert (done["reload_required"], done["restart_required"], done["validated"]) == (True, False, True)
    assert "warnings" not in done

    after = path.read_bytes()
    assert after == before + b"\n" + FRAGMENT.encode()
    assert stat.S_IMODE(record.stat().st_mode) == 0o600

    inode = path.stat().st_ino
    for check in (True, False):
        again = master(fragment=FRAGMENT, check=check)
        assert (again["changed"], again["reload_required"], again["record_changed"]) == (False, False, False)
        assert actions(again) == {"scan/unix": "unchanged", "127.0.0.1:10025/inet": "unchanged"}
        assert again["diff"]["before"] == again["diff"]["after"]
    assert path.stat().st_ino == inode

    assert postconf("-M", "scan/unix").startswith(SCAN_LINE)
    assert postconf("-P", "scan/unix/lmtp_data_done_timeout").endswith("= 1200s")
    assert postconf("-P", "127.0.0.1:10025/inet/smtpd_recipient_restrictions").endswith("= permit_mynetworks, reject")

    foreseen = master(state="absent", services=KEYS, check=True)
    assert path.read_bytes() == after
    gone = master(state="absent", services=KEYS)
    assert foreseen["changed"]
    assert gone["changed"]
    assert actions(gone) == actions(foreseen) == {"scan/unix": "removed", "127.0.0.1:10025/inet": "removed"}
    assert path.read_bytes() == before
    assert not record.exists()
    assert not master(state="absent", services=KEYS)["changed"]


#: What each mode does besides the fragment; before the queue, options of two entries that are not ours.
OVERLAYS: dict[str, list[dict[str, Any]]] = {
    "after the queue": [],
    "before the queue": [
        {
            "service": "smtp/inet",
            "maxproc": "20",
            "options": {
                "content_filter": None,
                "smtpd_proxy_filter": "127.0.0.1:10024",
                "smtpd_proxy_timeout": "100s",
                "smtpd_client_connection_count_limit": "10",
            },
        },
        {"service": "cleanup/unix", "options": {"always_bcc": "", "syslog_name": "postfix/two words"}},
    ],
}


@pytest.mark.parametrize("mode", OVERLAYS)
@pytest.mark.parametrize(
    "name", ["debian12.cf", *sorted(path.name for path in DATA.joinpath("master.cf").glob("*.cf"))]
)
def test_files_from_the_field(
    master: Master, etc_postfix: Path, postconf: Callable[..., str], name: str, mode: str
) -> None:
    path = etc_postfix / "master.cf"
    # the one of Debian 12 is that of the package
    content = path.read_bytes() if name == "debian12.cf" else DATA.joinpath("master.cf", name).read_bytes()
    path.write_bytes(content)
    wanted = {"fragment": FRAGMENT, "overlays": OVERLAYS[mode]}
    if name == "duplicates.cf":
        result = master(**wanted, fails=True)
        assert f"{path}, line 7: the service relay/unix is already defined in line 6" in result["msg"]
        assert path.read_bytes() == content
        return
    # The file with tabs has a service of that name, which has to come back as it was.
    done = master(**wanted)
    assert done["validated"]
    assert not master(**wanted)["changed"]
    assert postconf("-M", "scan/unix").startswith(SCAN_LINE)
    # every line of the entries that are not ours is there, in its order and byte for byte
    ours = {f"{one['name']}/{one['type']}" for one in done["services"]}
    kept, lines = outside(content, ours), iter(path.read_bytes().splitlines())
    assert [line for line in kept if line not in lines] == []
    if OVERLAYS[mode]:
        assert postconf("-P", "smtp/inet/smtpd_proxy_filter").endswith("= 127.0.0.1:10024")
        assert postconf("-P", "cleanup/unix/syslog_name").endswith("= postfix/two words")
    # and from mode to mode and away again they are as they came
    other = next(overlays for overlays in OVERLAYS.values() if overlays != OVERLAYS[mode])
    assert master(fragment=FRAGMENT, overlays=other, purge=True)["changed"]
    assert master(state="absent", services=sorted(ours | {one["service"] for one in other}))["changed"]
    assert path.read_bytes() == content


def outside(content: bytes, services: set[str]) -> list[bytes]:
    """The lines of a master.cf that belong to none of these services: comments, and all of every other entry."""
    lines, ours = [], False
    for line in content.splitlines():
        if line[:1] not in (b"#", b" ", b"\t", b""):
            fields = line.split()
            ours = f"{fields[0].decode()}/{fields[1].decode()}" in services
        if not ours:
            lines.append(line)
    return lines


def test_owner_mode_and_a_symbolic_link_survive(master: Master, etc_postfix: Path) -> None:
    real = etc_postfix / "real.cf"
    path = etc_postfix / "master.cf"
    path.rename(real)
    path.symlink_to("real.cf")
    real.chmod(0o640)
    if os.geteuid() == 0:
        os.chown(real, 65534, 65534)
    owner = (real.stat().st_uid, real.stat().st_gid)
    assert master(fragment=FRAGMENT)["changed"]
    assert path.is_symlink()
    assert b"scan      unix" in real.read_bytes()
    assert stat.S_IMODE(real.stat().st_mode) == 0o640
    assert (real.stat().st_uid, real.stat().st_gid) == owner


def test_a_backup_is_made_of_a_changed_file_only(master: Master, etc_postfix: Path) -> None:
    before = (etc_postfix / "master.cf").read_bytes()
    done = master(fragment=FRAGMENT, backup=True)
    assert Path(done["backup_file"]).read_bytes() == before
    assert "backup_file" not in master(fragment=FRAGMENT, backup=True)


def test_purge_takes_back_what_the_fragment_no_longer_has(master: Master, etc_postfix: Path) -> None:
    path = etc_postfix / "master.cf"
    before = path.read_bytes()
    master(fragment=FRAGMENT)
    smtp = FRAGMENT.split("# Back", maxsplit=1)[0].replace("lmtp", "smtp")
    done = master(fragment=smtp, purge=True)
    assert actions(done) == {"scan/unix": "changed", "127.0.0.1:10025/inet": "removed"}
    assert path.read_bytes() == before + b"\n" + smtp.encode()
    assert not master(fragment=smtp, purge=True)["changed"]
    master(state="absent", services=KEYS)
    assert path.read_bytes() == before


def test_what_others_changed_is_kept_with_a_warning(master: Master, etc_postfix: Path) -> None:
    path = etc_postfix / "master.cf"
    master(fragment=FRAGMENT)
    path.write_text(path.read_text().replace("-       4       lmtp", "-       9       lmtp"))
    gone = master(state="absent", services=KEYS)
    assert actions(gone) == {"scan/unix": "kept", "127.0.0.1:10025/inet": "removed"}
    assert "scan/unix is left as it is: somebody else has changed it" in json.dumps(gone["warnings"])
    assert "-       9       lmtp" in path.read_text()
    again = master(state="absent", services=KEYS)
    assert not again["changed"]
    assert "has no record that this module wrote it" in json.dumps(again["warnings"])


def test_without_a_record_services_are_removed_by_name(master: Master, etc_postfix: Path) -> None:
    path = etc_postfix / "master.cf"
    before = path.read_bytes()
    master(fragment=FRAGMENT, restore_file=None)
    gone = master(state="absent", services=[*KEYS, "none/unix"], restore_file=None)
    assert actions(gone) == {"scan/unix": "removed", "127.0.0.1:10025/inet": "removed", "none/unix": "unchanged"}
    # The comment above is not taken for ours without a record or a fragment that has it.
    assert path.read_bytes() == before + b"\n# To the content filter\n# Back from the content filter\n"


def test_a_parameter_that_postfix_does_not_know_is_a_warning(master: Master) -> None:
    done = master(fragment=FRAGMENT + "  -o smtpd_no_such_parameter=1\n")
    assert done["validated"]
    assert "unused parameter: smtpd_no_such_parameter=1" in json.dumps(done["warnings"])


def test_a_fatal_main_cf_is_told_in_the_words_of_postconf(master: Master, etc_postfix: Path) -> None:
    before = (etc_postfix / "master.cf").read_bytes()
    with (etc_postfix / "main.cf").open("a") as stream:
        stream.write("this is no parameter\n")
    result = master(fragment=FRAGMENT, fails=True)
    assert "postconf refuses the new content" in result["msg"]
    assert "missing '=' after attribute name" in result["msg"]
    assert (etc_postfix / "master.cf").read_bytes() == before


def test_an_address_of_another_host_is_refused(master: Master, etc_postfix: Path) -> None:
    before = (etc_postfix / "master.cf").read_bytes()
    fragment = "192.0.2.1:10025 inet n - n - - smtpd\n"
    for check in (True, False):
        result = master(fragment=fragment, fails=True, check=check)
        assert "192.0.2.1 cannot be listened on" in result["msg"]
    assert (etc_postfix / "master.cf").read_bytes() == before
    assert master(fragment=fragment, validate=False)["changed"]


def test_the_same_port_in_other_words_is_refused(master: Master) -> None:
    result = master(fragment="25 inet n - n - - smtpd\n", fails=True)
    assert "smtp/inet listens where 25/inet shall listen (port 25)" in result["msg"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "master.cf does not exist; it takes the configuration file of an installed Postfix"),
        ("", "there is no entry in it"),
        ("# nothing\n", "there is no entry in it"),
        ("smtp inet n - y - - smtpd\nbroken\n", "line 2: 'broken': 1 fields, it takes 8 or more"),
        ("smtp inet n - y - - smtpd\r\n", "line 1: 'smtp inet n - y - - smtpd\\r' holds a carriage return"),
    ],
)
@pytest.mark.parametrize("state", ["present", "absent"])
def test_a_file_that_cannot_be_right_is_refused(
    master: Master, etc_postfix: Path, content: str | None, words: str, state: str
) -> None:
    path = etc_postfix / "master.cf"
    path.unlink()
    if content is not None:
        path.write_bytes(content.encode())
    for check in (True, False):
        assert words in master(fragment=FRAGMENT, state=state, fails=True, check=check)["msg"]
    assert content is None or path.read_bytes() == content.encode()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "state is present but any of the following are missing: fragment, overlays"),
        ({"fragment": None}, "fragment: None is wrong, it takes services in master.cf syntax"),
        ({"state": "absent", "fragment": None}, "they name no service"),
        ({"state": "absent"}, "state is absent but any of the following are missing: fragment, services"),
        ({"state": "absent", "services": ["scan"]}, "services: 'scan' is wrong, it takes the name and type"),
        ({"fragment": "scan unix - - n - 4"}, "fragment, line 1: 'scan unix - - n - 4': 7 fields"),
        ({"fragment": "# nothing"}, "fragment: there is no entry in it"),
        ({"fragment": FRAGMENT + FRAGMENT}, "fragment, line 10: the service scan/unix is already defined in line 2"),
        ({"fragment": FRAGMENT + "  -o broken\n"}, "-o 'broken' is wrong, it takes name=value"),
        (
            {"fragment": FRAGMENT, "purge": True, "restore_file": None},
            "purge: true takes a restore_file",
        ),
        ({"fragment": FRAGMENT, "restore_file": "/no/such/directory/record.json"}, "it takes an existing directory"),
    ],
)
def test_wrong_options_change_nothing(master: Master, etc_postfix: Path, options: dict[str, Any], words: str) -> None:
    before = (etc_postfix / "master.cf").read_bytes()
    assert words in master(fails=True, **options)["msg"]
    assert (etc_postfix / "master.cf").read_bytes() == before


def test_a_record_of_another_file_is_refused(master: Master, etc_postfix: Path, tmp_path: Path) -> None:
    master(fragment=FRAGMENT)
    other = etc_postfix / "other.cf"
    other.write_bytes((etc_postfix / "master.cf").read_bytes())
    assert "it is about" in master(path=str(other), fragment=FRAGMENT, fails=True)["msg"]
    (tmp_path / "record.json").write_text("{")
    assert "it is not JSON" in master(fragment=FRAGMENT, fails=True)["msg"]


class HostWithoutPostfix:
    """What a module sees of a host without Postfix, which the machine that runs these tests is not."""

    def __init__(self, check_mode: bool) -> None:
        self.check_mode = check_mode
        self.warnings: list[str] = []

    def get_bin_path(self, name: str, opt_dirs: list[str]) -> None:
        assert name == "postconf"
        assert "/usr/sbin" in opt_dirs

    def warn(self, message: str) -> None:
        self.warnings.append(message)


def test_without_postfix_only_check_mode_goes_on() -> None:
    host = HostWithoutPostfix(check_mode=True)
    assert _postconf.validate(host, "/etc/postfix/master.cf", "master.cf", b"", b"") is False
    assert host.warnings == ["/etc/postfix/master.cf: not validated, because this host has no postconf yet"]
    with pytest.raises(ValueError, match="validate: true takes postconf on the host, and there is none"):
        _postconf.validate(HostWithoutPostfix(check_mode=False), "/etc/postfix/master.cf", "master.cf", b"", b"")
