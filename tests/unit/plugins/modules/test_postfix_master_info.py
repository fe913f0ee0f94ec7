# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module postfix_master_info, and postfix_master's overlays, which it makes visible, on a Debian host's files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ...conftest import DATA, RunModule

FRAGMENT = "scan unix - - n - 4 lmtp\n  -o lmtp_data_done_timeout=1200s\n"
OVERLAY = {"service": "smtp/inet", "maxproc": "20", "options": {"smtpd_proxy_filter": "127.0.0.1:10024"}}


def described(run_module: RunModule, path: Path, record: Path) -> dict[str, dict[str, Any]]:
    services = run_module("postfix_master_info", path=str(path), restore_file=str(record))["services"]
    return {service["key"]: service for service in services}


def test_an_overlay_and_the_way_back(
    run_module: RunModule, etc_postfix: Path, tmp_path: Path, postconf: Callable[..., str]
) -> None:
    path, record = etc_postfix / "master.cf", tmp_path / "record.json"
    original = path.read_bytes()
    options = {"path": str(path), "restore_file": str(record), "purge": True}
    # Given transport and overlay
    run_module("postfix_master", fragment=FRAGMENT, overlays=[OVERLAY], **options)
    assert postconf("-P", "smtp/inet/smtpd_proxy_filter").endswith("= 127.0.0.1:10024")
    assert postconf("-M", "smtp/inet").split()[6] == "20"
    # then the second run changes nothing, in either mode
    for check in (True, False):
        assert not run_module("postfix_master", fragment=FRAGMENT, overlays=[OVERLAY], check=check, **options)[
            "changed"
        ]
    # and it is seen what is whose
    found = described(run_module, path, record)
    assert (found["scan/unix"]["ours"], found["smtp/inet"]["ours"], found["pickup/unix"]["ours"]) == (
        "added",
        "changed",
        "",
    )
    assert found["smtp/inet"]["before"] == {"maxproc": "-", "options": {}}
    assert found["smtp/inet"]["options"] == OVERLAY["options"]
    line = path.read_text().splitlines()[found["smtp/inet"]["line"] - 1]
    assert line.split()[0] == "smtp"
    # when the overlay is no longer named, then its service is as it was
    run_module("postfix_master", fragment=FRAGMENT, **options)
    assert path.read_bytes() == original + FRAGMENT.encode()
    assert described(run_module, path, record)["smtp/inet"]["ours"] == ""
    # and after all is taken back, the file is
    run_module("postfix_master", state="absent", services=["scan/unix"], path=str(path), restore_file=str(record))
    assert path.read_bytes() == original


def test_an_overlay_that_is_what_was_there_is_none(run_module: RunModule, etc_postfix: Path, tmp_path: Path) -> None:
    path, record = etc_postfix / "master.cf", tmp_path / "record.json"
    original = path.read_bytes()
    options = {"path": str(path), "restore_file": str(record)}
    # Given an overlay, then one that asks for what the file had before
    run_module("postfix_master", overlays=[OVERLAY], **options)
    result = run_module("postfix_master", overlays=[{"service": "smtp/inet", "maxproc": "-"}], **options)
    # then the file is as it was, and nothing is remembered
    assert (result["changed"], path.read_bytes(), record.exists()) == (True, original, False)


@pytest.mark.parametrize("name", sorted(path.name for path in DATA.joinpath("master.cf").glob("*.cf")))
def test_files_from_the_field(run_module: RunModule, etc_postfix: Path, tmp_path: Path, name: str) -> None:
    path, record = etc_postfix / "master.cf", tmp_path / "record.json"
    content = DATA.joinpath("master.cf", name).read_bytes()
    path.write_bytes(content)
    if name == "duplicates.cf":
        refused = run_module("postfix_master_info", path=str(path), fails=True)
        assert f"{path}, line 7: the service relay/unix is already defined in line 6" in refused["msg"]
        return
    # Every smtpd and pickup of the file gets an option, and gives it back.
    services = described(run_module, path, record).values()
    keys = [service["key"] for service in services if service["command"] in ("smtpd", "pickup")]
    overlays = [{"service": key, "options": {"content_filter": "x:y z"}} for key in keys]
    run_module("postfix_master", path=str(path), restore_file=str(record), overlays=overlays)
    assert all(described(run_module, path, record)[key]["options"]["content_filter"] == "x:y z" for key in keys)
    run_module("postfix_master", state="absent", services=keys, path=str(path), restore_file=str(record))
    assert path.read_bytes() == content


def test_no_service_in_both(run_module: RunModule, etc_postfix: Path) -> None:
    overlay = {"service": "scan/unix", "options": {"a": "b"}}
    result = run_module(
        "postfix_master", path=str(etc_postfix / "master.cf"), fragment=FRAGMENT, overlays=[overlay], fails=True
    )
    assert "scan/unix is in the fragment too" in result["msg"]
