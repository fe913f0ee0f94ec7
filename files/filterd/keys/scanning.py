# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys for virus scanners and spam scorers."""

from __future__ import annotations

import dataclasses

from .. import values
from ..scan import SPAM_SCORER, VIRUS_SCANNER, settings
from ..values import key


@dataclasses.dataclass(frozen=True)
class ScanningKeys:
    """Keys for virus scanners and spam scorers."""

    scanners: tuple[settings.Scanner, ...] = key(
        (settings.ClamdSettings("/run/clamav/clamd.ctl", None, 60),),
        settings.scanners,
        "",
        "virus scanners and spam scorers, see docs/scanners.md; the EICAR test pattern is always found",
        settings.back,
    )
    on_scanner_failure: str = key(
        "tempfail",
        values.choice("tempfail", "pass"),
        "",
        "what becomes of a message that no virus scanner answered for",
    )
    on_scorer_failure: str = key(
        "tempfail",
        values.choice("tempfail", "pass"),
        "",
        "what becomes of a message that no spam scorer answered for; with pass its X-Spam-Status says so",
    )

    @property
    def indispensable(self) -> frozenset[str]:
        """The kinds of scanners without whose word a message is deferred."""
        chosen = ((VIRUS_SCANNER, self.on_scanner_failure), (SPAM_SCORER, self.on_scorer_failure))
        return frozenset(kind for kind, disposition in chosen if disposition != "pass")

    @property
    def virus_scanner_configured(self) -> bool:
        """Whether anything but the built-in test pattern looks for viruses."""
        return any(settings.kind_of(item) == VIRUS_SCANNER for item in self.scanners)

    @property
    def spam_scorer_configured(self) -> bool:
        """Whether X-Spam-* are ours to write."""
        return any(settings.kind_of(item) == SPAM_SCORER for item in self.scanners)

    @property
    def attachments_are_scanned(self) -> bool:
        """Whether each virus scanner that may be the only one to answer reads all attachments, decoded."""
        virus = [item for item in self.scanners if isinstance(item, (settings.ClamdSettings, settings.CommandSettings))]
        return bool(virus) and self.on_scanner_failure != "pass" and all(item.content != "whole" for item in virus)
