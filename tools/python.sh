#!/usr/bin/env bash
# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Usage: tools/python.sh 3.X
#        tools/python.sh --available
# Prints the path of a Python of that version: from PATH or ~/.pyenv, or else as the Debian release that has it brings it.
# Of the latter the packages are unpacked into .cache/python, with the C library of their release; nothing is installed
# but what unpacks them. With --available it prints the versions that can be had of those that the daemon supports, and says
# which cannot.
set -euo pipefail
. "$(dirname -- "$0")/lib.sh"
. "$(dirname -- "$0")/mirror.sh"

WORK=$(mktemp -d)
trap 'rm -rf "$WORK"' EXIT

declare -A RELEASES=([3.9]=bullseye [3.11]=bookworm [3.13]=trixie)

# A name in PATH may be a shim that fails (pyenv), so each candidate is run.
found_here() {
  local candidate found=
  for candidate in "python$1" "$HOME"/.pyenv/versions/"$1".*/bin/"python$1"; do
    if "$candidate" -c 'import ssl, zlib' 2>/dev/null; then
      found=$("$candidate" -c 'import sys; print(sys.executable)')
    fi
  done
  [ -n "$found" ] && echo "$found"
}

unpack() {
  local version=$1 tree=$2 python libraries loader packages
  packages=python$version,libpython$version-stdlib
  # until 3.11 a part of the standard library that Debian keeps apart, and that pip wants
  [ "$version" != 3.9 ] || packages+=,python3-distutils,python3-lib2to3
  python=$tree/usr/bin/python$version
  mkdir -p "$(dirname "$tree")" && as_root rm -rf "$tree" &&
    as_root mmdebstrap --quiet --variant=extract --aptopt="$WORK/apt.conf" \
      --include="$packages" "${RELEASES[$version]}" "$tree" "$WORK/sources.list" &&
    loader=$(find "$tree" -path '*/lib/*' -name "$(basename "$(patchelf --print-interpreter "$python")")" | head -n 1) &&
    libraries=$(dirname "$loader") &&
    as_root patchelf --set-interpreter "$loader" --force-rpath \
      --set-rpath "$libraries:$tree/usr/lib/$(basename "$libraries")" "$python" &&
    "$python" -I -c 'import bz2, ctypes, hashlib, lzma, ssl, zlib'
}

available() {
  local version
  for version in "${DAEMON_PYTHONS[@]}"; do
    if [ -n "${RELEASES[$version]:-}" ] || found_here "$version" >/dev/null; then
      echo "$version"
    else
      say "Python $version is neither in PATH nor in ~/.pyenv, and no release of Debian has it: not tested here"
    fi
  done
}

path() {
  local version=$1 tree=$ROOT/.cache/python/debian-$1
  ! found_here "$version" || return 0
  [ -n "${RELEASES[$version]:-}" ] ||
    die "python$version is neither in PATH nor in ~/.pyenv, and no release of Debian has it (these it has: ${!RELEASES[*]})"
  if ! "$tree/usr/bin/python$version" -I -c 'import ssl' 2>/dev/null; then
    know_mirrors
    sources_list "${RELEASES[$version]}" | grep -v -e '-updates main' -e '-security main' >"$WORK/sources.list" ||
      die "this machine's apt has no Debian mirror; FILTER_STACK_DEBIAN_MIRROR takes the address of one"
    apt_settings >"$WORK/apt.conf"
    prepare_mirror "${RELEASES[$version]}"
    apt_need patchelf
    step "debian-python-$version" "Python $version, from Debian's packages" unpack "$version" "$tree"
  fi
  echo "$tree/usr/bin/python$version"
}

case ${1:-} in
  --available) available ;;
  *) path "${1:?it takes a version of Python, such as 3.9}" ;;
esac
