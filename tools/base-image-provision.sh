#!/bin/sh
# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Runs inside a bare Debian, as the recipe of filter-stack-base (see base-images.sh).
# Beside it: apt.conf, sources.list (empty: keep the image's own) and certificates.
set -eu
here=$(dirname "$0")
export DEBIAN_FRONTEND=noninteractive

# A container image throws downloaded packages away after each install, and lets no
# service start; a machine does neither, and a machine is what this stands for.
rm -f /etc/apt/apt.conf.d/docker-clean /etc/apt/apt.conf.d/docker-gzip-indexes \
  /etc/apt/apt.conf.d/docker-no-languages /usr/sbin/policy-rc.d \
  /etc/dpkg/dpkg.cfg.d/docker-apt-speedup /etc/dpkg/dpkg.cfg.d/excludes
cp "$here/apt.conf" /etc/apt/apt.conf.d/80machine
echo 'Binary::apt::APT::Keep-Downloaded-Packages "true"; Acquire::Languages "none";' \
  >/etc/apt/apt.conf.d/81test-machine
# thrown away in any case: no need to wait for the disk
echo force-unsafe-io >/etc/dpkg/dpkg.cfg.d/test-machine
if [ -s "$here/sources.list" ]; then
  rm -f /etc/apt/sources.list.d/*
  cp "$here/sources.list" /etc/apt/sources.list
fi

apt-get -q update
apt-get -q -y install --no-install-recommends systemd systemd-sysv dbus python3 python3-apt \
  ca-certificates iproute2 procps
for certificate in "$here"/*.crt; do
  [ -e "$certificate" ] && cp "$certificate" /usr/local/share/ca-certificates/
done
update-ca-certificates

# The warm cache. Each line is one installation that roles or tests do, with the
# recommended packages, as apt does it on a mail host.
warm() { apt-get -q -y install --download-only "$@"; }
apt-get clean
warm postfix
warm postfix clamav-daemon cron 7zip
warm postfix clamav-daemon cron 7zip clamdscan clamav zip

# A console login and clock daemons have no place in a container.
systemctl mask getty.target console-getty.service systemd-timesyncd.service \
  apt-daily.timer apt-daily-upgrade.timer systemd-firstboot.service >/dev/null 2>&1
rm -rf /provision /var/log/apt /var/log/dpkg.log /etc/machine-id
# empty, not absent: systemd makes one at each start
: >/etc/machine-id
