#!/usr/bin/env bash
# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Usage: tools/base-images.sh [bookworm] [trixie]      (default: both)
# Makes the images filter-stack-base:RELEASE that tests and demo start from: a
# Debian with systemd, and the packages that a mail host needs downloaded but not
# installed, so that a converge really installs them, and is quick.
#
# An image is made again only when this recipe or the machine's apt sources change.
# FILTER_STACK_DEBIAN_MIRROR: see mirror.sh.
set -euo pipefail
. "$(dirname -- "$0")/lib.sh"
. "$(dirname -- "$0")/mirror.sh"
cd "$ROOT"

PROVISION=$ROOT/tools/base-image-provision.sh
WORK=$(mktemp -d)
trap 'rm -rf "$WORK"' EXIT

# A root file system to provision, under a name of its own: from a registry, else
# from the machine's mirror.
start_from_registry() {
  # A registry that is out of reach answers late or never; a real one within seconds.
  timeout 120 docker pull -q "debian:$1-slim" && docker tag "debian:$1-slim" "filter-stack-rootfs:$1"
}

registry_answers() {
  timeout 15 docker manifest inspect "debian:$1-slim" >/dev/null 2>&1
}

start_from_mirror() {
  local release=$1 tar=$WORK/$1.tar
  # dbus and systemd come with the provisioning; here only what can run it
  as_root mmdebstrap --quiet --variant=minbase --format=tar \
    --include=ca-certificates --aptopt="$WORK/apt.conf" \
    "$release" "$tar" "$WORK/$release.list" &&
    docker import "$tar" "filter-stack-rootfs:$release" &&
    as_root rm -f "$tar"
}

provision() {
  local release=$1 container=filter-stack-build-$1
  docker rm -f "$container" >/dev/null 2>&1 || true
  docker create --name "$container" "filter-stack-rootfs:$release" sh /provision/provision.sh &&
    docker cp "$WORK/provision-$release/." "$container:/provision" &&
    docker start -a "$container" &&
    docker commit --change 'CMD ["/lib/systemd/systemd"]' --change 'ENV container=docker' \
      --change "LABEL filter-stack.recipe=$2" \
      "$container" "filter-stack-base:$release" &&
    docker rm -f "$container" &&
    docker rmi "filter-stack-rootfs:$release"
}

build() {
  local release=$1 recipe image_recipe
  sources_list "$release" >"$WORK/$release.list"
  recipe=$(cat tools/base-images.sh "$PROVISION" "$WORK/$release.list" "$WORK/apt.conf" | sha256sum | cut -d' ' -f1)
  image_recipe=$(docker image inspect -f '{{ index .Config.Labels "filter-stack.recipe" }}' \
    "filter-stack-base:$release" 2>/dev/null || true)
  [ "$image_recipe" != "$recipe" ] || return 0

  mkdir "$WORK/provision-$release"
  cp "$PROVISION" "$WORK/provision-$release/provision.sh"
  cp "$WORK/apt.conf" "$WORK/$release.list" "$WORK/provision-$release/"
  mv "$WORK/provision-$release/$release.list" "$WORK/provision-$release/sources.list"
  # Certificates that the administrator of this machine trusts, for an https mirror.
  cp /usr/local/share/ca-certificates/*.crt "$WORK/provision-$release/" 2>/dev/null || true

  if registry_answers "$release"; then
    step "rootfs-$release" "Pulling debian:$release-slim" start_from_registry "$release"
  elif [ -s "$WORK/$release.list" ]; then
    prepare_mirror "$release"
    step "rootfs-$release" "No registry answers; making Debian $release from this machine's mirror" \
      start_from_mirror "$release"
  else
    die "no image registry answers and this machine's apt has no Debian mirror; FILTER_STACK_DEBIAN_MIRROR takes the address of one"
  fi
  step "image-$release" "Provisioning filter-stack-base:$release" provision "$release" "$recipe"
}

main() {
  local release
  [ $# -gt 0 ] || set -- bookworm trixie
  # Two builds at once would use the same names.
  [ -e /tmp/filter-stack-images.lock ] || (umask 0 && : >/tmp/filter-stack-images.lock)
  exec 8</tmp/filter-stack-images.lock
  flock -w 900 8 || die "another run has been building images for fifteen minutes"
  know_mirrors
  apt_settings >"$WORK/apt.conf"
  for release; do
    case $release in
      bookworm | trixie) build "$release" ;;
      *) die "unknown release $release; it takes bookworm and trixie" ;;
    esac
  done
}

main "$@"
