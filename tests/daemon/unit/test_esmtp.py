# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Paths, parameters, extensions and XFORWARD: what is taken, what is refused and how, what is passed on."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filterd.smtp import esmtp
from filterd.smtp.esmtp import ALL_EXTENSIONS, CommandProblem, Envelope, Extensions, Recipient

NONE = Extensions({})


def envelope(sender: str = "a@example.com", **parts) -> Envelope:
    values = {"parameters": {}, "recipients": [], "xforward": {}, "lmtp": True, "client_name": "x", **parts}
    return Envelope(sender, **values)


class TestPaths:
    @pytest.mark.parametrize(
        ("argument", "address", "rest"),
        [
            ("FROM:<a@example.com>", "a@example.com", ""),
            ("from:<a@example.com> SIZE=1 BODY=7BIT", "a@example.com", "SIZE=1 BODY=7BIT"),
            ("FROM: <a@example.com>", "a@example.com", ""),
            ("FROM:<>", "", ""),
            ("FROM:<> RET=HDRS", "", "RET=HDRS"),
            ("FROM:<user>", "user", ""),
            ('FROM:<"a b"@example.com>', '"a b"@example.com', ""),
            ('FROM:<"a>b"@example.com> X', '"a>b"@example.com', "X"),
            (r'FROM:<"a\">b"@example.com>', r'"a\">b"@example.com', ""),
            (r"FROM:<a\>b@example.com>", r"a\>b@example.com", ""),
            ("FROM:<@relay.example.com,@x:a@example.com>", "a@example.com", ""),
            ("FROM:<a@[192.0.2.1]>", "a@[192.0.2.1]", ""),
            ("FROM:<a@[IPv6:2001:db8::1]>", "a@[IPv6:2001:db8::1]", ""),
            ("FROM:<jürgen@exämple.com>", "jürgen@exämple.com", ""),
        ],
    )
    def test_addresses(self, argument, address, rest):
        assert esmtp.parse_path(argument, "FROM:") == (address, rest)

    @pytest.mark.parametrize(
        "argument",
        [
            *("", "a@example.com", "FROM", "FROM:", "FROM:a@example.com", "FROM:<a@example.com", "FROM:a@example.com>"),
            *("FROM:<a@example.com>x", "FROM:<a b@example.com>", "FROM:<a@example.com>>", "FROM:<<a@example.com>>"),
            *('FROM:<"a@example.com>', "FROM:<a@example.com\\>", "FROM:<@example.com:>", "TO:<a@example.com>"),
        ],
    )
    def test_bad_addresses_are_501_with_an_enhanced_code(self, argument):
        with pytest.raises(CommandProblem) as caught:
            esmtp.parse_path(argument, "FROM:")
        assert caught.value.reply.code == 501
        assert caught.value.reply.enhanced in ("5.5.4", "5.1.7")

    @pytest.mark.parametrize("argument", ["TO:<>", "TO:<@example.com:>", "TO:< >"])
    def test_the_null_address_is_no_recipient(self, argument):
        with pytest.raises(CommandProblem) as caught:
            esmtp.parse_path(argument, "TO:")
        assert (caught.value.reply.code, caught.value.reply.enhanced) == (501, "5.1.3")


