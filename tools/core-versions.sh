#!/usr/bin/env bash
# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Usage: tools/core-versions.sh [VERSION...]   (default: the oldest that is supported, to the newest)
# With each ansible-core: the syntax of all playbooks and of every tasks file of the roles,
# the examples, and the unit tests of modules and filters. With Python 3.13, as the newest
# releases of ansible-core want 3.12 or newer.
set -euo pipefail
. "$(dirname -- "$0")/lib.sh"
cd "$ROOT"

SUPPORTED=(2.18 2.19 2.20 2.21)
NEEDED=('pytest>=9,<10' 'pytest-xdist>=3,<4' 'hypothesis>=6,<7' 'PyYAML>=6,<7')
# ansible.posix comes with .venv's "ansible"; the checkout is linked beside it by `make setup`
COMPANIONS=$(.venv/bin/python -c 'import pathlib, ansible_collections as all; print(pathlib.Path(list(all.__path__)[0]).parent)')

make_environment() {
  local core=$1 environment=$2 stamp
  stamp="$PYTHON ${NEEDED[*]}"
  [ "$(cat "$environment/.stamp" 2>/dev/null)" = "$stamp" ] && return
  rm -rf "$environment"
  .venv/bin/virtualenv --quiet --python "$PYTHON" "$environment" &&
    "$environment/bin/python" -m pip install --no-input "ansible-core==$core.*" "${NEEDED[@]}" &&
    echo "$stamp" >"$environment/.stamp"
}

# A play with every tasks file of every role, imported, so that all of them are parsed.
all_tasks() {
  local file role
  printf -- '---\n- name: Every tasks file\n  hosts: all\n  gather_facts: false\n  tasks:\n'
  for file in roles/*/tasks/*.yml; do
    role=${file#roles/}
    printf '    - name: %s\n      ansible.builtin.import_role:\n        name: mailops.filter_stack.%s\n        tasks_from: %s\n' \
      "$file" "${role%%/*}" "$(basename "$file" .yml)"
  done
}

syntax() {
  all_tasks >"$1/every-tasks-file.yml" &&
    "$1/bin/ansible-playbook" --syntax-check -i examples/farm playbooks/*.yml "$1/every-tasks-file.yml"
}

PYTHON=$(tools/python.sh 3.13)
[ $# -gt 0 ] || set -- "${SUPPORTED[@]}"
export ANSIBLE_COLLECTIONS_PATH=$ROOT/.ansible/collections:$COMPANIONS
for core; do
  environment=$ROOT/.cache/core/$core
  step "core-$core" "ansible-core $core, $PYTHON" make_environment "$core" "$environment"
  say "ansible-core $("$environment/bin/python" -c 'import ansible.release; print(ansible.release.__version__)')"
  step "core-$core-syntax" "Syntax of playbooks and roles" syntax "$environment"
  say "Unit tests"
  "$environment/bin/python" -m pytest -q -n 4 -p no:cacheprovider tests/unit/plugins tests/unit/examples
done
