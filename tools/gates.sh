#!/usr/bin/env bash
# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# What Galaxy looks at when a collection is uploaded, and what its documentation pages are
# made from: antsibull-docs over plugins and roles, and Galaxy's importer over the artifact.
# Both have an environment of their own, .cache/gates, and see an installed copy.
set -euo pipefail
. "$(dirname -- "$0")/lib.sh"
cd "$ROOT"

GATES=$ROOT/.cache/gates
PYTHON=$(realpath .venv/bin/python)
# ansible.posix, which the roles' documentation refers to, comes with .venv's "ansible"
COMPANIONS=$(.venv/bin/python -c 'import pathlib, ansible_collections as all; print(pathlib.Path(list(all.__path__)[0]).parent)')

make_environment() {
  local stamp
  stamp="$PYTHON $(sha256sum <requirements-gates.txt)"
  [ "$(cat "$GATES/.stamp" 2>/dev/null)" = "$stamp" ] && return
  rm -rf "$GATES"
  "$PYTHON" -m venv "$GATES" &&
    "$GATES/bin/python" -m pip install --no-input -r requirements-gates.txt &&
    echo "$stamp" >"$GATES/.stamp"
}

# From an empty directory: this checkout's ansible.cfg is not the user's.
install_artifact() {
  rm -rf "$GATES/artifact" "$GATES/collections"
  mkdir -p "$GATES/empty"
  # the importer refuses a collection without an address
  REPOSITORY=https://www.example.com/ tools/build.sh "$GATES/artifact" &&
    cd "$GATES/empty" &&
    ansible-galaxy collection install --offline --no-deps -p "$GATES/collections" "$GATES"/artifact/*.tar.gz
}

documentation() {
  cd "$GATES/collections/ansible_collections/mailops/filter_stack" &&
    antsibull-docs lint-collection-docs --plugin-docs . --validate-collection-refs dependent
}

# It says of much what it dislikes, and fails only for what Galaxy refuses; ruff, which has the
# line length and the spaces to itself, is the judge of style here.
importer() {
  cd "$GATES/empty" &&
    GALAXY_IMPORTER_RUN_FLAKE8=false python -m galaxy_importer.main "$GATES"/artifact/*.tar.gz
}

step gates "Galaxy's tools, in an environment of their own" make_environment
export PATH=$GATES/bin:$PATH ANSIBLE_COLLECTIONS_PATH=$GATES/collections:$COMPANIONS
step artifact "The artifact, installed" install_artifact
step antsibull-docs "antsibull-docs" documentation
step galaxy-importer "galaxy-importer" importer
