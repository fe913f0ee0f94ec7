#!/usr/bin/python
# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: mail_probe
short_description: Send one message into a mail host and say what became of it
version_added: "0.1.0"
description:
  - Sends one message of a chosen kind by SMTP or LMTP, and follows it through Postfix' log of the host on which the
    module runs, from queue file to queue file, until it is delivered, discarded, bounced or deferred.
  - The first queue ID comes from the server's reply to the end of the message, further ones from the replies that
    Postfix' delivery agents log, and from the Message-ID, which a filter does not change.
  - With O(kind=ehlo) no message is sent. The module says EHLO, or LHLO with O(protocol=lmtp), and returns what the
    server offers.
extends_documentation_fragment:
  - mailops.filter_stack.attributes
attributes:
  check_mode:
    support: full
    details:
      - In check mode nothing is sent and no connection is made. RV(sent) is then false.
  diff_mode:
    support: none
    details:
      - There is nothing to compare.
  idempotent:
    details:
      - The module never reports a change. It sends mail each time, but it changes nothing of how the host is set up,
        and a proof that counted as a change would make every verified play a changed one.
options:
  kind:
    description:
      - V(clean) is a short text.
      - V(eicar) has the EICAR test file as an attachment, which every virus scanner takes for a virus.
      - V(banned) has an attachment that is named like a program, and is none.
      - V(8bit) is text that is not ASCII, V(utf8) has that in its header and asks for C(SMTPUTF8), V(dsn) comes with
        the parameters of RFC 3461 (no notification is sent). They fail where O(entry) does not offer the extension.
      - V(null_sender) comes from the null sender, whatever O(sender) says.
      - V(lines) has lines that begin with dots, and lines of 998 characters.
      - V(disclaimer) is text and HTML, to which a disclaimer can be added.
      - V(ehlo) is no message, only the greeting.
    type: str
    choices: [clean, eicar, banned, 8bit, utf8, dsn, null_sender, lines, disclaimer, ehlo]
    required: true
  entry:
    description:
      - Where to send it, as C(host:port) or C([address]:port).
    type: str
    default: 127.0.0.1:25
  protocol:
    description:
      - How to talk to O(entry).
      - V(both) is for O(kind=ehlo), and says EHLO, and LHLO in a second connection. RV(extensions) has then what either
        offers.
    type: str
    choices: [smtp, lmtp, both]
    default: smtp
  sender:
    description:
      - The envelope sender. The empty string is the null sender, of which no bounce can ever come.
    type: str
    default: ""
  recipient:
    description:
      - The envelope recipient. V(postmaster) without a domain is taken by every mail host (RFC 5321 section 4.5.1).
      - Required unless O(kind=ehlo).
    type: str
  expect:
    description:
      - The end that the message must have within O(timeout), else the module fails and says what it saw.
      - V(not_delivered) is any of V(discarded), V(rejected) and V(bounced). It is not V(deferred), because such a
        message may still be delivered.
      - V(any) accepts every end, also none.
      - With O(kind=ehlo), everything but V(rejected) and V(deferred) asks for a positive reply.
    type: str
    choices: [any, delivered, not_delivered, discarded, rejected, deferred, bounced]
    default: any
  timeout:
    description:
      - How long the dialogue and the way through the queues may take together, in seconds.
    type: int
    default: 60
  follow:
    description:
      - V(log) follows the message through Postfix' log.
      - V(none) stops when O(entry) has replied to the message.
    type: str
    choices: [log, none]
    default: log
  mailbox:
    description:
      - The Maildir that the recipient's mail is delivered to, on this host. The module waits until the message is
        there, returns its header as RV(headers), and takes it away, with the Maildir if that was not there before.
      - With O(follow=none) the mailbox alone tells whether the message was delivered.
      - Other messages are not touched.
    type: path
  log_source:
    description:
      - V(auto) reads the file that Postfix' parameter C(maillog_file) names, or else the systemd journal, or else
        C(/var/log/mail.log) or C(/var/log/maillog).
      - V(journal) and V(file) choose one of them.
    type: str
    choices: [auto, journal, file]
    default: auto
  log_file:
    description:
      - The log file to read, for a host that logs somewhere else.
    type: path
