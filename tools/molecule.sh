#!/usr/bin/env bash
# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Usage: tools/with-docker.sh tools/molecule.sh SCENARIO...|all
# Runs Molecule scenarios one after another; their hosts are worked on in parallel.
# When one fails, the journals of its hosts are shown before they are destroyed.
# FILTER_STACK_TEST_PREFIX: begins the names of the containers (default filter-stack).
# FILTER_STACK_TEST_NETWORK: the first three numbers of a /24 for hosts with addresses of their own (default: a free one).
set -euo pipefail
. "$(dirname -- "$0")/lib.sh"
cd "$ROOT"
export PATH=$ROOT/.venv/bin:$PATH
export FILTER_STACK_TEST_PREFIX=${FILTER_STACK_TEST_PREFIX:-filter-stack}
# no frames around Ansible's output, which break its lines; colours only on a terminal
export MOLECULE_COMMAND_BORDERS=false
[ -t 1 ] || export NO_COLOR=1 PY_COLORS=0 ANSIBLE_FORCE_COLOR=0 ANSIBLE_NOCOLOR=1
# pytest's cache and the tests' bytecode would lie about in the checkout otherwise
export PYTHONDONTWRITEBYTECODE=1

show_journals() {
  local container
  for container in $(docker ps -q --filter label=owner=molecule --filter "name=^$FILTER_STACK_TEST_PREFIX-"); do
    printf '\n--- %s: failed units, and the end of the journal\n' \
      "$(docker inspect -f '{{.Name}}' "$container")" >&2
    docker exec "$container" systemctl --failed --no-legend >&2 || true
    docker exec "$container" journalctl --no-pager -n 80 -o short-precise >&2 || true
  done
}

scenarios() { (cd molecule && printf '%s\n' */molecule.yml | sed 's#/molecule.yml##'); }

run() {
  local scenario=$1 start=$SECONDS rc=0
  [ -f "molecule/$scenario/molecule.yml" ] ||
    die "unknown scenario $scenario; there are: $(scenarios | paste -sd ' ')"
  # Molecule calls a scenario without tests a success; it has proven nothing.
  compgen -G "molecule/$scenario/tests/test_*.py" >/dev/null ||
    die "molecule/$scenario/tests has no test_*.py"
  say "Molecule scenario $scenario"
  molecule test --scenario-name "$scenario" --destroy never || rc=$?
  [ "$rc" -eq 0 ] || show_journals
  molecule destroy --scenario-name "$scenario" >/dev/null
  [ "$rc" -eq 0 ] || die "Molecule scenario $scenario failed after $((SECONDS - start)) s"
  say "Molecule scenario $scenario passed in $((SECONDS - start)) s"
}

[ $# -gt 0 ] || die "which scenario? There are: $(scenarios | paste -sd ' '), and all"
tools/base-images.sh
FILTER_STACK_TEST_NETWORK=${FILTER_STACK_TEST_NETWORK:-$(tools/free-network.sh "$FILTER_STACK_TEST_PREFIX-farm")}
export FILTER_STACK_TEST_NETWORK
if [ "$*" = all ]; then
  mapfile -t chosen < <(scenarios)
  set -- "${chosen[@]}"
fi
for scenario; do
  molecule destroy --scenario-name "$scenario" >/dev/null 2>&1 || true
  run "$scenario"
done
