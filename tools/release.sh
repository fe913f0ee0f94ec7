#!/usr/bin/env bash
# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Usage: tools/with-docker.sh tools/release.sh
# Builds the artifact, installs it into an empty directory without anything from the network,
# and runs the demo from there: what is released is what was proven. Leaves it in .cache/release.
set -euo pipefail
. "$(dirname -- "$0")/lib.sh"
cd "$ROOT"
export PATH=$ROOT/.venv/bin:$PATH

RELEASE=$ROOT/.cache/release
PLAYBOOKS=(site verify remove report quarantine)

build() {
  rm -rf "$RELEASE"
  tools/build.sh "$RELEASE/artifact"
}

install_artifact() {
  mkdir -p "$RELEASE/empty"
  cd "$RELEASE/empty" &&
    ansible-galaxy collection install --offline --no-deps -p "$RELEASE/collections" "$RELEASE"/artifact/*.tar.gz
}

# From the empty directory, as a user has it: no ansible.cfg, and the checkout is not to be found.
syntax() {
  cd "$RELEASE/empty" &&
    ansible-playbook --syntax-check -i "$ROOT/examples/farm" "${PLAYBOOKS[@]/#/mailops.filter_stack.}"
}

# What is new in it has to be told.
version() {
  local version
  version=$(sed -n 's/^version: *//p' galaxy.yml)
  grep -q "^  $version:" changelogs/changelog.yaml || compgen -G 'changelogs/fragments/*.yml' >/dev/null ||
    { echo "version $version: neither changelogs/changelog.yaml nor changelogs/fragments say what is new" && return 1; }
  antsibull-changelog lint
}

# Left up, like any demo: `make demo-clean` removes it.
demo() {
  python tools/demo up
}

[ -z "$(docker ps -aq --filter name=^filter-stack-demo$)" ] ||
  die "there is a demo host already, of this checkout perhaps; make demo-clean removes it"
step release-version "Changelog" version
step release-build "The artifact" build
step release-install "Installed into an empty directory" install_artifact
export ANSIBLE_COLLECTIONS_PATH=$RELEASE/collections
step release-syntax "Its playbooks" syntax
tools/base-images.sh bookworm
step release-demo "The demo, from what was installed" demo
say "$(basename "$RELEASE"/artifact/*.tar.gz): proven, in .cache/release/artifact"
