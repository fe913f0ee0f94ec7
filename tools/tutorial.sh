#!/usr/bin/env bash
# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Usage: tools/with-docker.sh tools/tutorial.sh
# Follows docs/tutorial.md in a fresh container. What its reader has from elsewhere is put
# there: the artifact, and Ansible's packages for the container's Python (3.11).
set -euo pipefail
. "$(dirname -- "$0")/lib.sh"
cd "$ROOT"
export PATH=$ROOT/.venv/bin:$PATH

TUTORIAL=$ROOT/.cache/tutorial
WANTED=$(sed -n "s/.*pip install '\(.*\)'$/\1/p" docs/tutorial.md)

wheels() {
  [ "$(cat "$TUTORIAL/wheels/.stamp" 2>/dev/null)" = "$WANTED" ] && return
  rm -rf "$TUTORIAL/wheels"
  python -m pip download --no-input --only-binary=:all: --python-version 3.11 --dest "$TUTORIAL/wheels" "$WANTED" &&
    echo "$WANTED" >"$TUTORIAL/wheels/.stamp"
}

build() { tools/build.sh "$TUTORIAL/artifact"; }

[ -n "$WANTED" ] || die "docs/tutorial.md no longer says: pip install '...'"
tools/base-images.sh bookworm
step tutorial-wheels "Ansible's packages" wheels
step tutorial-artifact "The artifact" build
say "docs/tutorial.md, to the letter"
python tools/tutorial.py "$TUTORIAL"/artifact/*.tar.gz "$TUTORIAL/wheels"
