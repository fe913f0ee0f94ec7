# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Putting an engine to work on the scenario's host."""

from __future__ import annotations

from typing import Any

from plays import Play, play


def engine(name: str, *arguments: str, **variables: Any) -> Play:
    """The roles that have to do with the engine, which becomes `name`."""
    return play(
        "site",
        "--tags",
        "filter_daemon,filter_amavis,filter_postfix,filter_cleanup,filter_verify",
        *arguments,
        filter_stack_engine=name,
        **variables,
    )


def put_to_work(name: str, **variables: Any) -> None:
    """The same, and it has to succeed."""
    done = engine(name, **variables)
    assert done.code == 0, done.output
