# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Extensions, command parameters and XFORWARD: parsed, checked and written again.

RFC 5321 (paths), RFC 1870 (SIZE), RFC 6152 (BODY), RFC 6531 (SMTPUTF8), RFC 3461 (DSN), RFC 4954 (AUTH=),
Postfix XFORWARD_README.
"""

from __future__ import annotations

import dataclasses
import re
from typing import Callable, NamedTuple

from .reply import Reply

#: Attributes of XFORWARD in the order in which Postfix sends them.
XFORWARD_ATTRIBUTES = ("NAME", "ADDR", "PORT", "PROTO", "HELO", "IDENT", "SOURCE")
#: What the filter announces when the reinjecting server has it too. SIZE is always the filter's own.
RELAYED_EXTENSIONS = ("PIPELINING", "8BITMIME", "SMTPUTF8", "DSN", "ENHANCEDSTATUSCODES")

_XTEXT = re.compile(r"(?:[!-*,-<>-~]|\+[0-9A-Fa-f]{2})*\Z")
# Postfix refuses the message when XFORWARD fails, so only what cannot be decoded is refused.
_XFORWARD_VALUE = re.compile(r"(?:[!-*,-~\x80-\U0010ffff]|\+[0-9A-Fa-f]{2})*\Z")
_ORCPT = re.compile(r"[A-Za-z0-9-]+;[^\x00-\x20\x7f]+\Z")
_KEYWORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]*\Z")
_XFORWARD_LINE = 500


class CommandProblem(Exception):
    """A command that must be refused, and the reply that says why."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.text)
        self.reply = reply


class Recipient(NamedTuple):
    """A recipient as the client gave it: address without brackets, parameters with upper-case names."""

    address: str
    parameters: dict[str, str]


class Envelope(NamedTuple):
    """The envelope of one transaction. Parameters keep the client's values; SIZE is left out."""

    sender: str
    parameters: dict[str, str]
    recipients: list[Recipient]
    xforward: dict[str, str]
    lmtp: bool
    client_name: str


@dataclasses.dataclass(frozen=True)
class Extensions:
    """What a server announced after EHLO: keyword in upper case, parameters as one string."""

    keywords: dict[str, str]

    @classmethod
    def parse(cls, text: str) -> Extensions:
        """From the text of an EHLO reply; its first line is the server's name."""
        keywords = {}
        for line in text.split("\n")[1:]:
            # Some servers write AUTH=PLAIN for the sake of ancient clients.
            words = line.replace("=", " ").split(None, 1)
            if words:
                keywords[words[0].upper()] = words[1].strip() if len(words) > 1 else ""
        return cls(keywords)

    def __contains__(self, keyword: object) -> bool:
        return keyword in self.keywords

    @property
    def xforward(self) -> frozenset[str]:
        """The XFORWARD attributes that the server takes, in upper case."""
        return frozenset(self.keywords.get("XFORWARD", "").upper().split())

    @property
    def size(self) -> int:
        """The server's size limit in bytes, 0 for none."""
        value = self.keywords.get("SIZE", "")
        return int(value) if value.isascii() and value.isdigit() and len(value) <= 20 else 0


#: Announced when the reinjecting server has not been seen yet: all that Postfix has.
ALL_EXTENSIONS = Extensions(
    {**dict.fromkeys(RELAYED_EXTENSIONS, ""), "XFORWARD": " ".join(XFORWARD_ATTRIBUTES)},
)


def announced(server: Extensions, size_limit: int) -> list[str]:
    """EHLO keywords for the client: the filter's own, less what the reinjecting server lacks."""
    limit = min(size_limit, server.size) if server.size else size_limit
    lines = [keyword for keyword in RELAYED_EXTENSIONS if keyword in server]
    lines.insert(1, f"SIZE {limit}")
    attributes = [name for name in XFORWARD_ATTRIBUTES if name in server.xforward]
    if attributes:
        lines.append("XFORWARD " + " ".join(attributes))
    return lines


