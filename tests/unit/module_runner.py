# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs one module of the collection as Ansible would: a process of its own, arguments and result as JSON.

The process is a fork, which has Ansible's libraries loaded already: that takes a tenth of the time.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import sys
import tempfile
import traceback
from typing import Any

from ansible.module_utils import basic

MODULES = "ansible_collections.mailops.filter_stack.plugins.modules"


def run_in_child(name: str, arguments: dict[str, Any]) -> str:
    """What the module wrote to standard output, and what Python said if it crashed."""
    module = importlib.import_module(f"{MODULES}.{name}")
    _load_profiles()
    with tempfile.TemporaryFile() as output:
        sys.stdout.flush()
        child = os.fork()
        if child == 0:
            os.dup2(output.fileno(), 1)
            os.dup2(output.fileno(), 2)
            _run(module, arguments)
        os.waitpid(child, 0)
        output.seek(0)
        return output.read().decode()


def _load_profiles() -> None:
    """How arguments are encoded: a child that loads that itself takes ten times as long."""
    for way in ("c2m", "m2c"):
        with contextlib.suppress(ImportError):  # before ansible-core 2.19 there is none
            importlib.import_module(f"ansible.module_utils._internal._json._profiles._module_legacy_{way}")


def _forget_the_controller() -> None:
    """Tests of filters load the controller's side of ansible-core, where a warning goes to the terminal."""
    try:
        from ansible.module_utils import _internal  # noqa: PLC0415  (ansible-core 2.19 and newer)
    except ImportError:
        return
    _internal.is_controller = False


def _run(module: Any, arguments: dict[str, Any]) -> None:
    """Never returns: what follows in the test is for the parent alone."""
    status = 1
    try:
        sys.stdout = os.fdopen(1, "w")
        basic._ANSIBLE_ARGS = json.dumps({"ANSIBLE_MODULE_ARGS": arguments}).encode()
        # ansible-core 2.19 and newer want to be told how the arguments are encoded.
        basic._ANSIBLE_PROFILE = "legacy"
        _forget_the_controller()
        module.main()
    except SystemExit as end:
        status = int(end.code or 0)
    except BaseException:
        traceback.print_exc(file=sys.stdout)
    finally:
        sys.stdout.flush()
        os._exit(status)
