#!/usr/bin/env bash
# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Runs every linter, all at once, and fails at the end if one of them had something to say.
set -euo pipefail
. "$(dirname -- "$0")/lib.sh"
cd "$ROOT"
export PATH=$ROOT/.venv/bin:$PATH
names=() pids=()

# lint NAME COMMAND...: begin it; what it says goes into a log file.
lint() {
  local name=$1 log=$LOGS/lint-${#pids[@]}.log
  shift
  (
    start=$SECONDS rc=0
    "$@" </dev/null >"$log" 2>&1 || rc=$?
    [ $((SECONDS - start)) -lt 5 ] || say "$name took $((SECONDS - start)) s"
    exit "$rc"
  ) &
  names+=("$name") pids+=($!)
}

# Wait for all, and show in the order of their beginning what they said. Fails when one of them failed.
results() {
  local number failed=()
  for number in "${!pids[@]}"; do
    wait "${pids[number]}" || failed+=("${names[number]}")
    say "${names[number]}"
    cat "$LOGS/lint-$number.log"
  done
  [ "${#failed[@]}" -eq 0 ] || die "complaints of: $(printf '%s; ' "${failed[@]}")"
}

# unless_passed NAME COMMAND...: for linters that are slow and remember nothing. One that passed is not asked again until
# a file of Ansible or YAML, or the tools themselves, are others: tasks, templates and modules lead into each other.
unless_passed() {
  local stamp=$ROOT/.cache/lint/$1 sum
  shift
  sum=$(
    repository_files '*.yml' '*.yaml' '*.j2' '*.cfg' plugins roles .ansible-lint .yamllint .config .gitignore requirements-dev.txt |
      sort -z | xargs -0 sha256sum --binary -- 2>/dev/null | cat - <(echo "$*") | sha256sum
  ) || true
  [ "$(cat "$stamp" 2>/dev/null)" != "$sum" ] || return 0
  "$@" || return
  mkdir -p "${stamp%/*}"
  echo "$sum" >"$stamp"
}

# Every file says who wrote it and what others may do with it (https://reuse.software).
spdx() {
  local file ours='SPDX-(FileCopyrightText: 2026 The mailops.filter_stack contributors|License-Identifier: GPL-3.0-or-later)'
  # shellcheck disable=SC2016 # the dollars are awk's
  repository_files . | while IFS= read -r -d '' file; do
    case $file in
      # the licence itself, and ansible-test's lists, which take no comment lines
      LICENSE | tests/sanity/ignore-*.txt) continue ;;
      # the figures of make bench: JSON takes none either
      docs/bench/*.json) continue ;;
    esac
    # not one that git still lists, but somebody has just removed
    [ ! -f "$file" ] || printf './%s\0' "$file"
  done | xargs -0 awk -v ours="$ours" '
    FNR <= 6 && $0 ~ ours { found[FILENAME]++ }
    FNR > 6 { nextfile }
    END {
      for (i = 1; i < ARGC; i++)
        if (found[ARGV[i]] != 2) {
          print ARGV[i] ": its first lines have no SPDX-FileCopyrightText and SPDX-License-Identifier"
          bare = 1
        }
      exit bare
    }'
}

apt_need shellcheck
# the slowest first, in two halves: it uses one processor
lint "ansible-lint (roles)" unless_passed ansible-lint-roles ansible-lint -q --offline --profile production roles
lint "ansible-lint (all else)" unless_passed ansible-lint ansible-lint -q --offline --profile production --exclude roles/
lint yamllint unless_passed yamllint yamllint --strict .
lint "mypy (daemon)" mypy --no-error-summary files/filter_daemon.py files/filterd
lint "mypy (demo)" env MYPYPATH=tools/demo mypy --no-error-summary --cache-dir=.mypy_cache/demo tools/demo/*.py
lint "mypy (tools)" env MYPYPATH=files mypy --no-error-summary --cache-dir=.mypy_cache/tools tools/*.py roles/filter_amavis/files/amavis_clean.py
# SC2317: it does not see that step calls the functions whose names it is given
lint shellcheck shellcheck --exclude=SC2317 --external-sources --source-path=SCRIPTDIR .ci/run tools/*.sh
lint antsibull-changelog antsibull-changelog lint
lint spdx spdx
lint ruff ruff check --quiet .
lint "ruff format" ruff format --quiet --diff .
results
