#!/usr/bin/env bash
# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Usage: tools/with-docker.sh COMMAND [ARGUMENT...]
# Runs COMMAND where a Docker engine answers: installs and starts one if need be.
# Never goes on without: a test that cannot have Docker has failed.
set -euo pipefail
. "$(dirname -- "$0")/lib.sh"

ENGINE_LOG=/var/log/dockerd-filter-stack.log
ENGINE_PIDFILE=/var/run/docker.pid

# How this user reaches the engine: directly, or, where root's rights are to be had by
# sudo, with the engine's group for the one command. No account is changed for good.
reach=()
choose_reach() {
  if [ "$(id -u)" -ne 0 ] && ! [ -w /var/run/docker.sock ] && getent group docker >/dev/null; then
    command -v sudo >/dev/null || die "$(id -un) may not use the Docker engine: run make as root, or install sudo"
    reach=(sudo --preserve-env -g docker -- env "PATH=$PATH")
  fi
}

engine_answers() {
  choose_reach
  timeout 20 "${reach[@]}" docker version >/dev/null 2>&1
}

install_engine() {
  if ! command -v dockerd >/dev/null; then
    # iproute2 and iptables: what the engine calls, but Debian only recommends
    apt_need docker.io iproute2 iptables
  fi
  # From Debian 13 on the client is a package of its own.
  command -v docker >/dev/null || apt_need docker-cli
}

# After a hard kill the file names a process that is gone, or is another program
# by now, and dockerd refuses to start ("pid file found").
remove_stale_pidfile() {
  local pid
  [ -e "$ENGINE_PIDFILE" ] || return 0
  pid=$(cat "$ENGINE_PIDFILE")
  if [ "$(cat "/proc/$pid/comm" 2>/dev/null)" != dockerd ]; then
    as_root rm -f "$ENGINE_PIDFILE"
  fi
}

wait_for_engine() {
  local deadline=$((SECONDS + 90))
  until engine_answers; do
    [ "$SECONDS" -lt "$deadline" ] || return 1
    sleep 0.5
  done
}

start_with_systemd() {
  if ! { as_root systemctl start docker && wait_for_engine; }; then
    as_root journalctl -u docker -n 30 --no-pager
    return 1
  fi
}

start_without_systemd() {
  remove_stale_pidfile
  # A session of its own: the engine outlives this terminal and this make. No
  # inherited descriptors: 9 is the lock, and the output would hold up a pipe.
  # shellcheck disable=SC2016 # the inner shell expands $1
  as_root sh -c 'setsid dockerd >"$1" 2>&1 </dev/null 9>&- &' sh "$ENGINE_LOG"
  wait_for_engine || { as_root tail -n 30 "$ENGINE_LOG"; return 1; }
}

start_engine() {
  if [ -d /run/systemd/system ]; then
    step docker-start "Starting the Docker engine (a service of systemd)" start_with_systemd
  else
    step docker-start "Starting the Docker engine" start_without_systemd
  fi
}

# One starter on a machine, whichever checkout or user it belongs to.
lock_file() {
  local file=/tmp/filter-stack-docker.lock
  [ -e "$file" ] || (umask 0 && : >"$file")
  echo "$file"
}

ensure_engine() {
  engine_answers && return
  # opened for reading only: the file may be another user's
  exec 9<"$(lock_file)"
  flock -w 600 9 || die "another run has been busy with the Docker engine for ten minutes"
  if ! engine_answers; then
    install_engine
    start_engine
  fi
  exec 9>&-
}

[ $# -gt 0 ] || die "usage: tools/with-docker.sh COMMAND [ARGUMENT...]"
ensure_engine
exec "${reach[@]}" "$@"
