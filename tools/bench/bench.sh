#!/usr/bin/env bash
# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Usage: tools/bench/bench.sh [--rounds N] [--scale SHARE]
#        tools/bench/bench.sh --soak [--seconds N]
# Measures this daemon beside its peers in one container, writes docs/bench/ and the figures in docs/engines.md;
# with --soak only loads it for some minutes and looks whether anything grows.
set -euo pipefail
. "$(dirname -- "$0")/../lib.sh"

NAME=filter-stack-bench
IMAGE=filter-stack-base:bookworm
RAW=$ROOT/.cache/bench.json
RAW_DISCLAIMERS=$ROOT/.cache/bench-disclaimers.json

start_container() {
  docker rm -f "$NAME" >/dev/null 2>&1 || true
  docker run -d --name "$NAME" --hostname bench.example.com --cap-add SYS_ADMIN \
    --security-opt seccomp=unconfined --security-opt apparmor=unconfined \
    --tmpfs /run:exec --tmpfs /run/lock -v /sys/fs/cgroup:/sys/fs/cgroup:rw "$IMAGE" >/dev/null
  docker exec "$NAME" mkdir -p /opt/bench
  docker cp -q "$ROOT/files" "$NAME":/opt/bench/files
  docker cp -q "$ROOT/tools/bench/." "$NAME":/opt/bench/
  docker cp -q "$ROOT/molecule/resources/clamav/filter-stack-test.hdb" "$NAME":/opt/bench/test.hdb
}

trap 'docker rm -f "$NAME" >/dev/null 2>&1 || true' EXIT
step bench-container "Starting the container of the benchmark" start_container
step bench-provision "Installing the peers in it" docker exec "$NAME" sh /opt/bench/provision.sh
if [ "${1:-}" = --soak ]; then
  shift
  docker exec "$NAME" python3 /opt/bench/soak.py "$@"
  exit
fi
docker exec "$NAME" python3 /opt/bench/run.py "$@" >"$RAW"
"$ROOT/.venv/bin/python" "$ROOT/tools/bench/report.py" "$RAW" "$ROOT/docs/bench"
"$ROOT/.venv/bin/python" "$ROOT/tools/bench/engines_page.py" "$ROOT/docs/bench/results.json" "$ROOT/docs/engines.md"
docker exec "$NAME" python3 /opt/bench/disclaimer.py >"$RAW_DISCLAIMERS"
"$ROOT/.venv/bin/python" "$ROOT/tools/bench/disclaimer_report.py" "$RAW_DISCLAIMERS" "$ROOT/docs/bench"