notes:
  - The module needs to read Postfix' log, so it usually runs as root.
author:
  - The mailops.filter_stack contributors (@mailops)
seealso:
  - module: mailops.filter_stack.postfix_master
"""

EXAMPLES = r"""
- name: The filter speaks LMTP
  mailops.filter_stack.mail_probe:
    kind: ehlo
    entry: 127.0.0.1:10024
    protocol: lmtp

- name: A clean message is delivered
  mailops.filter_stack.mail_probe:
    kind: clean
    entry: 127.0.0.1:25
    recipient: postmaster@example.com
    expect: delivered

- name: A clean message is delivered, and leaves nothing behind
  mailops.filter_stack.mail_probe:
    kind: clean
    recipient: probe@example.com
    mailbox: /home/probe/Maildir
    expect: delivered
  register: probed

- name: A virus is not
  mailops.filter_stack.mail_probe:
    kind: eicar
    entry: 127.0.0.1:25
    recipient: postmaster@example.com
    expect: not_delivered
"""

RETURN = r"""
sent:
  description: Whether a message was sent, as far as the end of its data.
  returned: always
  type: bool
accepted:
  description: Whether O(entry) gave a positive reply to the message, or to the greeting with O(kind=ehlo).
  returned: when not in check mode
  type: bool
reply:
  description: The reply of O(entry) that decided.
  returned: when there was one
  type: str
  sample: "250 2.0.0 Ok: queued as 4Zx0Vy1CkXz2xKQ"
verdict:
  description:
    - V(delivered), V(discarded) (taken, but it goes nowhere), V(rejected) (O(entry) refused it with 5xx), V(deferred)
      (O(entry) refused it with 4xx, or it is in the deferred queue), V(bounced), or V(unknown) when it had no end
      within O(timeout), or was not followed.
    - When the recipient stands for several and their ends differ, it is V(delivered) if one of them was delivered,
      else V(deferred), else V(bounced). RV(ends) has them all.
  returned: when not in check mode and O(kind) is not V(ehlo)
  type: str
  sample: delivered
ends:
  description: The end for each recipient that the log shows.
  returned: when not in check mode and O(kind) is not V(ehlo)
  type: list
  elements: str
front_queue_id:
  description: The queue ID before the filter. Null when O(entry) is the filter itself, or filters before the queue.
  returned: when not in check mode and O(kind) is not V(ehlo)
  type: str
  sample: 4Zx0Vy1CkXz2xKQ
back_queue_id:
  description: The queue ID behind the filter. Null when the message did not come that far.
  returned: when not in check mode and O(kind) is not V(ehlo)
  type: str
  sample: 4Zx0Vy2NMlz2xKR
message_id:
  description: The Message-ID, with its angle brackets.
  returned: when not in check mode and O(kind) is not V(ehlo)
  type: str
quarantine_id:
  description: The name under which the filter keeps the message, when it said that it quarantined it.
  returned: when not in check mode and O(kind) is not V(ehlo)
  type: str
  sample: 20260801T120000Z-ecd068672d
hops:
  description: Each delivery that Postfix logged for the message, in the order of the log.
  returned: when not in check mode and O(kind) is not V(ehlo)
  type: list
  elements: dict
  contains:
    queue_id:
      description: The queue ID.
      type: str
    recipient:
      description: The recipient, after aliases.
      type: str
    program:
      description: The name under which the delivery agent logs.
      type: str
      sample: postfix/lmtp
    relay:
      description: Where it was delivered to.
      type: str
      sample: 127.0.0.1[127.0.0.1]:10024
    status:
      description: What Postfix calls the result.
      type: str
      sample: sent
    dsn:
      description: The enhanced status code (RFC 3463).
      type: str
      sample: 2.0.0
    delay:
      description: Seconds from the message's arrival to this line.
      type: float
    reply:
      description: What the other side said, or what the delivery agent says.
      type: str
    next_queue_id:
      description: The queue ID that the other side gave.
      type: str
    line:
      description: The log line.
      type: str
headers:
  description:
    - The header fields of the message as it was delivered, in their order, unfolded. Empty when the mailbox does not
      have it.
  returned: when O(mailbox) was given and the message was sent
  type: list
  elements: dict
  contains:
    name:
      description: The field's name.
      type: str
    value:
      description: What it holds.
      type: str
