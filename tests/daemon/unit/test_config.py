# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""daemon.json: every key, its range, and the one line that a wrong value gets."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filterd import config
from filterd.config import Config, ConfigError
from filterd.values import Address

KEYS = [field.name for field in dataclasses.fields(Config)]


def refusal(data: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        config.from_json(data)
    line = str(caught.value)
    assert line.isprintable(), line
    return line


def problem(data: Any) -> str:
    """The line that refuses it, "" when it is taken."""
    with contextlib.suppress(ConfigError):
        config.from_json(data)
        return ""
    return refusal(data)


class TestDefaults:
    def test_are_those_of_the_contract(self):
        settings = config.from_json({})
        assert settings == Config()
        values = settings.as_json()
        assert values.pop("scanners")[0].items() >= {"type": "clamd", "socket": "/run/clamav/clamd.ctl"}.items()
        contract = {
            "listen": ["127.0.0.1:10024"],
            "reinject": "127.0.0.1:10025",
            "instances": 4,
            "workers": 2,
            "expansion_factor": 2,
            "message_size_limit": 10240000,
            "message_deadline": 90,
            "scratch_directory": "/var/spool/vscan",
            "quarantine_directory": "/var/lib/vscan/quarantine",
            "on_virus": "discard",
            "on_scanner_failure": "tempfail",
        }
        assert values.items() >= contract.items()

    def test_what_it_writes_it_reads(self):
        data = {
            "listen": ["[::1]:0", "127.0.0.1:1"],
            "instances": 9,
            "expansion_factor": 0.5,
            "scanners": [{"type": "clamd", "address": "[::1]:3310"}, {"type": "clamd", "socket": "/x", "timeout": 1}],
        }
        settings = config.from_json(data)
        assert config.from_json(settings.as_json()) == settings
        assert json.loads(json.dumps(settings.as_json())) == settings.as_json()

    def test_every_key_says_what_it_is(self):
        for field in dataclasses.fields(Config):
            assert field.metadata["meaning"], field.name
            assert callable(field.metadata["check"]), field.name

    def test_the_fingerprint_follows_the_effective_configuration(self):
        assert config.from_json({"instances": 4}).fingerprint == Config().fingerprint
        assert config.from_json({"instances": 5}).fingerprint != Config().fingerprint
        assert re.fullmatch(r"[0-9a-f]{12}", Config().fingerprint)


class TestScratchFormula:
    @pytest.mark.parametrize(
        ("n", "f", "limit", "bound"),
        [(5, 2, 10000000, 131250000), (5, 2, 10485760, 137625600), (1, 0.1, 10, 9), (3, 0, 8, 21)],
    )
    def test_n_times_one_plus_f_times_limit_times_seven_eighths(self, n, f, limit, bound):
        settings = config.from_json({"instances": n, "expansion_factor": f, "message_size_limit": limit})
        assert settings.scratch_bound == bound


#: Values that no key takes, but for those that are right for some.
ODD = [None, True, False, "", "x", [], {}, [1], {"a": 1}, -1, 0, 1.5, 10**400, float("inf"), float("nan"), "1" * 9000]


class TestWrongValues:
    @pytest.mark.parametrize("key", KEYS)
    def test_are_named_in_one_line_or_taken(self, key):
        # Given an odd value, then it is taken, or one line names the key, what it held and what it takes.
        for value in ODD:
            line = problem({key: value})
            if line:
                assert line.startswith((f"{key}: held ", "reinject: held", "quarantine_directory: held")), value
                assert "; it takes " in line, value
                assert len(line) < 400, value
            else:
                settings = config.from_json({key: value})
                assert config.from_json(settings.as_json()) == settings, value

    @pytest.mark.parametrize(
        ("key", "value", "takes"),
        [
            ("listen", "127.0.0.1:10024", 'a list of addresses, like ["127.0.0.1:10024"]'),
            ("listen", [], "a list of addresses"),
            ("listen", ["filter.example.com:10024"], "a list of IP addresses with port"),
            ("listen", ["127.0.0.1"], "host:port"),
            ("listen", ["127.0.0.1:70000"], "host:port"),
            ("listen", ["::1:10024"], "host:port"),
            ("listen", ["[127.0.0.1:10024"], "host:port"),
            ("listen", ["[x]:1"], "host:port"),
            ("listen", ["127.0.0.1:\u0661"], "host:port"),
            ("listen", ["127.0.0.1:" + "1" * 5000], "host:port"),
            ("listen", ["127.0.0.1:1", "127.0.0.1:1"], "without repetition"),
            ("reinject", "127.0.0.1:0", "a port from 1 to 65535"),
            ("reinject", "a..b:25", "host:port"),
            ("reinject", "x" * 64 + ":25", "host:port"),
            ("reinject", "-x:25", "host:port"),
            ("reinject", "x\n:25", "host:port"),
            ("instances", 0, "a whole number from 1 to 10000 (messages)"),
            ("instances", 4.0, "a whole number"),
            ("instances", "4", "a whole number"),
            ("instances", True, "a whole number"),
            ("workers", 257, "from 1 to 256"),
            ("expansion_factor", -0.1, "a number from 0 to 1000"),
            ("message_size_limit", 0, "a whole number from 1 to"),
            ("message_deadline", 0, "a number from 0.1 to 86400 (seconds)"),
            ("message_deadline", 10**400, "a number from 0.1"),
            ("scratch_directory", "spool", "an absolute path"),
            ("scratch_directory", "/", "an absolute path"),
            ("scratch_directory", "/a\nb", "an absolute path"),
            ("scratch_directory", "/\ud800", "an absolute path"),
            ("scanners", {}, "a list"),
            ("scanners", ["clamd"], "objects; item 0"),
            ("scanners", [{"type": "clamd"}], 'either "socket" (an absolute path) or "address" (host:port) in item 0'),
            ("scanners", [{"type": "clamd", "socket": "/x", "address": "a:1"}], "either"),
            ("scanners", [{"type": "clamd", "socket": "x"}], "an absolute path in item 0"),
            ("scanners", [{"type": "clamd", "socket": "/x", "timeout": 0}], "a number from 0.1 to 3600 in item 0"),
            ("scanners", [{"type": "clamd", "socket": "/x", "b\nx": 0}], r"item 0 held \"b\\nx\""),
            (
                "scanners",
                [{"type": "sophos", "socket": "/x"}],
                'a type of clamd, command, spamd, rspamd; item 0 held "sophos"',
            ),
            ("on_virus", "drop", "one of pass, tag, quarantine, discard, reject, bounce, tempfail"),
            ("on_scanner_failure", None, "one of tempfail, pass"),
            ("hostname", "a b", "a host name"),
            ("hostname", "x\r\n250 y", "a host name"),
        ],
    )
    def test_what_it_takes_is_said(self, key, value, takes):
        line = refusal({key: value})
        assert line.startswith(f"{key}: held {json.dumps(value)[:117]}")
        assert takes.replace("\\\\", "\\").replace('\\"', '"') in line

    def test_a_key_that_is_almost_right(self):
        assert refusal({"instance": 5}) == "instance: unknown key, it held 5; did you mean instances?"

    def test_an_unknown_key(self):
        line = refusal({"zzz": {"a": 1}})
        assert line.startswith('zzz: unknown key, it held {"a": 1}; known keys: listen, reinject,')

    def test_an_unknown_key_cannot_break_the_line(self):
        assert refusal({"a\nb": 1}).startswith('"a\\nb": unknown key')

    @pytest.mark.parametrize("data", [[], "x", 1, None])
    def test_something_else_than_an_object(self, data):
        assert "it takes an object with keys and values" in refusal(data)

    @given(
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(max_size=9),
            lambda children: (
                st.lists(children, max_size=3)
                | st.dictionaries(st.sampled_from([*KEYS, "x", "type", "socket"]), children, max_size=3)
            ),
            max_leaves=6,
        )
    )
    def test_any_json_is_taken_or_refused(self, data):
        problem(data)


