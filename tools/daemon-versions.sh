#!/usr/bin/env bash
# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Usage: tools/daemon-versions.sh [VERSION...]   (default: all that a mail host may have)
# Runs the daemon's tests with each version of Python: its modules inside that interpreter,
# then the tests over real sockets with a daemon that runs on it. An interpreter is looked
# for as python3.X in PATH and in ~/.pyenv; one that is not there is an error.
set -euo pipefail
. "$(dirname -- "$0")/lib.sh"
cd "$ROOT"

SUPPORTED=(3.9 3.10 3.11 3.12 3.13)
# What the tests need, as requirements-dev.txt has it, but as old as Python 3.9 needs it.
NEEDED=('pytest>=8,<10' 'pytest-xdist>=3,<4' 'hypothesis>=6,<7' 'html5lib>=1.1,<2' 'dkimpy>=1.1,<2'
  'prometheus_client>=0.21,<1' 'PyYAML>=6,<7')

# A name in PATH may be a shim that fails (pyenv), so each candidate is run.
find_python() {
  local candidate found=
  for candidate in "python$1" "$HOME"/.pyenv/versions/"$1".*/bin/"python$1"; do
    if "$candidate" -c 'import ensurepip, venv' 2>/dev/null; then
      found=$("$candidate" -c 'import sys; print(sys.executable)')
    fi
  done
  echo "$found"
}

make_environment() {
  local python=$1 environment=$2 stamp
  stamp="$python ${NEEDED[*]}"
  [ "$(cat "$environment/.stamp" 2>/dev/null)" = "$stamp" ] && return
  rm -rf "$environment"
  "$python" -m venv "$environment" &&
    "$environment/bin/python" -m pip install --no-input "${NEEDED[@]}" &&
    echo "$stamp" >"$environment/.stamp"
}

main() {
  local version missing=() failed=() environment
  declare -A pythons
  [ $# -gt 0 ] || set -- "${SUPPORTED[@]}"
  for version; do
    pythons[$version]=$(find_python "$version")
    [ -n "${pythons[$version]}" ] || missing+=("python$version")
  done
  [ "${#missing[@]}" -eq 0 ] ||
    die "not found, in PATH or in ~/.pyenv, with its modules venv and ensurepip: ${missing[*]}"
  for version; do
    environment=$ROOT/.cache/python/$version
    step "python-$version" "Python $version: ${pythons[$version]}" make_environment "${pythons[$version]}" "$environment"
    say "Python $version: the daemon's modules"
    "$environment/bin/python" -m pytest -q -n 4 -p no:cacheprovider tests/daemon/unit || failed+=("$version (modules)")
    say "Python $version: the daemon over sockets"
    FILTER_DAEMON_PYTHON=${pythons[$version]} .venv/bin/python -m pytest -q -n 4 -p no:cacheprovider -m "not slow" \
      --ignore tests/daemon/unit tests/daemon || failed+=("$version (sockets)")
  done
  [ "${#failed[@]}" -eq 0 ] || die "failed with Python ${failed[*]}"
}

main "$@"
