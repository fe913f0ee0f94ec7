# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The MIME walker: what each part decodes to, for every split of the input, hostile trees included."""

from __future__ import annotations

import base64
import email
import email.policy
import quopri
from email.message import EmailMessage

import pytest
from harness.clamd import EICAR
from harness.effort import TIMES, growth
from hypothesis import given, settings
from hypothesis import strategies as st

from filterd.content.analysis import Analysis
from filterd.content.mime import DEPTH_LIMIT, HEADER_LIMIT, Walker


def walk(content: bytes, cuts: list[int] | None = None) -> list[bytes]:
    """The decoded content of each part, in order of appearance."""
    parts: list[bytearray] = []

    def open_part(_part):
        parts.append(bytearray())
        return parts[-1].extend

    walker = Walker(open_part)
    start = 0
    for cut in sorted({cut % (len(content) + 1) for cut in cuts or []}):
        walker.feed(content[start:cut])
        start = cut
    walker.feed(content[start:])
    walker.finish()
    return [bytes(part) for part in parts]


def lines(*texts: str) -> bytes:
    return "".join(text + "\r\n" for text in texts).encode()


def found(content: bytes, cuts: list[int] | None = None) -> bool:
    analysis = Analysis()
    start = 0
    for cut in [*sorted(cuts or []), len(content)]:
        analysis.feed(content[start:cut])
        start = cut
    return bool(analysis.finish())


ENCODED = base64.encodebytes(EICAR).decode().replace("\n", "")
MIXED = lines("Content-Type: multipart/mixed; boundary=b", "")


class TestTrees:
    def test_a_plain_message_is_one_part(self):
        assert walk(lines("Subject: x", "", "Hello", "World")) == [b"Hello\r\nWorld\r\n"]

    def test_a_message_without_header_is_all_body(self):
        assert walk(lines("", "Hello")) == [b"Hello\r\n"]

    def test_a_message_without_empty_line_is_all_header(self):
        assert walk(lines("Subject: x", "To: y")) == []

    def test_an_empty_message_has_no_parts(self):
        assert walk(b"") == []

    def test_the_line_end_before_a_delimiter_belongs_to_it(self):
        content = MIXED + lines("preamble", "--b", "", "one", "--b", "Content-Type: text/html", "", "two", "", "--b--")
        assert walk(content + b"epilogue\r\n") == [b"one", b"two\r\n"]

    def test_nested_multiparts_end_with_their_parents(self):
        content = MIXED + lines(
            *("--b", "Content-Type: multipart/alternative; boundary=inner", ""),
            *("--inner", "", "text", "--b", "", "after"),
        )
        assert walk(content) == [b"text", b"after\r\n"]

    def test_the_inner_of_two_equal_boundaries_wins(self):
        inner = lines("--b", "Content-Type: multipart/mixed; boundary=b", "", "--b", "", "one", "--b--")
        assert walk(MIXED + inner + lines("--b", "", "two", "--b--")) == [b"one", b"two"]

    def test_a_delimiter_that_only_begins_like_one_is_content(self):
        content = MIXED + lines("--b", "", "--bb", "--b-", "x--b", "--b--", "gone")
        assert walk(content) == [b"--bb\r\n--b-\r\nx--b"]

    def test_white_space_behind_a_delimiter_is_padding(self):
        assert walk(MIXED + lines("--b \t", "", "one", "--b-- ", "gone")) == [b"one"]

    def test_a_multipart_without_end_has_its_last_part(self):
        assert walk(MIXED + lines("--b", "", "one", "two")) == [b"one\r\ntwo\r\n"]

    def test_a_part_that_ends_inside_its_header(self):
        assert walk(MIXED + lines("--b", "Content-Type: text/plain", "--b", "", "two", "--b--")) == [b"two"]

    def test_a_message_in_a_message_has_a_header_of_its_own(self):
        content = lines("Content-Type: message/rfc822", "", "Subject: inner", "", "body")
        assert walk(content) == [b"body\r\n"]

    def test_parts_of_a_digest_are_messages(self):
        content = lines(
            "Content-Type: multipart/digest; boundary=b", "", "--b", "", "Subject: inner", "", "body", "--b--"
        )
        assert walk(content) == [b"body"]

    def test_a_digest_of_nothing_but_delimiters_ends(self):
        assert walk(lines("Content-Type: multipart/digest; boundary=b", "") + b"--b\r\n" * 1000) == []

    @pytest.mark.parametrize("kind", ["message/rfc822", "message/global", "MESSAGE/RFC822 (comment)"])
    @pytest.mark.parametrize("line_end", [b"\n", b"\r\n"])
    def test_a_message_that_is_encoded_is_walked_too(self, kind, line_end):
        inner = lines("Content-Transfer-Encoding: base64", "", ENCODED).replace(b"\r\n", line_end)
        content = lines(f"Content-Type: {kind}", "Content-Transfer-Encoding: base64", "") + base64.encodebytes(inner)
        assert walk(content.replace(b"\n", b"\r\n").replace(b"\r\r\n", b"\r\n")) == [EICAR]

    @given(st.lists(st.integers(0, 10000), max_size=20))
    def test_any_split_gives_the_same_parts(self, cuts):
        content = MIXED + lines(
            *("preamble", "--b", "Content-Transfer-Encoding: base64", "", ENCODED[:10], ENCODED[10:], "=QUJD", "--b"),
            *('Content-Type: multipart/related; boundary="c d"', "", "--c d", "", "x", "--c d", "", "", "--", "-", ""),
            *("--c d--", "between", "--b", "Content-Type: message/rfc822", "", "Content-Transfer-Encoding:"),
            *(" quoted-printable", "", "a=3D=", "b =20 ", "=", "--b--", "epilogue"),
        )
        assert walk(content, cuts) == walk(content)
        assert walk(content) == [EICAR + b"ABC", b"x", b"\r\n--\r\n-\r\n", b"a=b   \r\n"]


