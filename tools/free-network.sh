#!/usr/bin/env bash
# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Usage: tools/with-docker.sh tools/free-network.sh NAME
# For hosts with addresses of their own: prints the first three numbers of a /24 that neither this machine nor Docker uses.
# That of an earlier run, the Docker network NAME, is used again.
set -euo pipefail
. "$(dirname -- "$0")/lib.sh"

taken=$(docker network inspect -f '{{range .IPAM.Config}}{{.Subnet}}{{end}}' "$1" 2>/dev/null || true)
if [[ $taken == *.0/24 ]]; then
  echo "${taken%.0/24}"
  exit
fi
for third in {7..254}; do
  # routes into it, and routes that cover it, but for the default one
  taken=$(for how in root match; do ip -4 route show "$how" "10.231.$third.0/24"; done | grep -v '^default' || true)
  if [ -z "$taken" ]; then
    echo "10.231.$third"
    exit
  fi
done
die "no network from 10.231.7.0/24 to 10.231.254.0/24 is free (the last one has: $taken):" \
  "name one in FILTER_STACK_TEST_NETWORK, such as 192.168.77"
