#!/usr/bin/env bash
# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Usage: tools/daemon-versions.sh [--modules] [VERSION...]   (default: all that a mail host may have)
# Runs the daemon's tests with each version of Python: its modules inside that interpreter,
# then the tests over real sockets with a daemon that runs on it. An interpreter is looked
# for as python3.X in PATH and in ~/.pyenv, and else made from the packages of the Debian
# release that has it (3.9, 3.11, 3.13); one that cannot be had is an error. With --modules the
# tests over sockets are left out; without a VERSION so are those that cannot be had, and the one
# of .venv, in which `make daemon-tests` runs the others; slow tests run with the oldest alone.
set -euo pipefail
. "$(dirname -- "$0")/lib.sh"
cd "$ROOT"

# What the tests need, as requirements-dev.txt has it, but as old as Python 3.9 needs it.
NEEDED=('pytest>=8,<10' 'pytest-xdist>=3,<4' 'hypothesis>=6,<7' 'html5lib>=1.1,<2' 'dkimpy>=1.1,<2'
  'prometheus_client>=0.21,<1' 'PyYAML>=6,<7')

make_environment() {
  local python=$1 environment=$2 stamp
  stamp="$python ${NEEDED[*]}"
  [ "$(cat "$environment/.stamp" 2>/dev/null)" = "$stamp" ] && return
  rm -rf "$environment"
  .venv/bin/virtualenv --quiet --python "$python" "$environment" &&
    "$environment/bin/python" -m pip install --no-input "${NEEDED[@]}" &&
    echo "$stamp" >"$environment/.stamp"
}

main() {
  local version own failed=() environment sockets=1 which=()
  declare -A pythons
  if [ "${1:-}" = --modules ]; then
    sockets=0
    shift
    if [ $# -eq 0 ]; then
      own=$(.venv/bin/python -c 'import sys; print("%d.%d" % sys.version_info[:2])')
      # shellcheck disable=SC2046  # one word for each
      set -- $(tools/python.sh --available | grep -vxF "$own")
    fi
  fi
  [ $# -gt 0 ] || set -- "${DAEMON_PYTHONS[@]}"
  for version; do
    pythons[$version]=$(tools/python.sh "$version")
  done
  for version; do
    environment=$ROOT/.cache/python/$version
    step "python-$version" "Python $version: ${pythons[$version]}" make_environment "${pythons[$version]}" "$environment"
    say "Python $version: the daemon's modules"
    "$environment/bin/python" -m pytest -q -n 4 -p no:cacheprovider "${which[@]}" tests/daemon/unit ||
      failed+=("$version (modules)")
    if [ "$sockets" = 0 ]; then
      which=(-m "not slow")
      continue
    fi
    say "Python $version: the daemon over sockets"
    FILTER_DAEMON_PYTHON=${pythons[$version]} .venv/bin/python -m pytest -q -n 4 -p no:cacheprovider -m "not slow" \
      --ignore tests/daemon/unit tests/daemon || failed+=("$version (sockets)")
  done
  [ "${#failed[@]}" -eq 0 ] || die "failed with Python ${failed[*]}"
}

main "$@"
