#!/usr/bin/env bash
# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Runs every linter, and fails at the end if one of them had something to say.
set -euo pipefail
. "$(dirname -- "$0")/lib.sh"
cd "$ROOT"
export PATH=$ROOT/.venv/bin:$PATH
failed=()

lint() {
  local name=$1 start=$SECONDS
  shift
  say "$name"
  "$@" </dev/null || failed+=("$name")
  [ $((SECONDS - start)) -lt 5 ] || say "$name took $((SECONDS - start)) s"
}

# Every file says who wrote it and what others may do with it (https://reuse.software).
spdx() {
  local file list=$LOGS/files bare=0 ours='SPDX-(FileCopyrightText: 2026 The mailops.filter_stack contributors|License-Identifier: GPL-3.0-or-later)'
  repository_files . >"$list" || return 1
  while IFS= read -r -d '' file; do
    case $file in
      # the licence itself, and ansible-test's lists, which take no comment lines
      LICENSE | tests/sanity/ignore-*.txt) continue ;;
      # the figures of make bench: JSON takes none either
      docs/bench/*.json) continue ;;
    esac
    # not one that git still lists, but somebody has just removed
    [ -f "$file" ] || continue
    if [ "$(head -n 6 "$file" | grep -cE "$ours")" -ne 2 ]; then
      echo "$file: its first lines have no SPDX-FileCopyrightText and SPDX-License-Identifier" >&2
      bare=1
    fi
  done <"$list"
  return "$bare"
}

apt_need shellcheck
lint spdx spdx
lint ruff ruff check --quiet .
lint "ruff format" ruff format --quiet --diff .
lint "mypy (daemon)" mypy --no-error-summary files/filter_daemon.py files/filterd
lint "mypy (demo)" env MYPYPATH=tools/demo mypy --no-error-summary tools/demo/*.py
lint "mypy (tools)" env MYPYPATH=files mypy --no-error-summary tools/*.py roles/filter_amavis/files/amavis_clean.py
# SC2317: it does not see that step calls the functions whose names it is given
lint shellcheck shellcheck --exclude=SC2317 --external-sources --source-path=SCRIPTDIR .ci/run tools/*.sh
lint yamllint yamllint --strict .
lint antsibull-changelog antsibull-changelog lint
lint ansible-lint ansible-lint -q --offline --profile production

[ "${#failed[@]}" -eq 0 ] || die "complaints of: $(printf '%s; ' "${failed[@]}")"