class TestReadings:
    """Where readers disagree, every reading is looked at."""

    @pytest.mark.parametrize(
        "header",
        [
            "Content-Transfer-Encoding: base64",
            "CONTENT-TRANSFER-ENCODING:BASE64",
            "Content-Transfer-Encoding : base64",  # a space before the colon
            "Content-Transfer-Encoding:\r\n base64",
            "Content-Transfer-Encoding: base64 (really)",
            'Content-Transfer-Encoding: "base64"',
            "Content-Transfer-Encoding: base64\r\nContent-Transfer-Encoding: 7bit",
            "Content-Transfer-Encoding: 7bit\r\nContent-Transfer-Encoding: base64",
            "Content-Transfer-Encoding: quoted-printable\r\nContent-Transfer-Encoding: base64",
            "X: y\r\nno field at all\r\nContent-Transfer-Encoding: base64",
            ">From somebody\r\nContent-Transfer-Encoding: base64",
        ],
    )
    def test_ways_to_say_base64(self, header):
        assert EICAR in walk(f"{header}\r\n\r\n{ENCODED}\r\n".encode())

    def test_a_body_that_begins_without_an_empty_line(self):
        content = lines("Content-Transfer-Encoding: base64", ENCODED[:40], ENCODED[40:], "", "")
        assert walk(content) == [EICAR]
        content = MIXED + lines("--b", "Content-Transfer-Encoding: base64", ENCODED, "--b--")
        assert walk(content) == [EICAR]

    @pytest.mark.parametrize(
        "value",
        [
            "multipart/mixed; boundary=real",
            'multipart/mixed; boundary="real"',
            "MULTIPART/MIXED; BOUNDARY=real",
            "multipart/mixed;\r\n\tboundary = real",
            "multipart/mixed (comment); charset=x; boundary=real; type=y",
            'multipart/mixed; x="; boundary=fake"; boundary=real',
            'multipart/mixed; boundary="re\\al"',
            'multipart/mixed; boundary="real',
            "multipart/mixed; boundary=fake; boundary=real",
            "multipart/mixed; boundary=real; boundary=fake",
            "multipart/mixed; boundary=fake\r\nContent-Type: multipart/mixed; boundary=real",
            "multipart/mixed; boundary=real\r\nContent-Type: text/plain",
            "text/plain\r\nContent-Type: multipart/mixed; boundary=real",
            "multipart/mixed; boundary*=us-ascii'en're%61l",
            "multipart/mixed; boundary*0=re; boundary*1=al",
            "multipart/mixed; boundary*1*=%61l; boundary*0*=us-ascii''re",
            "multipart/mixed; boundary=real rest",
        ],
    )
    def test_ways_to_name_a_boundary(self, value):
        content = (
            f"Content-Type: {value}\r\n\r\n--real\r\nContent-Transfer-Encoding: base64\r\n\r\n{ENCODED}\r\n--real--\r\n"
        )
        assert walk(content.encode()) == [EICAR]

    def test_a_multipart_whose_body_is_no_multipart(self):
        content = lines("Content-Type: multipart/mixed; boundary=x", "Content-Transfer-Encoding: base64", "", ENCODED)
        assert walk(content) == [EICAR]