def parse_path(argument: str, keyword: str) -> tuple[str, str]:
    """The address in `FROM:<address> parameters` and the rest. Source routes are dropped (RFC 5321 appendix C)."""
    if argument[: len(keyword)].upper() != keyword:
        raise CommandProblem(
            Reply(501, "5.5.4", f"Syntax: {'MAIL' if keyword == 'FROM:' else 'RCPT'} {keyword}<address>")
        )
    status = "5.1.7" if keyword == "FROM:" else "5.1.3"
    text = argument[len(keyword) :].lstrip(" ")
    if not text.startswith("<"):
        raise CommandProblem(Reply(501, status, "Bad address syntax: the address must stand in angle brackets"))
    end = _closing_bracket(text)
    if end < 0:
        raise CommandProblem(Reply(501, status, "Bad address syntax: no closing bracket"))
    address, rest = text[1:end], text[end + 1 :]
    if rest and not rest.startswith(" "):
        raise CommandProblem(Reply(501, status, "Bad address syntax: text after the closing bracket"))
    if address.startswith("@") and ":" in address:
        address = address.split(":", 1)[1]
        if not address:
            raise CommandProblem(Reply(501, status, "Bad address syntax: a source route without an address"))
    if keyword == "TO:" and not address:
        raise CommandProblem(Reply(501, status, "Bad recipient address: the null address"))
    return address, rest.strip(" ")


def _closing_bracket(text: str) -> int:
    quoted = escaped = False
    for index, character in enumerate(text):
        if escaped:
            escaped = False
        elif character == "\\":
            escaped = True
        elif character == '"':
            quoted = not quoted
        elif not quoted:
            if character == ">":
                return index
            if character in " \t" or (character == "<" and index):
                return -1
    return -1


def _words(text: str) -> list[str]:
    # Not str.split: what Unicode takes for white space may stand inside an international address.
    return [word for word in text.replace("\t", " ").split(" ") if word]


def parse_parameters(text: str) -> dict[str, str]:
    """`NAME=value NAME` as a dictionary with upper-case names; a name given twice is an error."""
    parameters: dict[str, str] = {}
    for word in _words(text):
        name, _, value = word.partition("=")
        name = name.upper()
        if not _KEYWORD.match(name):
            raise CommandProblem(Reply(501, "5.5.4", "Bad parameter syntax"))
        if name in parameters:
            raise CommandProblem(Reply(501, "5.5.4", f"Parameter {name} given twice"))
        parameters[name] = value
    return parameters


def _known_body(value: str) -> bool:
    return value.upper() in {"7BIT", "8BITMIME"}


def _known_ret(value: str) -> bool:
    return value.upper() in {"FULL", "HDRS"}


def _is_xtext(value: str) -> bool:
    return bool(value) and _XTEXT.match(value) is not None


#: MAIL parameters, SIZE excepted: when a value is right, and what the reply says when it is not.
_MAIL_PARAMETERS: dict[str, tuple[Callable[[str], bool], str]] = {
    "BODY": (_known_body, "7BIT or 8BITMIME is needed"),
    "SMTPUTF8": (lambda value: not value, "it takes none"),
    "RET": (_known_ret, "FULL or HDRS is needed"),
    "ENVID": (lambda value: len(value) <= 100 and _is_xtext(value), "xtext of at most 100 characters is needed"),
    "AUTH": (lambda value: value == "<>" or _is_xtext(value), "xtext or <> is needed"),
}


def check_mail_parameters(parameters: dict[str, str], size_limit: int) -> None:
    """Refuse a MAIL parameter that is unknown, malformed, or announces more than `size_limit` bytes."""
    for name, value in parameters.items():
        if name == "SIZE":
            if not (value.isascii() and value.isdigit() and len(value) <= 20):
                raise CommandProblem(Reply(501, "5.5.4", "Bad SIZE value: a number of bytes is needed"))
            if int(value) > size_limit:
                raise CommandProblem(Reply(552, "5.3.4", f"Message size exceeds the limit of {size_limit} bytes"))
            continue
        if name not in _MAIL_PARAMETERS:
            raise CommandProblem(Reply(555, "5.5.4", f"MAIL parameter {name} is not supported"))
        right, needed = _MAIL_PARAMETERS[name]
        if not right(value):
            raise CommandProblem(Reply(501, "5.5.4", f"Bad {name} value: {needed}"))


