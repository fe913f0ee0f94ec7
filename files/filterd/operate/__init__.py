# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Operating the daemon: what became of each message, figures, status, and warnings before harm."""
