# shellcheck shell=bash
# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Debian's packages of any release, from the mirror that this machine's apt uses. To be sourced after lib.sh by a program
# that has a directory of its own for work, WORK.
# FILTER_STACK_DEBIAN_MIRROR: a Debian mirror to use in its place (needed only where apt has no Debian).

# Lines "SUITE-CLASS URI" as the machine's apt knows them, whichever format its
# sources have: main for a release, updates and security for theirs.
apt_uris() {
  # shellcheck disable=SC2016 # the dollars are apt's
  apt-get indextargets --format '$(LABEL)|$(RELEASE)|$(REPO_URI)' 'Created-By: Packages' 2>/dev/null |
    awk -F '|' '
      $1 == "Debian" && $2 !~ /-/           { print "main", $3 }
      $1 == "Debian" && $2 ~ /-updates$/    { print "updates", $3 }
      $1 == "Debian-Security"               { print "security", $3 }' | sort -u
}

# The sources.list for RELEASE from the machine's own mirrors; empty if it has none.
sources_list() {
  local release=$1 main updates security
  main=${FILTER_STACK_DEBIAN_MIRROR:-$(awk '$1 == "main" { print $2; exit }' "$WORK/uris")}
  updates=$(awk '$1 == "updates" { print $2; exit }' "$WORK/uris")
  security=$(awk '$1 == "security" { print $2; exit }' "$WORK/uris")
  [ -n "$main" ] || return 0
  echo "deb $main $release main"
  [ -z "$updates" ] || echo "deb $updates $release-updates main"
  [ -z "$security" ] || echo "deb $security $release-security main"
}

# What apt on this machine needs to reach its mirrors (proxy, dates), without the
# rest of its configuration; the environment's proxy where apt has none.
apt_settings() {
  local scheme variable settings
  settings=$(apt-config dump |
    grep -E '^Acquire::(https?::Proxy|Check-Valid-Until|Check-Date|ForceIPv)[^ ]* "[^"]+";' || true)
  echo "$settings"
  for scheme in http https; do
    variable=${scheme}_proxy
    if [ -n "${!variable:-}" ] && ! grep -q "^Acquire::$scheme::Proxy \"" <<<"$settings"; then
      echo "Acquire::$scheme::Proxy \"${!variable}\";"
    fi
  done
}

# What the functions above need to know, in WORK/uris.
know_mirrors() {
  apt_uris >"$WORK/uris"
  if [ ! -s "$WORK/uris" ]; then
    # a fresh machine has no lists yet, and apt tells targets only from lists
    step apt-update "Refreshing the package lists" as_root apt-get -q update
    apt_uris >"$WORK/uris"
  fi
}

# mmdebstrap, and the archive's keys: older ones do not know newer releases.
prepare_mirror() {
  apt_need mmdebstrap debian-archive-keyring
  if [ "$1" = trixie ] && [ ! -e /usr/share/keyrings/debian-archive-trixie-stable.gpg ]; then
    step apt-update "Refreshing the package lists" as_root apt-get -q update
    step keyring "Bringing the archive's keys up to date" \
      as_root apt-get -q -y -o DPkg::Lock::Timeout=600 install debian-archive-keyring
  fi
}