class TestTestPattern:
    @pytest.mark.parametrize("encoding", ["7bit", "base64", "quoted-printable"])
    @pytest.mark.parametrize("depth", [0, 1, 5, 200])
    def test_is_found_at_any_depth(self, encoding, depth):
        body = {"7bit": EICAR, "base64": base64.encodebytes(EICAR), "quoted-printable": quopri.encodestring(EICAR)}[
            encoding
        ]
        content = f"Content-Transfer-Encoding: {encoding}\r\n\r\n".encode() + body.replace(b"\n", b"\r\n") + b"\r\n"
        for level in range(depth):
            head = f"Content-Type: multipart/mixed; boundary=b{level}\r\n\r\n--b{level}\r\n".encode()
            content = head + content + f"--b{level}--\r\n".encode()
        assert found(content)

    @pytest.mark.parametrize("width", [1, 4, 5, 19, 76, 998])
    def test_is_found_in_base64_of_any_width(self, width):
        wrapped = "\r\n".join(ENCODED[start : start + width] for start in range(0, len(ENCODED), width))
        assert found(lines("Content-Transfer-Encoding: base64", "", wrapped))

    def test_is_found_between_characters_that_are_not_base64(self):
        assert found(lines("Content-Transfer-Encoding: base64", "", *("!" + c + " \0" for c in ENCODED)))

    def test_is_found_over_a_soft_line_break(self):
        text = EICAR.decode()
        broken = [text[start : start + 7] + "=" + " " * (start % 3) for start in range(0, len(text), 7)]
        assert found(lines("Content-Transfer-Encoding: quoted-printable", "", *broken))

    def test_is_found_in_a_line_without_end(self):
        encoded = "".join(f"={byte:02X}" for byte in b"x" * 5000 + EICAR + b"x" * 5000)
        content = lines("Content-Transfer-Encoding: quoted-printable", "", encoded)
        assert found(content, list(range(0, len(content), 1460)))

    def test_is_not_found_over_two_parts(self):
        assert not found(MIXED + lines("--b", "", EICAR[:30].decode(), "--b", "", EICAR[30:].decode(), "--b--"))

    @given(st.lists(st.integers(0, 200), max_size=8))
    def test_is_found_over_any_split(self, cuts):
        assert found(lines("", EICAR.decode()), [cut for cut in cuts if cut <= 70])


