# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys for listening, reinjecting, and the limits and times of a session."""

from __future__ import annotations

import dataclasses

from .. import values
from ..values import Address, Network, key


@dataclasses.dataclass(frozen=True)
class FlowKeys:
    """Keys for listening, reinjecting, and the limits and times of a session."""

    listen: tuple[Address, ...] = key(
        (Address("127.0.0.1", 10024),),
        values.listen,
        "host:port",
        "where Postfix hands mail in, SMTP and LMTP on each",
        values.listen_back,
    )
    reinject: Address = key(  # noqa: RUF009  (a field, not a shared value)
        Address("127.0.0.1", 10025),
        values.reinject,
        "host:port",
        "the smtpd that takes clean mail back; * as host: the one that handed it in",
        str,
    )
    allowed_clients: tuple[Network, ...] = key(
        (),
        values.networks,
        "",
        "networks whose hosts may hand mail in, besides this machine; needed to listen on more than loopback",
        lambda networks: [str(network) for network in networks],
    )
    instances: int = key(4, values.integer(1, 10000), "messages", "n: messages in the filter at the same time")
    workers: int = key(2, values.integer(1, 256), "processes", "worker processes; more than processors is no use")
    expansion_factor: float = key(
        2, values.number(0, 1000), "", "f: room for unpacked content, as a multiple of message_size_limit"
    )
    message_size_limit: int = key(
        10240000,
        values.integer(1, 2**40),
        "bytes",
        "largest message that is taken; Postfix' parameter of the same name",
    )
    message_deadline: float = key(
        90,
        values.number(0.1, 86400),
        "seconds",
        "from the end of data to the answer; must be below the client's patience",
    )
    scratch_directory: str = key(
        "/var/spool/vscan", values.path, "", "where large messages are kept while scanned (tmpfs)"
    )
    hostname: str = key("", values.hostname, "", "the name in greetings; empty for this machine's own")
    max_connections: int = key(
        1000, values.integer(1, 100000), "connections", "per worker; beyond it the one that is idle longest is closed"
    )
    max_recipients: int = key(
        1000, values.integer(100, 100000), "recipients", "per transaction (RFC 5321: at least 100)"
    )
    max_errors: int = key(100, values.integer(1, 100000), "commands", "refused commands before a session is closed")
    max_received_headers: int = key(
        100, values.integer(10, 10000), "headers", "more Received headers than this are a loop"
    )
    command_timeout: float = key(300, values.number(1, 86400), "seconds", "longest silence between commands")
    data_timeout: float = key(180, values.number(1, 86400), "seconds", "longest silence inside a message")
    message_receive_timeout: float = key(
        3600, values.number(1, 86400), "seconds", "longest time from DATA to the end of data"
    )
    min_data_rate: int = key(
        13107,
        values.integer(1, 2**30),
        "bytes per second",
        "that a message which uses scratch has to come with while others wait for a place (looked at every 5 s)",
    )
    farewell_timeout: float = key(
        3, values.number(0.1, 300), "seconds", "that a client has to take the last replies before it is cut off"
    )
    memory_per_message: int = key(
        262144, values.integer(4096, 2**30), "bytes", "of a message kept in memory; what is beyond goes to scratch"
    )
    memory_total: int = key(
        67108864,
        values.integer(1048576, 2**40),
        "bytes",
        "of messages kept in memory per worker; beyond it scratch is used",
    )
    reinject_connect_timeout: float = key(
        30, values.number(0.1, 3600), "seconds", "to connect to the reinjecting smtpd and to be greeted"
    )
    reinject_reply_timeout: float = key(
        60, values.number(0.1, 3600), "seconds", "to wait for one reply of the reinjecting smtpd"
    )
    reinject_idle_timeout: float = key(
        20,
        values.number(0, 3600),
        "seconds",
        "an idle reinjection connection is kept this long; 0 for a new one each time",
    )
    stop_silence: float = key(
        3,
        values.number(0.1, 3600),
        "seconds",
        "longest silence of a client while the service stops, since new clients wait for the next start",
    )
    worker_stall_limit: float = key(
        60,
        values.number(2, 3600),
        "seconds",
        "a worker process whose event loop has not turned for so long is killed and replaced",
    )
    drain_timeout: float = key(
        100, values.number(0, 86400), "seconds", "for messages under way when the service stops or reloads"
    )
