#!/usr/bin/env bash
# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Usage: tools/build.sh DIRECTORY
# Builds the collection's artifact into DIRECTORY, from what git has or would add and
# nothing else that lies about in the checkout, looks through it, and says its path.
# REPOSITORY: the address that galaxy.yml gets if it names none.
set -euo pipefail
. "$(dirname -- "$0")/lib.sh"
cd "$ROOT"
export PATH=$ROOT/.venv/bin:$PATH

[ $# -eq 1 ] || die "usage: tools/build.sh DIRECTORY"
directory=$(realpath -m "$1")
mkdir -p "$directory"
source=$(mktemp -d "$directory/source.XXXXXX")
trap 'rm -rf "$source"' EXIT

repository_files . | while IFS= read -r -d '' file; do [ -e "$file" ] && printf '%s\0' "$file"; done |
  tar --null --files-from=- -cf - | tar -xf - -C "$source"
if [ -n "${REPOSITORY:-}" ] && ! grep -q '^repository:' "$source/galaxy.yml"; then
  echo "repository: $REPOSITORY" >>"$source/galaxy.yml"
fi
rm -f "$directory"/*.tar.gz
(cd "$source" && ansible-galaxy collection build --force --output-path "$directory") >&2
artifact=("$directory"/*.tar.gz)
python tools/artifact.py "${artifact[0]}" >&2
echo "${artifact[0]}"