class TestTogether:
    @pytest.mark.parametrize(
        ("listen", "reinject"),
        [
            ("127.0.0.1:10025", "127.0.0.1:10025"),
            ("0.0.0.0:10025", "127.0.0.1:10025"),
            ("[::]:10025", "[::1]:10025"),
            ("localhost:10025", "127.0.0.1:10025"),
            ("127.0.0.1:10025", "localhost:10025"),
        ],
    )
    def test_mail_must_not_loop(self, listen, reinject):
        assert refusal({"listen": [listen], "reinject": reinject}).endswith("than listen, or mail would loop")

    def test_one_port_on_two_hosts_is_no_loop(self):
        config.from_json({"listen": ["127.0.0.1:25"], "reinject": "mail.example.com:25"})

    @pytest.mark.parametrize("place", ["/spool", "/spool/q", "/spool/../spool/q"])
    def test_the_quarantine_must_survive(self, place):
        line = refusal({"scratch_directory": "/spool", "quarantine_directory": place})
        assert "outside scratch_directory (/spool)" in line


class TestFile:
    def load(self, tmp_path, content: bytes) -> str:
        path = tmp_path / "daemon.json"
        path.write_bytes(content)
        with pytest.raises(ConfigError) as caught:
            config.load(str(path))
        assert str(caught.value).startswith(f"{path}: ")
        assert "\n" not in str(caught.value)
        return str(caught.value)

    @pytest.mark.parametrize(
        "content",
        [b"", b"{", b"\xff", b"{} x", b"[" * 100000, b'{"instances": 1' + b"0" * 5000 + b"}", b"\xef\xbb\xbf{}"],
    )
    def test_what_is_not_json(self, tmp_path, content):
        assert "is not valid JSON" in self.load(tmp_path, content)

    def test_a_key_given_twice(self, tmp_path):
        assert "instances: given more than once" in self.load(tmp_path, b'{"instances": 1, "instances": 2}')

    def test_a_missing_file(self, tmp_path):
        with pytest.raises(ConfigError, match=r"daemon\.json: cannot be read: No such file"):
            config.load(str(tmp_path / "daemon.json"))

    def test_a_directory(self, tmp_path):
        with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
            config.load(str(tmp_path))

    def test_a_good_one(self, tmp_path):
        path = tmp_path / "daemon.json"
        path.write_text('{"instances": 7}')
        assert config.load(str(path)).instances == 7


@pytest.mark.parametrize(
    ("address", "loopback"),
    [("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("localhost", True), ("192.0.2.1", False), ("x", False)],
)
def test_loopback(address, loopback):
    assert Address(address, 25).loopback == loopback


def test_addresses_are_written_as_they_are_read():
    assert str(Address("::1", 25)) == "[::1]:25"
    assert str(Address("192.0.2.1", 25)) == "192.0.2.1:25"
