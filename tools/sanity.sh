#!/usr/bin/env bash
# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Usage: tools/sanity.sh [sanity|units]
# Runs `ansible-test` on what the collection's artifact will hold, in a copy at
# a path that it accepts (.../ansible_collections/NAMESPACE/NAME), kept in .cache with
# its environments. Tests and tools are left to `make lint`: its rules are theirs. With
# `units` the tests of modules and filters are there, too, and are run.
set -euo pipefail
. "$(dirname -- "$0")/lib.sh"
cd "$ROOT"
export PATH=$ROOT/.venv/bin:$PATH

WHAT=${1:-sanity}
case $WHAT in
  sanity) LEFT_OUT=(':!tests/daemon' ':!tests/unit') ;;
  # those that compare what is not in the copy
  units) LEFT_OUT=(':!tests/daemon' ':!tests/unit/docs' ':!tests/unit/examples' ':!tests/unit/repository' ':!tests/unit/roles') ;;
  *) die "usage: tools/sanity.sh [sanity|units]" ;;
esac
COPY=$ROOT/.cache/$WHAT/ansible_collections/mailops/filter_stack
# A home of its own: what is put there must not meet other projects' ansible-test.
SANITY_HOME=$ROOT/.cache/sanity/home

# The copy holds what git would commit, now; what ansible-test wrote stays.
update_copy() {
  mkdir -p "$COPY"
  # ansible-test asks git for the files, and this repository ignores .cache
  [ -d "$COPY/.git" ] || git init -q "$COPY"
  find "$COPY" -mindepth 1 \( -path "$COPY/tests/output" -o -path "$COPY/.git" \) -prune -o ! -type d -print0 | xargs -0 -r rm -f
  repository_files \
    . ':!.ci' ':!.config' ':!molecule' ':!tools' "${LEFT_OUT[@]}" |
    while IFS= read -r -d '' file; do [ -e "$file" ] && printf '%s\0' "$file"; done |
    tar --null --files-from=- -cf - | tar -xf - -C "$COPY"
}

# ansible-test fetches a program that installs pip, from a host that often cannot be
# reached, and uses it from this cache when it is there already. Python brings a pip
# along, which is good enough for each of the dozen environments that are made.
provide_pip() {
  local version cache=$SANITY_HOME/.ansible/test/cache
  mkdir -p "$cache"
  version=$(python -c '
import pathlib, re, ansible_test
text = (pathlib.Path(ansible_test.__file__).parent / "_internal/python_requirements.py").read_text()
print(re.search(r"\bpip=.([0-9.]+)", text)[1])')
  cat >"$cache/get_pip_${version//./_}.py" <<'PYTHON'
import ensurepip

ensurepip.bootstrap()
PYTHON
}

# ansible-test hides the environment from pip; the user's settings, also those in
# PIP_* variables, reach it as the configuration file of this home.
provide_pip_settings() {
  mkdir -p "$SANITY_HOME/.config/pip"
  python - >"$SANITY_HOME/.config/pip/pip.conf" <<'PYTHON'
import ast
import subprocess
import sys

listing = subprocess.run([sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=True)
settings = {}
# the environment (":env:.name") last, because it wins
for line in sorted(listing.stdout.splitlines(), key=lambda line: line.startswith(":env:")):
    key, _, value = line.partition("=")
    settings[key.rpartition(".")[2]] = ast.literal_eval(value).replace("\n", "\n  ")
# what .venv's pip has fetched already is not fetched again
cache = subprocess.run([sys.executable, "-m", "pip", "cache", "dir"], capture_output=True, text=True, check=True)
settings["cache-dir"] = cache.stdout.strip()
print("[global]", *(f"{name} = {value}" for name, value in settings.items()), sep="\n")
PYTHON
}

update_copy
provide_pip
provide_pip_settings
cd "$COPY"
python=$(python -c 'import sys; print("%d.%d" % sys.version_info[:2])')
ansible_test() { HOME=$SANITY_HOME ansible-test "$@" --venv --python "$python" --color no </dev/null; }
if [ "$WHAT" = units ]; then
  step units "ansible-test units" ansible_test units --num-workers 4
  exit
fi
# pslint is about PowerShell, of which there is none here. pylint's rules are those of
# ansible-core's own modules; the daemon is no module, and ruff and mypy look after it.
step sanity "ansible-test sanity" ansible_test sanity --skip-test pslint --skip-test pylint
step sanity-pylint "ansible-test sanity, pylint" ansible_test sanity --test pylint plugins/
