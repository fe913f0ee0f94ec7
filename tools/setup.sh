#!/usr/bin/env bash
# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Makes .venv from requirements-dev.txt and links the checkout as a collection.
# The second run only compares a fingerprint. Set PYTHON to choose an interpreter.
set -euo pipefail
. "$(dirname -- "$0")/lib.sh"
cd "$ROOT"

STAMP=.venv/.fingerprint
# make puts .venv/bin first; what is about to be made must not make itself
PATH=${PATH//"$ROOT/.venv/bin:"/}

# Usable here: what both ansible-core 2.19 and the tests run on.
suitable() {
  "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null
}

# A name in PATH may be a shim that fails (pyenv), so each candidate is run.
choose_python() {
  local candidate
  if [ -n "${PYTHON:-}" ]; then
    suitable "$PYTHON" || die "PYTHON is $PYTHON; it takes an interpreter of Python 3.11, 3.12 or 3.13"
    echo "$PYTHON"
    return
  fi
  for candidate in python3 /usr/bin/python3 python3.13 python3.12 python3.11; do
    if suitable "$candidate"; then
      "$candidate" -c 'import sys; print(sys.executable)'
      return
    fi
  done
  die "no Python 3.11, 3.12 or 3.13 found (looked for python3, /usr/bin/python3, python3.13, python3.12, python3.11)"
}

# Debian splits venv and ensurepip off; only its own interpreter can be completed by apt.
complete_python() {
  "$1" -c 'import ensurepip, venv' 2>/dev/null && return
  case $1 in
    /usr/bin/*) apt_need python3-venv "$(basename "$("$1" -c 'import os, sys; print(os.path.realpath(sys.executable))')")-venv" ;;
    *) die "$1 has no modules venv and ensurepip; install them, or set PYTHON to an interpreter that has them" ;;
  esac
}

# An environment that works is brought up to date, so that what runs in it goes on.
make_venv() {
  { .venv/bin/python -m pip --version || { rm -rf .venv && "$1" -m venv .venv; }; } &&
    .venv/bin/python -m pip install --no-input -r requirements-dev.txt
}

# Playbooks and tests find the checkout as mailops.filter_stack (see ansible.cfg).
link_collection() {
  local namespace=.ansible/collections/ansible_collections/mailops
  [ "$(readlink "$namespace/filter_stack" 2>/dev/null)" = ../../../.. ] && return
  mkdir -p "$namespace"
  rm -rf "$namespace/filter_stack"
  ln -s ../../../.. "$namespace/filter_stack"
}

main() {
  local python fingerprint
  mkdir -p .cache
  # Two runs at once (make -j, two terminals) must not build one environment twice.
  exec 9>.cache/setup.lock
  flock 9
  link_collection
  fingerprint=$(sha256sum <requirements-dev.txt)
  if [ "$(cat "$STAMP" 2>/dev/null)" = "$fingerprint" ] && .venv/bin/python -c 'import ansible' 2>/dev/null; then
    return
  fi
  python=$(choose_python)
  complete_python "$python"
  step venv "Installing the Python tools into .venv with $python (a minute or two)" make_venv "$python"
  echo "$fingerprint" >"$STAMP"
}

main
