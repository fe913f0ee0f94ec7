# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The keys of daemon.json, one file for each subject. config.Config is all of them together."""
