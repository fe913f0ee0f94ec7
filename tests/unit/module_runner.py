# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs one module of the collection as Ansible would: a process of its own, arguments and result as JSON.

Usage: module_runner.py MODULE, with the arguments as a JSON object on standard input.
"""

from __future__ import annotations

import importlib
import json
import sys

from ansible.module_utils import basic


def main() -> None:
    arguments = {"ANSIBLE_MODULE_ARGS": json.load(sys.stdin)}
    basic._ANSIBLE_ARGS = json.dumps(arguments).encode()
    # ansible-core 2.19 and newer want to be told how the arguments are encoded.
    basic._ANSIBLE_PROFILE = "legacy"
    importlib.import_module(f"ansible_collections.mailops.filter_stack.plugins.modules.{sys.argv[1]}").main()


if __name__ == "__main__":
    main()
