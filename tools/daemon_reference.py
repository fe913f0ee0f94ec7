# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes the table of daemon.json keys in docs/daemon.md from the daemon's own code; with --check only compares."""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "daemon.md"
BEGIN, END = "<!-- keys: begin (tools/daemon_reference.py) -->", "<!-- keys: end -->"


def table() -> str:
    """The keys with default, what they take and meaning."""
    sys.path.insert(0, str(ROOT / "files"))
    from filterd.config import Config, accepted  # noqa: PLC0415  (found by the line above)

    defaults = Config().as_json()
    lines = ["| key | default | takes | meaning |", "|---|---|---|---|"]
    for field in dataclasses.fields(Config):
        default = json.dumps(defaults[field.name]).replace("|", "\\|")
        takes = accepted(field.name).replace("|", "\\|")
        lines.append(f"| `{field.name}` | `{default}` | {takes} | {field.metadata['meaning']} |")
    return "\n".join(lines)


def main() -> int:
    """Write or check."""
    text = PAGE.read_text()
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    wanted = f"{before}{BEGIN}\n{table()}\n{END}{after}"
    if "--check" not in sys.argv:
        PAGE.write_text(wanted)
    elif wanted != text:
        print(f"{PAGE}: does not fit files/filterd/config.py; run: make docs", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
