#!/bin/sh
# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Runs inside the benchmark's container: the peers as Debian packages them, one clamd for all, Postfix for the whole way.
# Beside it: the daemon's files in /opt/bench/files, the signature database in /opt/bench/test.hdb.
set -eu
export DEBIAN_FRONTEND=noninteractive
echo 'postfix postfix/main_mailer_type select Internet Site' | debconf-set-selections
apt-get -qq update
apt-get -q -y install --no-install-recommends postfix clamav-daemon amavisd-new clamsmtp altermime p7zip-full unzip

# The packages' own services would take the ports and the processors.
systemctl disable --now clamav-daemon.socket clamav-daemon.service amavis.service clamsmtp.service postfix.service \
  >/dev/null 2>&1 || true

# One clamd for everybody, as root so that it may read amavisd-new's files, without a cache of results:
# the benchmark sends the same message again and again.
install -d /run/clamav /var/lib/clamav-bench
cp /opt/bench/test.hdb /var/lib/clamav-bench/
cat >/opt/bench/clamd.conf <<CONF
LocalSocket /run/clamav/clamd.ctl
LocalSocketMode 666
DatabaseDirectory /var/lib/clamav-bench
Foreground yes
DisableCache yes
MaxThreads 12
StreamMaxLength 100M
MaxScanSize 400M
MaxFileSize 100M
CONF

# amavisd-new as Debian installs it, with virus checks switched on, and the same tuned for speed.
cat >/opt/bench/amavis-common.conf <<'CONF'
use strict;
@bypass_virus_checks_maps = (\%bypass_virus_checks, \@bypass_virus_checks_acl, \$bypass_virus_checks_re);
$MYHOME = '/var/lib/amavis';
$TEMPBASE = "$MYHOME/tmp";
$db_home = "$MYHOME/db";
$QUARANTINEDIR = "$MYHOME/virusmails";
$pid_file = "$MYHOME/bench.pid";
$lock_file = "$MYHOME/bench.lock";
@spam_scanners = ();  # nobody here looks for spam
$max_servers = 4;
$inet_socket_port = 10024;
$forward_method = 'smtp:[127.0.0.1]:@REINJECT@';
$notify_method = $forward_method;
$final_virus_destiny = D_DISCARD;
$mydomain = 'example.com';
$myhostname = 'bench.example.com';
1;
CONF
cat >/opt/bench/amavis-tuned.conf <<'CONF'
use strict;
$enable_db = 0;
$enable_zmq = 0;
$do_syslog = 0;
$log_level = 0;
$LOGFILE = '/var/lib/amavis/tuned.log';
1;
CONF

cat >/opt/bench/clamsmtpd.conf <<'CONF'
Listen: 127.0.0.1:10024
OutAddress: 127.0.0.1:@REINJECT@
ClamAddress: /run/clamav/clamd.ctl
TempDirectory: /var/spool/clamsmtp
MaxConnections: 64
User: clamsmtp
CONF

# The whole way: port 2525 in, the filter (or nothing), port 10035 back in, and away.
postconf -e 'inet_interfaces = loopback-only' 'default_transport = discard:' 'local_transport = discard:' \
  'mydestination =' 'local_recipient_maps =' 'content_filter = bench:[127.0.0.1]:10035' 'message_size_limit = 50000000' \
  'mailbox_size_limit = 0' 'smtpd_recipient_restrictions = permit_mynetworks,reject'
postconf -M 'smtp/inet=127.0.0.1:2525 inet n - n - - smtpd'
postconf -M '127.0.0.1:10035/inet=127.0.0.1:10035 inet n - n - - smtpd -o content_filter= -o receive_override_options=no_unknown_recipient_checks,no_header_body_checks,no_milters -o smtpd_authorized_xforward_hosts=127.0.0.0/8'
postconf -M 'bench/unix=bench unix - - n - 4 lmtp -o lmtp_send_xforward_command=yes -o disable_mime_output_conversion=yes'
postconf -M 'benchsmtp/unix=benchsmtp unix - - n - 4 smtp -o smtp_send_xforward_command=yes -o disable_mime_output_conversion=yes'
install -d -m 0700 /var/spool/bench-scratch /var/lib/bench-quarantine
touch /opt/bench/provisioned
