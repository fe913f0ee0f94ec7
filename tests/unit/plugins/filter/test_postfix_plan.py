# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filters master_cf_services and postfix_plan say of files that were read what the modules say on the host."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.mailops.filter_stack.plugins.filter import master_cf_services, postfix_plan
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ...conftest import RunModule
from ..module_utils.strategies import main_cf_texts, master_cf_texts

services_of = master_cf_services.FilterModule().filters()["master_cf_services"]
plan = postfix_plan.FilterModule().filters()["postfix_plan"]

FRAGMENT = "scan unix - - n - 4 lmtp\n  -o lmtp_data_done_timeout=1200s\n"
FRAGMENTS = st.sampled_from(
    [FRAGMENT, FRAGMENT.replace("1200", "900"), "127.0.0.1:10025 inet n - n - - smtpd\n", "scan unix\n", None]
)
OVERLAYS = st.lists(
    st.fixed_dictionaries(
        {"service": st.sampled_from(["smtp/inet", "pickup/unix", "relay/unix"])},
        optional={
            "maxproc": st.sampled_from(["20", "-", None, "many"]),
            "options": st.dictionaries(st.sampled_from(["a", "content_filter"]), st.sampled_from(["x:y z", "", None])),
        },
    ),
    max_size=2,
)
SETTINGS = st.dictionaries(
    st.sampled_from(["content_filter", "a", "no such name"]), st.sampled_from(["scan:x", "", "a\nb"])
)


def seen(*paths: Path) -> dict[str, Any]:
    """What host_info returns of the files that are there."""
    return {"contents": {str(path): base64.b64encode(path.read_bytes()).decode() for path in paths if path.exists()}}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    text=master_cf_texts()
    | st.sampled_from(["", "smtp inet\n", FRAGMENT + FRAGMENT, "scan2 unix - - n - 4 lmtp \xff\n"]),
    main_text=main_cf_texts() | st.just("no parameter\n"),
    before=st.tuples(FRAGMENTS, OVERLAYS, SETTINGS),
    wanted=st.none() | st.tuples(FRAGMENTS, OVERLAYS, SETTINGS),
    purge=st.booleans(),
)
def test_they_agree_with_the_modules(
    run_module: RunModule, tmp_path: Path, text: str, main_text: str, before: Any, wanted: Any, purge: bool
) -> None:
    files = [tmp_path / name for name in ("master.cf", "master.json", "main.cf", "main.json")]
    for path, content in zip(files, (text, None, main_text, None), strict=True):
        path.unlink(missing_ok=True)
        if content is not None:
            path.write_text(content, "latin-1")
    path, record, main_path, main_record = map(str, files)

    def options(asked: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        return (
            {"path": path, "restore_file": record, "fragment": asked[0], "overlays": asked[1], "purge": purge},
            {"path": main_path, "restore_file": main_record, "settings": asked[2], "purge": purge},
        )

    def modules(asked: Any, check: bool) -> dict[str, Any]:
        """What the modules say, in the shape that the filter has."""
        outcome: dict[str, Any] = {"services": [], "settings": [], "error": ""}
        for name, given_options in zip(("postfix_master", "postfix_main"), options(asked), strict=True):
            result = run_module(name, check=check, fails=None, validate=False, **given_options)
            if result.get("failed"):
                return {"services": [], "settings": [], "error": result["msg"]}
            key = "services" if name == "postfix_master" else "settings"
            outcome[key] = result[key]
        return outcome

    # Given files in which a run before has done something, or nothing
    modules(before, check=False)
    # then the services are told the same
    info = run_module("postfix_master_info", path=path, restore_file=record, fails=None)
    told = services_of(seen(*files), path, record)
    assert (told["services"], told["error"]) == (info.get("services", []), info.get("msg", ""))
    # and so is what the next run would do
    asked = before if wanted is None else wanted
    assert plan(seen(*files), *options(asked)) == modules(asked, check=True)


def test_a_second_run_has_nothing_to_do(run_module: RunModule, etc_postfix: Path, tmp_path: Path) -> None:
    path, record = etc_postfix / "master.cf", tmp_path / "record.json"
    wanted = {"path": str(path), "restore_file": str(record), "fragment": FRAGMENT}
    nothing = {"path": str(etc_postfix / "main.cf")}
    assert [
        one["action"] for one in plan(seen(path, record, etc_postfix / "main.cf"), wanted, nothing)["services"]
    ] == ["added"]
    run_module("postfix_master", **wanted)
    assert plan(seen(path, record, etc_postfix / "main.cf"), wanted, nothing) == {
        "services": [{"name": "scan", "type": "unix", "action": "unchanged"}],
        "settings": [],
        "error": "",
    }


def test_two_services_on_one_port_are_an_error(etc_postfix: Path) -> None:
    path = etc_postfix / "master.cf"
    assert "smtp      inet" in path.read_text()
    wanted = {"path": str(path), "fragment": "25 inet n - n - - smtpd\n"}
    nothing = {"path": str(etc_postfix / "main.cf")}
    told = plan(seen(path, etc_postfix / "main.cf"), wanted, nothing)
    assert told["services"] == []
    assert "smtp/inet listens where 25/inet shall listen" in told["error"]


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("{", "it is not JSON"),
        ('{"version": 1, "path": "/etc/other", "entries": {}}', "it is about '/etc/other'"),
    ],
)
def test_a_broken_record_is_named(etc_postfix: Path, tmp_path: Path, content: str, complaint: str) -> None:
    record = tmp_path / "record.json"
    record.write_text(content)
    path = etc_postfix / "master.cf"
    told = services_of(seen(path, record), str(path), str(record))
    assert told["services"] == []
    assert told["error"].startswith(f"{record}: {complaint}")


def test_a_missing_file_is_named() -> None:
    assert services_of({"contents": {}})["error"].startswith("/etc/postfix/master.cf does not exist; it takes")
    assert plan({"contents": {}}, {}, {})["error"].startswith("/etc/postfix/master.cf does not exist; it takes")
