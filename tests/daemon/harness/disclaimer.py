# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The pipe(8) program as the role deploys it, with a sendmail that writes down what it is given."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

_REPOSITORY = Path(__file__).parents[3]
_TEMPLATE = _REPOSITORY / "roles/filter_disclaimer/templates/add_disclaimer.j2"
#: One file for the arguments, one for the message, which gets its name when it is complete.
_SENDMAIL = """#!/bin/sh
{before}
n={directory}/$$
printf '%s\\n' "$@" > $n.arguments
cat > $n.part
mv $n.part $n.message
{after}
"""
TEXT = "Dies ist vertraulich.\nBeispiel GmbH"
HTML = "<p>Dies ist <b>vertraulich</b>.<br>Beispiel GmbH</p>"


class Program:
    """One installation of it, in a directory of its own."""

    def __init__(self, home: Path, **settings: object) -> None:
        self.home = home
        self.work = home / "work"
        self.sent = home / "sent"
        for directory in (home, self.work, self.sent):
            directory.mkdir()
        self.script = home / "add_disclaimer"
        values = {"python": sys.executable, "library": str(_REPOSITORY / "files")}
        text = _TEMPLATE.read_text().replace("{{ ansible_managed }}", "A test")
        for name, value in values.items():
            text = text.replace("{{ __filter_disclaimer_" + name + " }}", value)
        self.script.write_text(text)
        self.script.chmod(0o750)
        (home / "text").write_text(TEXT)
        (home / "html").write_text(HTML)
        self.sendmail()
        self.settings = {
            "rows": [{"text_file": str(home / "text"), "html_file": str(home / "html")}],
            "directory": str(self.work),
            "sendmail": str(home / "sendmail"),
            **settings,
        }
        self.configure()

    def configure(self, **settings: object) -> None:
        """Write disclaimer.json."""
        self.settings.update(settings)
        (self.home / "disclaimer.json").write_text(json.dumps(self.settings))

    def sendmail(self, before: str = "", after: str = "") -> None:
        """Let sendmail do something before and after it takes a message."""
        path = self.home / "sendmail"
        path.write_text(_SENDMAIL.format(directory=self.sent, before=before, after=after))
        path.chmod(0o755)

    def command(self, sender: str = "anna@example.com", *recipients: str) -> list[str]:
        """As pipe(8) calls it."""
        config = str(self.home / "disclaimer.json")
        return [str(self.script), "--config", config, "-f", sender, "--", *(recipients or ("bob@example.org",))]

    def run(self, content: bytes, *arguments: str) -> subprocess.CompletedProcess[bytes]:
        """One message by it."""
        return subprocess.run(self.command(*arguments), input=content, capture_output=True, timeout=60, check=False)

    def messages(self) -> list[bytes]:
        """What sendmail has taken since the last call."""
        found = []
        for path in sorted(self.sent.glob("*.message")):
            found.append(path.read_bytes())
            path.unlink()
        return found

    def arguments(self) -> list[list[str]]:
        """What sendmail was called with since the last call."""
        found = []
        for path in sorted(self.sent.glob("*.arguments")):
            found.append(path.read_text().splitlines())
            path.unlink()
        return found

    def through(self, content: bytes) -> bytes:
        """One message by it, and what became of it."""
        result = self.run(content)
        assert (result.returncode, result.stderr) == (0, b"")
        (message,) = self.messages()
        assert self.left() == []
        return message

    def left(self) -> list[str]:
        """What lies about in the working directory."""
        return sorted(path.name for path in self.work.iterdir())