class TestHostileInput:
    @given(st.binary(max_size=300), st.lists(st.integers(0, 300), max_size=5))
    def test_bytes_never_raise(self, data, cuts):
        walk(data, cuts)
        walk(MIXED + b"--b\r\n" + data, cuts)

    @given(
        st.lists(
            st.sampled_from(
                [
                    *(
                        "--b",
                        "--b--",
                        "--c",
                        "--c--",
                        "--",
                        "-",
                        "",
                        " ",
                        "junk",
                        "From x",
                        "A: b",
                        " folded",
                        "=",
                        "QUJD",
                    ),
                    *("Content-Type: multipart/mixed; boundary=b", "Content-Type: multipart/digest; boundary=c"),
                    *("Content-Type: message/rfc822", "Content-Transfer-Encoding: base64"),
                    *("Content-Transfer-Encoding: quoted-printable", "Content-Type: multipart/digest; boundary=b"),
                ]
            ),
            max_size=25,
        ),
        st.lists(st.integers(0, 1000), max_size=6),
    )
    def test_any_tree_gives_the_same_parts_for_any_split(self, texts, cuts):
        content = lines(*texts)
        assert walk(content, cuts) == walk(content)

    @pytest.mark.parametrize(
        "content",
        [
            pytest.param(MIXED + b"--b\r\n" * 100_000, id="delimiters without an empty line"),
            pytest.param(MIXED + b"--b\r\n\r\n" * 40_000, id="empty parts"),
            pytest.param(MIXED + b"--b\r\nA: b\r\njunk\r\n" * 20_000, id="parts without an empty line"),
            pytest.param(MIXED + b"--b\r\n\r\n" + b"--\r\n" * 100_000, id="dashes"),
            pytest.param(b"Content-Type: multipart/digest; boundary=b\r\n\r\n" + b"--b\r\n" * 30_000, id="digest"),
            pytest.param(b"Content-Type: message/rfc822\r\n\r\n" * 30_000, id="messages in messages"),
            pytest.param(b"Content-Type: message/rfc822\r\njunk\r\n" * 30_000, id="messages cut short"),
            pytest.param(b"Content-Type: text/plain; x=" + b"a" * 1_000_000, id="one field"),
            pytest.param(b'Content-Type: multipart/mixed; boundary="' + b"\\a" * 500_000, id="one quoted string"),
            pytest.param(b"Content-Type: multipart/mixed" + b"; boundary" * 100_000 + b"\r\n\r\n", id="parameters"),
            pytest.param(b"Content-Type: multipart/mixed;" + b" " * 1_000_000 + b"\r\n\r\n", id="white space"),
            pytest.param(b"Content-Type: a\r\n" * 60_000 + b"\r\n", id="fields"),
            pytest.param(b"X: y\r\n" * 1_000_000, id="a million header lines"),
            pytest.param(
                b"".join(
                    b"Content-Type: multipart/mixed; boundary=%d\r\n\r\n--%d\r\n" % (level, level)
                    for level in range(20_000)
                ),
                id="20000 nested multiparts",
            ),
        ],
    )
    def test_work_grows_with_the_size_and_not_with_its_square(self, content):
        # Given a message made to be expensive, when it is walked, and a part of it, then the time for it has grown with
        # the size.
        def pieces(text):
            return walk(text, list(range(0, len(text), 65536)))

        assert growth(lambda size: content[:size], pieces, len(content) // TIMES) < 4

    def test_a_header_larger_than_the_limit_is_a_body(self):
        content = b"X: y\r\n" * (HEADER_LIMIT // 6 + 2) + b"\r\nHello\r\n"
        assert walk(content, list(range(0, len(content), 65536)))[0].endswith(b"Hello\r\n")

    def test_multiparts_beyond_the_limit_are_content(self):
        content = b"".join(
            b"Content-Type: multipart/mixed; boundary=%d\r\n\r\n--%d\r\n" % (level, level)
            for level in range(DEPTH_LIMIT + 1)
        )
        assert walk(content) == [b"--%d\r\n" % DEPTH_LIMIT]

    def test_encoded_messages_inside_each_other_end_somewhere(self):
        content = b"\r\nthe end"
        head = b"Content-Type: message/rfc822\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
        assert walk(head * 1000 + content)


class TestAgainstThePythonLibrary:
    @settings(max_examples=50)
    @given(
        st.recursive(
            st.tuples(st.sampled_from(["7bit", "base64", "quoted-printable"]), st.text("ab\n-=. ", max_size=60)),
            lambda children: st.lists(children, min_size=1, max_size=3),
            max_leaves=8,
        )
    )
    def test_well_formed_messages_are_read_alike(self, tree):
        message = email.message_from_bytes(_build(tree), policy=email.policy.SMTP)
        content = message.as_bytes()
        again = email.message_from_bytes(content, policy=email.policy.SMTP)
        expected = [part.get_payload(decode=True) for part in again.walk() if not part.is_multipart()]
        assert walk(content) == [_crlf(part) for part in expected if part]


def _build(tree) -> bytes:
    def part(node) -> EmailMessage:
        message = EmailMessage(policy=email.policy.SMTP)
        if isinstance(node, tuple):
            message.set_content(node[1], cte=node[0])
        else:
            message.make_mixed()
            for child in node:
                message.attach(part(child))
        return message

    return part(tree).as_bytes()


def _crlf(data: bytes) -> bytes:
    return data.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


class TestHeader:
    def test_is_that_of_the_message_itself(self):
        analysis = Analysis()
        analysis.feed(
            lines("Received: a", "received : b", "X-Received: c", " Received: d", "Content-Type: message/rfc822")
        )
        analysis.feed(lines("", "Received: inner", "", "Received: body"))
        analysis.finish()
        assert analysis.received_count == 2
        assert analysis.header.endswith(b"Content-Type: message/rfc822")

    def test_ends_where_the_body_begins_without_an_empty_line(self):
        analysis = Analysis()
        analysis.feed(lines("Received: a", "this is no field", "Received: b", "", ""))
        analysis.finish()
        assert analysis.received_count == 1
