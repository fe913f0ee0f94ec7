# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""master.cf is read as Postfix reads it, and what Postfix would refuse is refused with its line."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from ansible_collections.mailops.filter_stack.plugins.module_utils import _master_cf as master_cf
from ansible_collections.mailops.filter_stack.plugins.module_utils import _master_fragment as fragment
from ansible_collections.mailops.filter_stack.plugins.module_utils._postfix_lines import decode, encode
from hypothesis import given, settings
from hypothesis import strategies as st

from .strategies import master_cf_texts, refusal

FIELD_FILES = Path(__file__).parents[2] / "data" / "master.cf"
SCAN = "scan unix - - n - 4 lmtp"


def values(text: str) -> list[tuple[str, ...]]:
    return [service.value for service in master_cf.parse(text)]


@pytest.mark.parametrize(
    "other",
    [
        "scan\tunix\t-\t-\tn\t-\t4\tlmtp\n",
        "scan unix - - n - 4 lmtp",
        "scan unix - -\n n - 4\n\tlmtp\n",
        "scan unix - - n\n# a comment at the left edge\n - 4 lmtp\n",
        "scan unix - - n\n\n   # an indented one\n   \n - 4 lmtp   \n",
    ],
)
def test_spacing_and_comments_are_no_difference(other: str) -> None:
    assert values(other) == values(SCAN + "\n")


@pytest.mark.parametrize(
    "other",
    [
        "-o a=b",
        "-oa=b",
        "-o\n  a=b",
        "-o {a=b}",
        "-o { a = b }",
        "-o{ a = b }",
        "-o {\ta\t=b}",
        "-o { a= b\n }",
    ],
)
def test_the_ways_to_write_an_option_are_no_difference(other: str) -> None:
    assert values(f"{SCAN} {other} -o c=d") == values(f"{SCAN} -o a=b -o c=d")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("-o a=b", "-o a=c"),
        ("-o { a = b c }", "-o a=b c"),
        ("-o { a = b  c }", "-o { a = b c }"),
        ("-o a=b -o c=d", "-o c=d -o a=b"),
        ("-v", "-v -v"),
        ("argv=x {y z}", "argv=x y z"),
        ("", "-v"),
    ],
)
def test_what_is_a_difference(one: str, other: str) -> None:
    assert values(f"{SCAN} {one}") != values(f"{SCAN} {other}")


def test_options_end_at_the_first_argument() -> None:
    assert values(f"{SCAN} -vo a=b -- -o {{ x = y }}")[0][8:] == ("-v", "-o", "a=b", "--", "-o", "x = y")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("scan unix - - n - 4", "7 fields, it takes 8 or more"),
        ("scan", "1 fields"),
        ("scan tcp - - n - 4 lmtp", "type 'tcp' is wrong, it takes one of inet, unix"),
        ("scan unix x - n - 4 lmtp", "private 'x' is wrong, it takes y, n or -"),
        ("scan unix - yes n - 4 lmtp", "unprivileged 'yes' is wrong"),
        ("scan unix - - no - 4 lmtp", "chroot 'no' is wrong"),
        ("25 inet - - n - - smtpd", "private '-' is wrong, a service of type inet takes n"),
        ("scan unix - - n 1h 4 lmtp", "wakeup '1h' is wrong"),
        ("scan unix - - n - four lmtp", "maxproc 'four' is wrong"),
        ("scan unix - - n - -4 lmtp", "maxproc '-4' is wrong"),
        ("scan unix - - n - 4 -", "command '-' is wrong"),
        ("scan unix - - n - 4 lmtp -o { a = b", "the opening brace in '{ a = b' is never closed"),
        ("scan unix - - n - 4 lmtp {a}b", "there is text after the closing brace in '{a}b'"),
        ("  -o a=b", "starts with white space, so it continues a line, but there is no line before it"),
        ("scan unix - - n - 4 lmtp\r", "holds a carriage return; lines end with a line feed alone"),
        ("scan unix - - n - 4 lm\0tp", "holds a null byte"),
    ],
)
def test_a_malformed_line_is_refused_with_its_number(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=r"^/etc/postfix/master\.cf, line 3: ") as error:
        master_cf.parse(f"# one\n\n{text}\n", "/etc/postfix/master.cf")
    assert words in str(error.value)
    assert repr(text.strip()).strip("'")[:20] in str(error.value)


def test_the_number_is_that_of_the_first_line_of_an_entry() -> None:
    with pytest.raises(ValueError, match="line 4: 'broken unix -  -o a=b': 5 fields"):
        master_cf.parse(f"{SCAN}\n # x\n\nbroken unix -\n\n  -o a=b\n")


def test_long_lines_are_cut_in_messages() -> None:
    with pytest.raises(ValueError, match=r"\.\.\.") as error:
        master_cf.parse("x" * 10000)
    assert len(str(error.value)) < 300


@pytest.mark.parametrize("text", ["", "\n", "# only\n  # comments\n\n"])
def test_a_file_without_entries_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="there is no entry in it; it takes at least one service"):
        master_cf.parse_unique(text)


