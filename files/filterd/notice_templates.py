# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The texts of notices: built in, or files of an administrator. A text is a subject line, an empty line, and the rest.

Names after $ stand for what is known of the message (NAMES); $$ is a dollar sign (string.Template).
"""

from __future__ import annotations

import os
import string
from typing import NamedTuple

#: What may be written after $, and what it stands for.
NAMES = {
    "hostname": "the name of the filter's host",
    "filter_id": "the id that the message has in the filter's log",
    "quarantine_id": "its id in quarantine, - when it is not there",
    "category": "what was found, one word: virus, banned, ...",
    "problem": "the same in words: a virus, a forbidden kind of file, ...",
    "findings": "the names of all that was found",
    "disposition": "what became of the message, one word: quarantine, reject, ...",
    "fate": "the same in a sentence",
    "sender": "the sender's address in the envelope; <> is the null sender",
    "recipients": "the recipients that the notice is about, one a line in the administrator's, else with commas",
    "client": "the IP address of the host that sent the message, and its name as far as it is known",
    "from": "the header field From",
    "subject": "the header field Subject",
    "date": "the header field Date",
    "message_id": "the header field Message-ID",
    "header": "the whole header, each line indented; at most 8192 bytes of it",
}
#: Bytes of a file that are read.
_LIMIT = 65536

_ADMIN = """\
Subject: $problem in mail from $sender

The mail filter at $hostname has found $problem: $findings.
$fate

Sender:      $sender
Client:      $client
Recipients:  $recipients
From:        $from
Subject:     $subject
Message-ID:  $message_id

Filter id:   $filter_id
Quarantine:  $quarantine_id

The header of the message:

$header
"""

_RECIPIENT = """\
Subject: A message for you was not delivered: $problem

The mail filter at $hostname has not delivered a message for you, because it
has found $problem in it: $findings.

Sender:   $sender
From:     $from
Subject:  $subject
Date:     $date

The sender's address may be forged. If you need the message, ask your
postmaster for the one with this id: $quarantine_id
"""

_SENDER = """\
Subject: Your message was not delivered: $problem

This is the mail filter at $hostname.

Your message was not delivered, because $problem was found in it: $findings.

Subject:     $subject
Date:        $date
Message-ID:  $message_id
"""

_TEXTS = {"admin": _ADMIN, "recipient": _RECIPIENT, "sender": _SENDER}


class TemplateError(Exception):
    """A text cannot be used; the words name the file and what is wrong."""


class Text(NamedTuple):
    """The text of one kind of notice."""

    subject: string.Template
    body: string.Template

    def fill(self, known: dict[str, str], subject: dict[str, str]) -> tuple[str, str]:
        """Subject and body, with what is known in its long and in its short form."""
        return self.subject.substitute(subject), self.body.substitute(known)


class Templates(NamedTuple):
    """All texts."""

    admin: Text
    recipient: Text
    sender: Text


def parse(name: str, text: str) -> Text:
    """One text; `name` is for the error. Raises TemplateError."""
    first, _, rest = text.replace("\r\n", "\n").partition("\n")
    word, colon, subject = first.partition(":")
    if not colon or word.lower() != "subject" or not subject.strip():
        raise TemplateError(f"{name}: line 1 held {first[:60]!r}; it takes Subject: and a text")
    empty, _, body = rest.partition("\n")
    if empty.strip() or not body.strip():
        raise TemplateError(f"{name}: line 2 held {empty[:60]!r}; it takes an empty line, and the text behind it")
    for number, line in enumerate([subject, empty, *body.split("\n")], 1):
        _check(name, number, line)
    return Text(string.Template(subject.strip()), string.Template(body))


def _check(name: str, number: int, line: str) -> None:
    try:
        string.Template(line).substitute(dict.fromkeys(NAMES, ""))
    except KeyError as error:
        known = ", ".join("$" + word for word in NAMES)
        raise TemplateError(f"{name}: line {number} held ${error.args[0]}; known names: {known}") from None
    except ValueError:
        raise TemplateError(f"{name}: line {number} held a $ without a name; $$ is a dollar sign") from None


BUILT_IN = Templates(*(parse(name, _TEXTS[name]) for name in Templates._fields))


def load(directory: str) -> Templates:
    """The texts in a directory, built in where there is no file or no directory is named. Raises TemplateError."""
    if not directory:
        return BUILT_IN
    if not os.path.isdir(directory):
        raise TemplateError(f"{directory}: is not a directory")
    return Templates(*(_read(directory, name, text) for name, text in zip(Templates._fields, BUILT_IN)))


def _read(directory: str, name: str, built_in: Text) -> Text:
    path = os.path.join(directory, name + ".txt")
    try:
        with open(path, "rb") as file:
            content = file.read(_LIMIT + 1)
        if len(content) > _LIMIT:
            raise TemplateError(f"{path}: is larger than {_LIMIT} bytes")
        return parse(path, content.decode("utf-8"))
    except FileNotFoundError:
        return built_in
    except OSError as error:
        raise TemplateError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise TemplateError(f"{path}: is not UTF-8 at byte {error.start}") from None
