# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks texts before they are deployed: `python -m filterd.disclaimer.check < rows.json`.

Standard input is an object with `rows`, `header` and `label`. Exit status 1 and one line on standard error for each
thing that is wrong, with file and line.
"""

from __future__ import annotations

import json
import sys

from .load import header, load_rows


def main() -> int:
    """Run."""
    given = json.load(sys.stdin)
    label = given.get("label", "rows")
    problems = list(load_rows(given.get("rows", []), label, files=True).problems)
    if header(given.get("header", "")) is None:
        problems.append(
            f"the header field {given['header']!r}: it takes one like X-Terms: https://www.example.com/terms"
        )
    for problem in problems:
        sys.stderr.write(problem + "\n")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