def test_a_service_that_is_there_twice_is_refused_with_both_lines() -> None:
    with pytest.raises(ValueError, match="line 5: the service scan/unix is already defined in line 1; it takes each"):
        master_cf.parse_unique(f"{SCAN}\n  -o a=b\n\nsmtp unix - - n - - smtp\n{SCAN}\n")
    # The same name with another type is another service.
    master_cf.parse_unique("smtp inet n - n - - smtpd\nsmtp unix - - n - - smtp\n")


@pytest.mark.parametrize("option", ["-o", "-o a", "-o =b", "-o a-b=c", "-o a = b", "-v -o { a b = c }"])
def test_an_option_without_name_and_value_is_refused_in_a_fragment(option: str) -> None:
    with pytest.raises(ValueError, match=r"fragment, line 2: scan/unix: -o .* is wrong, it takes name=value"):
        fragment.wanted_services(f"# to the filter\n{SCAN} {option}\n")


def test_a_fragment_keeps_the_comment_directly_above_an_entry_and_its_lines() -> None:
    first, second = fragment.wanted_services(
        f"# A header\n\n# To the\n  # filter\n{SCAN}\n# inside\n  -o a=b\n"
        "# below, so above the next\n25 inet n - n - - smtpd"
    )
    assert first.comment == "# To the\n  # filter\n"
    assert first.text == f"{SCAN}\n# inside\n  -o a=b\n"
    assert second.comment == "# below, so above the next\n"
    assert second.text == "25 inet n - n - - smtpd\n"


def test_a_fragment_may_be_only_names_when_services_go() -> None:
    found = fragment.keys_of(f"{SCAN}\n  -o a=b\n# x\n127.0.0.1:10025/inet\n", ["smtp/unix", "scan/unix"])
    assert [one.key for one in found] == ["scan/unix", "127.0.0.1:10025/inet", "smtp/unix"]


@pytest.mark.parametrize("name", ["scan", "scan/", "/unix", "scan/tcp", "a b/unix", "", "scan/unix/command"])
def test_a_wrong_name_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="it takes the name and type of a service, such as scan/unix"):
        fragment.keys_of(None, [name])


def test_names_that_name_nothing_are_refused() -> None:
    with pytest.raises(ValueError, match="they name no service"):
        fragment.keys_of("# nothing\n", [])


@given(master_cf_texts())
def test_entries_and_what_is_between_them_make_up_the_text(text: str) -> None:
    position = 0
    pieces = []
    for service in master_cf.parse(text):
        pieces += [text[position : service.start], text[service.start : service.end]]
        # What is between entries is nothing but comments and empty lines, and the entry alone is the same entry.
        assert master_cf.parse(pieces[-2]) == []
        assert [one.value for one in master_cf.parse(pieces[-1])] == [service.value]
        position = service.end
    assert "".join([*pieces, text[position:]]) == text


@given(st.text(alphabet=st.sampled_from("abc -o={}\n\t#/:yn0?\r\0\x0b\x0c\x85é\udc80"), max_size=80))
def test_any_text_is_read_or_refused(text: str) -> None:
    assert refusal(master_cf.parse_unique, text, otherwise="master.cf").startswith("master.cf")
    assert refusal(fragment.wanted_services, text, otherwise="fragment").startswith("fragment")


@given(st.binary(max_size=100))
def test_any_bytes_survive_decoding(content: bytes) -> None:
    assert encode(decode(content)) == content


def postconf_says(directory: Path, text: str) -> subprocess.CompletedProcess[str]:
    main_cf = directory / "main.cf"
    main_cf.write_text("compatibility_level = 3.6\n")
    # Postfix waits until a new main.cf is two seconds old.
    os.utime(main_cf, (0, 0))
    directory.joinpath("master.cf").write_bytes(encode(text))
    return subprocess.run(
        ["postconf", "-c", str(directory), "-M"],
        capture_output=True,
        encoding="utf-8",
        errors="surrogateescape",
        check=False,
    )


@pytest.mark.parametrize("name", sorted(path.name for path in FIELD_FILES.glob("*.cf")))
def test_files_from_the_field_are_read_as_postconf_reads_them(name: str, postfix: Path, tmp_path: Path) -> None:
    text = decode(FIELD_FILES.joinpath(name).read_bytes())
    said = postconf_says(tmp_path, text)
    assert said.returncode == 0
    assert values(said.stdout) == values(text)


def test_the_installed_file_is_read_as_postconf_reads_it(postfix: Path, tmp_path: Path) -> None:
    text = (postfix / "master.cf.dist").read_text()
    assert values(postconf_says(tmp_path, text).stdout) == values(text)


@settings(max_examples=40)
@given(text=master_cf_texts())
def test_made_up_files_are_read_as_postconf_reads_them(
    text: str, postfix: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    said = postconf_says(tmp_path_factory.mktemp("postfix"), text)
    assert said.returncode == 0
    assert values(said.stdout) == values(text)


@pytest.mark.parametrize(
    "line",
    [
        "scan unix - - n - 4",
        "scan tcp - - n - 4 lmtp",
        "scan unix - - n 1h 4 lmtp",
    ],
)
def test_postconf_refuses_these_too(line: str, postfix: Path, tmp_path: Path) -> None:
    assert postconf_says(tmp_path, line + "\n").returncode != 0
    with pytest.raises(ValueError, match="line 1"):
        master_cf.parse(line)