class TestParameters:
    @pytest.mark.parametrize(
        ("text", "parameters"),
        [
            ("", {}),
            ("SIZE=1000", {"SIZE": "1000"}),
            ("size=1 Body=8bitmime SMTPUTF8", {"SIZE": "1", "BODY": "8bitmime", "SMTPUTF8": ""}),
            ("ENVID=a+3Db=c", {"ENVID": "a+3Db=c"}),
            ("A  B\tC", {"A": "", "B": "", "C": ""}),
            # What Unicode takes for white space is a part of the value.
            ("ORCPT=utf-8;a\u00a0b\u2003c\x85d@example.com", {"ORCPT": "utf-8;a\u00a0b\u2003c\x85d@example.com"}),
        ],
    )
    def test_are_read(self, text, parameters):
        assert esmtp.parse_parameters(text) == parameters

    @pytest.mark.parametrize("text", ["=x", "A=1 a=2", "-A=1", "A_B", "(x)", "Ä=1"])
    def test_wrong_syntax_is_501(self, text):
        with pytest.raises(CommandProblem) as caught:
            esmtp.parse_parameters(text)
        assert (caught.value.reply.code, caught.value.reply.enhanced) == (501, "5.5.4")

    @pytest.mark.parametrize(
        "parameters",
        [
            *({"SIZE": "0"}, {"SIZE": "1000"}, {"BODY": "7BIT"}, {"BODY": "8bitmime"}, {"SMTPUTF8": ""}),
            *({"RET": "full"}, {"RET": "HDRS"}, {"ENVID": "QQ314159"}, {"ENVID": "a+2Bb"}, {"ENVID": "x" * 100}),
            *({"AUTH": "<>"}, {"AUTH": "a+40example.com"}, {"AUTH": "a@example.com"}),
        ],
    )
    def test_of_mail_are_taken(self, parameters):
        esmtp.check_mail_parameters(parameters, 1000)

    @pytest.mark.parametrize(
        ("parameters", "code", "enhanced"),
        [
            ({"SIZE": "1001"}, 552, "5.3.4"),
            ({"SIZE": "9" * 20}, 552, "5.3.4"),
            ({"SIZE": "9" * 5000}, 501, "5.5.4"),
            ({"SIZE": ""}, 501, "5.5.4"),
            ({"SIZE": "-1"}, 501, "5.5.4"),
            ({"SIZE": "1e3"}, 501, "5.5.4"),
            ({"SIZE": "\u0663"}, 501, "5.5.4"),
            ({"BODY": "BINARYMIME"}, 501, "5.5.4"),
            ({"BODY": ""}, 501, "5.5.4"),
            ({"SMTPUTF8": "yes"}, 501, "5.5.4"),
            ({"RET": "BODY"}, 501, "5.5.4"),
            ({"ENVID": ""}, 501, "5.5.4"),
            ({"ENVID": "x" * 101}, 501, "5.5.4"),
            ({"ENVID": "a=b"}, 501, "5.5.4"),
            ({"ENVID": "a+2"}, 501, "5.5.4"),
            ({"AUTH": ""}, 501, "5.5.4"),
            ({"AUTH": "ü"}, 501, "5.5.4"),
            ({"BOGUS": ""}, 555, "5.5.4"),
            ({"NOTIFY": "NEVER"}, 555, "5.5.4"),
        ],
    )
    def test_of_mail_are_refused(self, parameters, code, enhanced):
        with pytest.raises(CommandProblem) as caught:
            esmtp.check_mail_parameters(parameters, 1000)
        assert (caught.value.reply.code, caught.value.reply.enhanced) == (code, enhanced)
        assert next(iter(parameters)) in caught.value.reply.text or code == 552

    @pytest.mark.parametrize(
        "parameters",
        [
            *({"NOTIFY": "NEVER"}, {"NOTIFY": "success,Failure,DELAY"}, {"NOTIFY": "FAILURE"}),
            *(
                {"ORCPT": "rfc822;b+40example.com"},
                {"ORCPT": "utf-8;jürgen@example.com"},
                {"ORCPT": "x-y;" + "z" * 490},
            ),
        ],
    )
    def test_of_rcpt_are_taken(self, parameters):
        esmtp.check_rcpt_parameters(parameters)

    @pytest.mark.parametrize(
        ("parameters", "code"),
        [
            ({"NOTIFY": ""}, 501),
            ({"NOTIFY": "NEVER,SUCCESS"}, 501),
            ({"NOTIFY": "SUCCESS,SUCCESS"}, 501),
            ({"NOTIFY": "ALWAYS"}, 501),
            ({"ORCPT": ""}, 501),
            ({"ORCPT": "b@example.com"}, 501),
            ({"ORCPT": ";b@example.com"}, 501),
            ({"ORCPT": "rfc822;"}, 501),
            ({"ORCPT": "rfc822;" + "x" * 500}, 501),
            ({"SIZE": "1"}, 555),
        ],
    )
    def test_of_rcpt_are_refused(self, parameters, code):
        with pytest.raises(CommandProblem) as caught:
            esmtp.check_rcpt_parameters(parameters)
        assert (caught.value.reply.code, caught.value.reply.enhanced) == (code, "5.5.4")

    @given(st.text(max_size=60))
    def test_any_text_is_read_or_refused(self, text):
        for parse in (
            lambda: esmtp.parse_path("FROM:" + text, "FROM:"),
            lambda: esmtp.check_mail_parameters(esmtp.parse_parameters(text), 1000),
            lambda: esmtp.check_rcpt_parameters(esmtp.parse_parameters(text)),
            lambda: esmtp.parse_xforward(text),
        ):
            with contextlib.suppress(CommandProblem):
                parse()