log:
  description: All log lines that mention the message.
  returned: when not in check mode and O(kind) is not V(ehlo)
  type: list
  elements: str
log_source:
  description: Which log was read.
  returned: when the log was read
  type: str
  sample: the systemd journal
dialogue:
  description: What was said between this module (C(C:)) and O(entry) (C(S:)).
  returned: when not in check mode
  type: list
  elements: str
extensions:
  description: What O(entry) offers, by keyword, with the parameters.
  returned: when it accepted the greeting
  type: dict
  sample: {"PIPELINING": "", "SIZE": "10240000"}
times:
  description: When the probe began (UTC), and the seconds from then on.
  returned: when not in check mode
  type: dict
  contains:
    started:
      description: When the module began to connect, in ISO 8601.
      type: str
    answered:
      description: Seconds until O(entry) had given the reply that decided.
      type: float
    ended:
      description: Seconds until the end of the message was known, or the time was up.
      type: float
"""

import uuid
from datetime import datetime, timezone
from email.utils import format_datetime
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mailops.filter_stack.plugins.module_utils import (
    _log_source,
    _postfix_log,
    _probe_mailbox,
    _probe_message,
    _probe_run,
    _smtp_client,
)


def run(module: AnsibleModule, result: dict[str, Any]) -> None:
    """Do what the module was asked for, and put into the result what was seen so far, also when it fails."""
    given = module.params
    host, port = _smtp_client.parse_entry(given["entry"])
    if given["timeout"] < 1:
        raise ValueError(f"timeout: {given['timeout']} is wrong, it takes a number of seconds from 1")
    probe = None
    if given["kind"] != "ehlo":
        if given["protocol"] == "both":
            raise ValueError("protocol: both is wrong, it takes smtp or lmtp for a message, and both for kind: ehlo")
        sender = _probe_message.check_address(given["sender"], "sender", empty_is="the null sender")
        probe = _probe_message.Probe(
            "" if _probe_message.KINDS[given["kind"]].null_sender else sender,
            _probe_message.check_address(given["recipient"], "recipient"),
            uuid.uuid4().hex,
            format_datetime(datetime.now(timezone.utc)),
        )
    if module.check_mode:
        result["msg"] = "check mode: nothing was sent"
        return
    source = None
    if probe is not None and given["follow"] == "log":
        # Opened before the message is sent, so that no line is missed.
        source = _log_source.find(module, given["log_source"], given["log_file"])
        result["log_source"] = source.name
    mailbox = _probe_mailbox.Maildir(given["mailbox"]) if given["mailbox"] and probe is not None else None
    clock = _probe_run.Clock(given["timeout"])
    result["times"] = clock.times
    if probe is None:
        for protocol in ("smtp", "lmtp") if given["protocol"] == "both" else (given["protocol"],):
            reply = _talk(
                _smtp_client.Client(host, port, clock.deadline), {**given, "protocol": protocol}, None, result
            )
            clock.note("answered")
            _judge_greeting(given, protocol, reply)
    else:
        reply = _talk(_smtp_client.Client(host, port, clock.deadline), given, probe, result)
        clock.note("answered")
        _judge_message(given, probe, reply, source, mailbox, clock, result)


def _talk(
    client: _smtp_client.Client,
    given: dict[str, Any],
    probe: _probe_message.Probe | None,
    result: dict[str, Any],
) -> _smtp_client.Reply:
    """The dialogue, added to those before; the reply that decided."""
    try:
        if probe is None:
            reply, offered = _probe_run.greet(client, given["protocol"])
        else:
            content = _probe_message.build(given["kind"], probe)
            kind = _probe_message.KINDS[given["kind"]]
            reply, offered = _probe_run.send(client, given["protocol"], probe.sender, probe.recipient, content, kind)
            result["sent"] = reply.after_data
        client.quit()
    finally:
        client.close()
        result["dialogue"] = result.get("dialogue", []) + client.dialogue
    result.update(reply=str(reply), accepted=reply.positive, extensions={**result.get("extensions", {}), **offered})
    return reply


def _judge_greeting(given: dict[str, Any], protocol: str, reply: _smtp_client.Reply) -> None:
    wanted = given["expect"] if given["expect"] in ("rejected", "deferred") else "accepted"
    if _probe_run.word_for(reply) != wanted:
        greeting = "LHLO" if protocol == "lmtp" else "EHLO"
        raise ValueError(f"expect: {given['expect']}, but {given['entry']} replied to {greeting}: {reply}")


def _judge_message(
    given: dict[str, Any],
    probe: _probe_message.Probe,
    reply: _smtp_client.Reply,
    source: _log_source.LogSource | None,
    mailbox: _probe_mailbox.Maildir | None,
    clock: _probe_run.Clock,
    result: dict[str, object],
) -> None:
    message_id = _probe_message.message_id(probe.token)
    outcome = _probe_run.judge_reply(reply)
    if outcome is None and source is not None:
        outcome = _probe_run.follow(source, reply, message_id, given["expect"], clock.deadline)
    if outcome is None:
        outcome = _probe_run.NOT_FOLLOWED
    if mailbox is not None:
        outcome, result["headers"] = _look_into(mailbox, outcome, message_id, given, clock)
    clock.note("ended")
    story = outcome.story
    replies = [str(reply), *(hop.reply for hop in story.hops)] if story is not None else [str(reply)]
    result.update(
        verdict=outcome.verdict,
        ends=outcome.ends,
        front_queue_id=outcome.front_queue_id,
        back_queue_id=outcome.back_queue_id,
        message_id=message_id,
        quarantine_id=next(filter(None, map(_postfix_log.quarantine_id_in, replies)), None),
        hops=[hop._asdict() for hop in story.hops] if story is not None else [],
        log=list(outcome.log),
    )
    if not _probe_run.met(given["expect"], outcome):
        last = story.hops[-1].line if story is not None and story.hops else f"{given['entry']} replied {reply}"
        raise ValueError(
            f"expect: {given['expect']}, but the {given['kind']} message from <{probe.sender}> to <{probe.recipient}> "
            f"was seen as {outcome.verdict} after {clock.times['ended']} seconds (timeout {given['timeout']}); the "
            f"last that was seen is: {last}"
        )


def _look_into(
    mailbox: _probe_mailbox.Maildir,
    outcome: _probe_run.Outcome,
    message_id: str,
    given: dict[str, Any],
    clock: _probe_run.Clock,
) -> tuple[_probe_run.Outcome, list[dict[str, str]]]:
    """What the mailbox adds to what reply and log have told. One that has the message knows better than both."""
    # A message that went nowhere is not waited for, nor one of which the log has not seen a delivery in all the time.
    expected = outcome.verdict == "delivered" or outcome is _probe_run.NOT_FOLLOWED
    found = mailbox.wait(message_id, clock.deadline if expected else 0.0)
    if found is None:
        if outcome.verdict == "delivered":
            raise ValueError(f"mailbox: {given['mailbox']} does not have the message {message_id}, which was delivered")
        return outcome, []
    path, fields = found
    mailbox.take_away(path)
    if outcome.verdict != "delivered":
        outcome = outcome._replace(verdict="delivered", ends=[*outcome.ends, "delivered"], final=True)
    return outcome, fields


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "kind": {"type": "str", "choices": [*_probe_message.KINDS, "ehlo"], "required": True},
            "entry": {"type": "str", "default": "127.0.0.1:25"},
            "protocol": {"type": "str", "choices": ["smtp", "lmtp", "both"], "default": "smtp"},
            "sender": {"type": "str", "default": ""},
            "recipient": {"type": "str"},
            "expect": {"type": "str", "choices": list(_probe_run.EXPECTATIONS), "default": "any"},
            "timeout": {"type": "int", "default": 60},
            "follow": {"type": "str", "choices": ["log", "none"], "default": "log"},
            "mailbox": {"type": "path"},
            "log_source": {"type": "str", "choices": ["auto", "journal", "file"], "default": "auto"},
            "log_file": {"type": "path"},
        },
        required_if=[("kind", kind, ("recipient",)) for kind in _probe_message.KINDS],
        supports_check_mode=True,
    )
    result: dict[str, Any] = {"changed": False, "sent": False}
    try:
        run(module, result)
    except ValueError as error:
        module.fail_json(msg=str(error), **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
