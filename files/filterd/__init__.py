# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A content-filter proxy for Postfix: SMTP and LMTP in, scanning, SMTP out. Standard library only."""

__version__ = "0.1.0"
