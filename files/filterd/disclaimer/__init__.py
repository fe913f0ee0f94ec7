# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Disclaimers: a text is put into outgoing mail, and every byte outside of the place where it goes stays as it was.

outline (where the parts are) -> eligible (whether, and into which parts) -> plain, markup (edits of one part) ->
plan (all edits of a message) -> edits (applied to a stream). Nothing here does I/O, and nothing knows of the daemon.
"""
