# shellcheck shell=bash
# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# What the shell programs beside this file share. To be sourced, not run.

ROOT=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
LOGS=$ROOT/.cache/log
mkdir -p "$LOGS"
# Set by some CI systems to nothing; pip, Ansible and Docker's client need a home.
export HOME=${HOME:-$(getent passwd "$(id -u)" | cut -d: -f6)}
# What the daemon may be run by on a mail host.
# shellcheck disable=SC2034  # by those who source this
DAEMON_PYTHONS=(3.9 3.10 3.11 3.12 3.13)
# A user's PATH may lack the directories of administration (su without a dash).
export PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin

# What git has or would add, by NUL-ended names relative to ROOT; arguments are pathspecs.
repository_files() {
  # a checkout may belong to another user than the one who tests it
  git -C "$ROOT" -c safe.directory="$ROOT" ls-files -z --cached --others --exclude-standard -- "$@"
}

say() { printf '==> %s\n' "$*" >&2; }
die() {
  printf 'error: %s\n' "$*" >&2
  exit 1
}

# as_root COMMAND...: run it with root's rights.
as_root() {
  if [ "$(id -u)" -eq 0 ]; then
    "$@"
  elif command -v sudo >/dev/null; then
    sudo -- "$@"
  else
    die "this needs root's rights: $* (run make as root, or install sudo)"
  fi
}

# step NAME TEXT COMMAND...: run COMMAND with its output in a log file, say what
# is being done, show a dot every three seconds, and the log only if it fails.
step() {
  local name=$1 text=$2 log=$LOGS/$1.log start=$SECONDS rc=0 ticker
  shift 2
  printf '==> %s ' "$text" >&2
  # without the caller's lock (descriptor 9), which the last sleep would keep
  (while sleep 3; do printf '.' >&2; done) 9>&- &
  ticker=$!
  # in a shell of its own, so that also a COMMAND that calls die is reported here
  ("$@") >"$log" 2>&1 </dev/null || rc=$?
  kill "$ticker" 2>/dev/null
  wait "$ticker" 2>/dev/null || true
  if [ "$rc" -ne 0 ]; then
    printf ' FAILED after %d s\n' $((SECONDS - start)) >&2
    tail -n 40 "$log" >&2
    die "$name ended with $rc; the whole output is in $log"
  fi
  printf ' %d s\n' $((SECONDS - start)) >&2
}

# apt_need PACKAGE...: install those that are missing. Debian and its kin only.
apt_need() {
  local package missing=()
  for package; do
    dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed ||
      missing+=("$package")
  done
  [ "${#missing[@]}" -eq 0 ] && return
  command -v apt-get >/dev/null ||
    die "missing: ${missing[*]}, and there is no apt-get here to install them with"
  step apt-update "Refreshing the package lists" \
    as_root apt-get -q -o DPkg::Lock::Timeout=600 update
  step apt-install "Installing ${missing[*]}" \
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=600 \
    install --no-install-recommends "${missing[@]}"
}