def check_rcpt_parameters(parameters: dict[str, str]) -> None:
    """Refuse a RCPT parameter that is unknown or malformed (RFC 3461 sections 4.1 and 4.2)."""
    for name, value in parameters.items():
        if name == "NOTIFY":
            words = value.upper().split(",")
            known = {"SUCCESS", "FAILURE", "DELAY"}
            if words != ["NEVER"] and (not set(words) <= known or len(set(words)) != len(words)):
                raise CommandProblem(
                    Reply(501, "5.5.4", "Bad NOTIFY value: NEVER, or SUCCESS, FAILURE, DELAY is needed")
                )
        elif name == "ORCPT":
            if len(value) > 500 or not _ORCPT.match(value):
                raise CommandProblem(Reply(501, "5.5.4", "Bad ORCPT value: type;address is needed"))
        else:
            raise CommandProblem(Reply(555, "5.5.4", f"RCPT parameter {name} is not supported"))


def parse_xforward(text: str) -> dict[str, str]:
    """The attributes of one XFORWARD command. Values stay in xtext: they are passed on, not read."""
    words = _words(text)
    if not words:
        raise CommandProblem(Reply(501, "5.5.4", "Syntax: XFORWARD attribute=value..."))
    attributes = {}
    for word in words:
        name, equals, value = word.partition("=")
        name = name.upper()
        if not equals or name not in XFORWARD_ATTRIBUTES:
            raise CommandProblem(Reply(501, "5.5.4", "Unknown XFORWARD attribute " + name[:40]))
        if not _XFORWARD_VALUE.match(value) or len(value) > 255 * 3:
            raise CommandProblem(Reply(501, "5.5.4", f"Bad XFORWARD value for {name}: xtext is needed"))
        attributes[name] = value
    return attributes


def decode_xtext(value: str) -> str:
    """The text behind xtext (RFC 3461 section 4)."""
    raw = value.encode("utf-8", "surrogateescape")
    raw = re.sub(rb"\+([0-9A-Fa-f]{2})", lambda match: bytes.fromhex(match.group(1).decode("ascii")), raw)
    return raw.decode("utf-8", "replace")


def xforward_commands(attributes: dict[str, str], server: Extensions) -> list[str]:
    """XFORWARD commands for what the server takes, in lines that every server accepts."""
    # Postfix takes no empty value.
    words = [
        f"{name}={attributes[name]}" for name in XFORWARD_ATTRIBUTES if attributes.get(name) and name in server.xforward
    ]
    commands: list[str] = []
    for word in words:
        if commands and len(commands[-1]) + 1 + len(word) <= _XFORWARD_LINE:
            commands[-1] += " " + word
        else:
            commands.append("XFORWARD " + word)
    return commands


def mail_command(envelope: Envelope, server: Extensions, size: int) -> str:
    """MAIL FROM with the parameters that the server announced; `size` is what will be sent, in bytes."""
    words = [f"MAIL FROM:<{envelope.sender}>"]
    if "SIZE" in server:
        words.append(f"SIZE={size}")
    owner = {"BODY": "8BITMIME", "SMTPUTF8": "SMTPUTF8", "RET": "DSN", "ENVID": "DSN", "AUTH": "AUTH"}
    for name, value in envelope.parameters.items():
        if owner[name] in server:
            words.append(f"{name}={value}" if value else name)
    return " ".join(words)


def rcpt_command(recipient: Recipient, server: Extensions) -> str:
    """RCPT TO with its DSN parameters where the server has DSN."""
    words = [f"RCPT TO:<{recipient.address}>"]
    if "DSN" in server:
        words.extend(f"{name}={value}" for name, value in recipient.parameters.items())
    return " ".join(words)
