#!/usr/bin/python
# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: mx_info
short_description: The hosts that the MX records of names name
version_added: "0.1.0"
description:
  - Asks the name servers of the host for MX records, as smtp(8) does for a next hop without square brackets, and looks
    up the addresses of the hosts that they name.
  - A name that has none, or that nobody knows, has an empty list. What could not be asked is told, and fails nothing.
extends_documentation_fragment:
  - mailops.filter_stack.attributes
  - mailops.filter_stack.attributes.reads
options:
  names:
    description:
      - Domain names.
    type: list
    elements: str
    required: true
  timeout:
    description:
      - How many seconds one name server has to answer.
    type: int
    default: 3
  resolv_conf:
    description:
      - Where the name servers are named, see resolv.conf(5).
    type: path
    default: /etc/resolv.conf
  port:
    description:
      - The port on which they answer.
    type: int
    default: 53
author:
  - The mailops.filter_stack contributors (@mailops)
"""

EXAMPLES = r"""
- name: See which filters a name stands for
  mailops.filter_stack.mx_info:
    names: [filters.example.com]
  register: filters
"""

RETURN = r"""
records:
  description: For each name its MX records, those to be tried first first.
  returned: always
  type: dict
  sample: {"filters.example.com": [{"preference": 10, "host": "filter1.example.com", "addresses": ["192.0.2.1"]}]}
errors:
  description: For each name that no name server could be asked about, why.
  returned: always
  type: dict
"""

import contextlib
import secrets
import socket
import struct
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mailops.filter_stack.plugins.module_utils import _mx_records

#: The longest answer by UDP to who does not say that longer ones are welcome (RFC 1035 section 4.2.1); some send more.
_LONGEST_DATAGRAM = 4096


def look_up(name: str, servers: list[str], port: int, timeout: float) -> list[_mx_records.Mx]:
    """The MX records of a name, from the first server that answers. Raises DnsError."""
    trouble = []
    for server in servers:
        number = secrets.randbelow(65536)
        asked = _mx_records.question(name, number)
        try:
            return _mx_records.answer(_ask(server, port, asked, number, timeout))
        except (OSError, _mx_records.DnsError) as error:
            trouble.append(f"{server}: {error}")
    raise _mx_records.DnsError("; ".join(trouble))


def _ask(server: str, port: int, asked: bytes, number: int, timeout: float) -> bytes:
    found = socket.getaddrinfo(server, port, type=socket.SOCK_DGRAM, flags=socket.AI_NUMERICHOST)[0]
    family, address = found[0], found[4]
    with socket.socket(family, socket.SOCK_DGRAM) as connection:
        connection.settimeout(timeout)
        connection.connect(address)  # so that only this server is heard
        connection.send(asked)
        packet = connection.recv(_LONGEST_DATAGRAM)
    if not _mx_records.is_answer(packet, number):
        raise _mx_records.DnsError("what it sent is no answer")
    return _ask_again(address, family, asked, timeout) if _mx_records.is_truncated(packet) else packet


def _ask_again(address: Any, family: int, asked: bytes, timeout: float) -> bytes:
    """By TCP, for an answer that is too long for UDP."""
    with socket.socket(family, socket.SOCK_STREAM) as connection:
        connection.settimeout(timeout)
        connection.connect(address)
        connection.sendall(struct.pack("!H", len(asked)) + asked)
        with connection.makefile("rb") as stream:
            head = stream.read(2)
            packet = stream.read(int.from_bytes(head, "big"))
    if packet[:2] != asked[:2]:
        raise _mx_records.DnsError("what it sent by TCP is no answer")
    return packet


def addresses(host: str) -> list[str]:
    """The addresses of a host, as this one looks them up; none when nobody knows it."""
    with contextlib.suppress(OSError, UnicodeError):
        return sorted({str(found[4][0]) for found in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)})
    return []


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "names": {"type": "list", "elements": "str", "required": True},
            "timeout": {"type": "int", "default": 3},
            "resolv_conf": {"type": "path", "default": "/etc/resolv.conf"},
            "port": {"type": "int", "default": 53},
        },
        supports_check_mode=True,
    )
    given = module.params
    if given["timeout"] < 1:
        module.fail_json(msg=f"timeout: {given['timeout']} is wrong, it takes a number of seconds, 1 or more")
    try:
        text = Path(given["resolv_conf"]).read_text(encoding="utf-8", errors="replace")
    except OSError:
        text = ""  # then the host itself is asked, as the C library does
    servers = _mx_records.name_servers(text)
    records: dict[str, list[dict[str, Any]]] = {}
    errors: dict[str, str] = {}
    for name in given["names"]:
        records[name] = []
        try:
            found = look_up(name, servers, given["port"], given["timeout"])
        except _mx_records.DnsError as error:
            errors[name] = str(error)
            continue
        records[name] = [{**mx._asdict(), "addresses": addresses(mx.host)} for mx in found if mx.host]
    module.exit_json(changed=False, records=records, errors=errors)


if __name__ == "__main__":
    main()
