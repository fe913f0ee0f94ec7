# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the daemon's tests stand on: the real daemon as a process, and scriptable neighbours over real sockets.

`daemon.Daemon` is the program itself, `downstream.Downstream` the reinjecting smtpd, `clamd.Clamd` the scanner,
`client.Client` Postfix' smtp(8), lmtp(8) or smtpd(8) with smtpd_proxy_filter, as raw bytes.
"""
