# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What `check` says of the policy and of notices: the configuration in words, and what is doubtful about it."""

from __future__ import annotations

from . import notice_templates
from .config import Config
from .findings import CATEGORIES, VIRUS

GOOD, WARNING, BAD = "ok", "warning", "PROBLEM"
_THROUGH = ("pass", "tag")


def policy(settings: Config) -> list[tuple[str, str]]:
    """State and text of each line: what becomes of each category, first by the rows of the table, then else."""
    lines = []
    for row in settings.as_json()["policy"]:
        conditions = [f"{name} {', '.join(held)}" for name, held in row.items() if isinstance(held, list)]
        words = [f"{name} {held}" for name, held in row.items() if isinstance(held, str)]
        lines.append((GOOD, f"where {' and '.join(conditions) or 'nothing else is said'}: {', '.join(words)}"))
    words = [f"{name} {getattr(settings, 'on_' + name)}" for name in CATEGORIES]
    lines.append((GOOD, f"{'else' if lines else 'everywhere'}: {', '.join(words)}"))
    if settings.on_virus in _THROUGH:
        lines.append((WARNING, f"on_virus is {settings.on_virus}: infected mail is delivered"))
    if settings.on_clean not in _THROUGH:
        lines.append((WARNING, f"on_clean is {settings.on_clean}: no mail is delivered"))
    if settings.on_scanner_failure == "pass":
        lines.append((WARNING, "on_scanner_failure is pass: mail that no scanner has seen is delivered"))
    if settings.spam_scorer_configured and settings.on_scorer_failure == "pass":
        lines.append((WARNING, "on_scorer_failure is pass: mail is delivered without a score when no scorer answers"))
    return lines


def notices(settings: Config) -> list[tuple[str, str]]:
    """State and text of each line: who is told of what, and whether the texts can be used."""
    told = []
    if settings.notify_admin and settings.notify_admin_categories:
        told.append(f"{settings.notify_admin} is told of {', '.join(settings.notify_admin_categories)}")
    if settings.notify_recipients:
        told.append(f"recipients are told of {', '.join(settings.notify_recipients)}")
    if settings.notify_senders:
        told.append(f"senders whose address is believed are told of {', '.join(settings.notify_senders)}")
    lines = [(GOOD, "; ".join(told) or "nobody is told of anything")]
    if VIRUS in settings.notify_senders and settings.local_domains:
        lines.append((WARNING, "senders in local_domains are told of viruses that others may have sent in their name"))
    try:
        notice_templates.load(settings.notification_templates)
    except notice_templates.TemplateError as error:
        lines.append((BAD, str(error)))
    else:
        if settings.notification_templates:
            lines.append((GOOD, f"the texts in {settings.notification_templates} can be used"))
    return lines