class TestExtensions:
    def test_are_read_from_the_reply(self):
        server = Extensions.parse("back.example.com\nPIPELINING\nsize 1000\nAUTH=PLAIN LOGIN\n\nXFORWARD NAME addr")
        assert "PIPELINING" in server
        assert "DSN" not in server
        assert "back.example.com" not in server
        assert server.size == 1000
        assert server.keywords["AUTH"] == "PLAIN LOGIN"
        assert server.xforward == {"NAME", "ADDR"}

    @pytest.mark.parametrize("value", ["", "0", "x", "-5", "1 2", "9" * 5000])
    def test_a_size_that_is_no_limit(self, value):
        assert Extensions.parse(f"back\nSIZE {value}").size == 0

    def test_offered_is_what_the_next_hop_has(self):
        assert esmtp.announced(ALL_EXTENSIONS, 1000) == [
            *("PIPELINING", "SIZE 1000", "8BITMIME", "SMTPUTF8", "DSN", "ENHANCEDSTATUSCODES"),
            "XFORWARD NAME ADDR PORT PROTO HELO IDENT SOURCE",
        ]
        assert esmtp.announced(Extensions.parse("x\n8BITMIME\nXFORWARD HELO NAME BOGUS"), 1000) == [
            *("8BITMIME", "SIZE 1000", "XFORWARD NAME HELO"),
        ]
        assert esmtp.announced(NONE, 1000) == ["SIZE 1000"]

    def test_never_offered(self):
        server = Extensions.parse("x\nSTARTTLS\nAUTH PLAIN\nCHUNKING\nBINARYMIME\nVRFY\nETRN\nXCLIENT NAME")
        assert esmtp.announced(server, 1000) == ["SIZE 1000"]

    @pytest.mark.parametrize(("theirs", "offered"), [(0, 1000), (500, 500), (2000, 1000)])
    def test_the_smaller_size_limit_counts(self, theirs, offered):
        assert esmtp.announced(Extensions({"SIZE": str(theirs)}), 1000) == [f"SIZE {offered}"]


class TestXforward:
    def test_attributes_stay_in_xtext(self):
        text = "NAME=spike.example.com ADDR=IPV6:2001:db8::1 PORT=[UNAVAILABLE] helo=a+20b IDENT=4FQB SOURCE=REMOTE"
        assert esmtp.parse_xforward(text) == {
            "NAME": "spike.example.com",
            "ADDR": "IPV6:2001:db8::1",
            "PORT": "[UNAVAILABLE]",
            "HELO": "a+20b",
            "IDENT": "4FQB",
            "SOURCE": "REMOTE",
        }

    @pytest.mark.parametrize("text", ["", "NAME", "BOGUS=x", "NAME=a+2", "NAME=a+zz", "NAME=" + "x" * 800])
    def test_what_cannot_be_read_is_501(self, text):
        with pytest.raises(CommandProblem) as caught:
            esmtp.parse_xforward(text)
        assert (caught.value.reply.code, caught.value.reply.enhanced) == (501, "5.5.4")

    def test_only_what_the_next_hop_lists_is_passed_on(self):
        attributes = {"SOURCE": "LOCAL", "NAME": "a", "ADDR": "192.0.2.1", "IDENT": ""}
        assert esmtp.xforward_commands(attributes, Extensions({"XFORWARD": "NAME SOURCE IDENT"})) == [
            "XFORWARD NAME=a SOURCE=LOCAL"
        ]
        assert esmtp.xforward_commands(attributes, NONE) == []
        assert esmtp.xforward_commands({}, ALL_EXTENSIONS) == []

    def test_long_attributes_take_several_commands(self):
        attributes = {name: name[0] * 250 for name in esmtp.XFORWARD_ATTRIBUTES}
        commands = esmtp.xforward_commands(attributes, ALL_EXTENSIONS)
        assert all(len(command) <= 510 and command.startswith("XFORWARD ") for command in commands)
        words = [word for command in commands for word in command.split(" ")[1:]]
        assert words == [f"{name}={value}" for name, value in attributes.items()]

    @pytest.mark.parametrize(
        ("value", "text"),
        [("a+20b", "a b"), ("+C3+BC", "ü"), ("ü+2B", "ü+"), ("+FF", "\ufffd"), ("a+2", "a+2"), ("", "")],
    )
    def test_xtext(self, value, text):
        assert esmtp.decode_xtext(value) == text


ALL_PARAMETERS = {"BODY": "8BITMIME", "SMTPUTF8": "", "RET": "FULL", "ENVID": "x+2B", "AUTH": "<>"}


class TestPassedOn:
    def test_mail_with_all_that_the_server_has(self):
        server = Extensions({**ALL_EXTENSIONS.keywords, "SIZE": "", "AUTH": "PLAIN"})
        assert esmtp.mail_command(envelope(parameters=ALL_PARAMETERS), server, 7) == (
            "MAIL FROM:<a@example.com> SIZE=7 BODY=8BITMIME SMTPUTF8 RET=FULL ENVID=x+2B AUTH=<>"
        )

    def test_mail_without_what_it_lacks(self):
        assert esmtp.mail_command(envelope(parameters=ALL_PARAMETERS), NONE, 7) == "MAIL FROM:<a@example.com>"

    def test_the_null_sender(self):
        assert esmtp.mail_command(envelope(""), NONE, 7) == "MAIL FROM:<>"

    def test_rcpt(self):
        recipient = Recipient("b@example.com", {"NOTIFY": "NEVER", "ORCPT": "rfc822;b"})
        assert esmtp.rcpt_command(recipient, ALL_EXTENSIONS) == "RCPT TO:<b@example.com> NOTIFY=NEVER ORCPT=rfc822;b"
        assert esmtp.rcpt_command(recipient, NONE) == "RCPT TO:<b@example.com>"
