#!/usr/bin/env bash
# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Usage: tools/daemon-tests.sh [VERSION...]
# Runs all tests of the daemon. Those over sockets are spread over some versions of Python: over all that can be had of those
# that the daemon supports, unless some are given. (tools/daemon-versions.sh runs all of them with each version.)
set -euo pipefail
. "$(dirname -- "$0")/lib.sh"
cd "$ROOT"

main() {
  local version versions pythons=()
  if [ $# -eq 0 ]; then
    versions=$(tools/python.sh --available)
    # shellcheck disable=SC2086  # one word for each
    set -- $versions
  fi
  for version; do
    pythons+=("$(tools/python.sh "$version")")
  done
  say "daemon tests, the daemon on Python $*"
  export FILTER_DAEMON_PYTHON
  FILTER_DAEMON_PYTHON=$(IFS=: && echo "${pythons[*]}")
  exec .venv/bin/pytest -q -n 4 tests/daemon
}

main "$@"
