# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is put into a file can be taken out again, to the last byte, and nothing else moves."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from ansible_collections.mailops.filter_stack.plugins.module_utils import _main_cf as main_cf
from ansible_collections.mailops.filter_stack.plugins.module_utils import _master_cf as master_cf
from ansible_collections.mailops.filter_stack.plugins.module_utils import _postfix_edit as edit
from ansible_collections.mailops.filter_stack.plugins.module_utils import _restore_record as restore_record
from ansible_collections.mailops.filter_stack.plugins.module_utils._master_fragment import wanted_services
from ansible_collections.mailops.filter_stack.plugins.module_utils._postfix_lines import decode
from hypothesis import given
from hypothesis import strategies as st

from .strategies import entries, main_cf_texts, master_cf_texts

FIELD_FILES = Path(__file__).parents[2] / "data" / "master.cf"

SCAN = "# To the filter\nscan unix - - n - 4 lmtp\n  -o lmtp_send_xforward_command=yes\n"
BACK = "# Back from it\n127.0.0.1:10025 inet n - n - - smtpd\n  -o content_filter=\n"
FILE = "smtp inet n - y - - smtpd\n\nqmgr unix n - n 300 1 qmgr\n"
KEYS = ["scan/unix", "127.0.0.1:10025/inet"]


def merge(text: str, fragment: str, record: edit.Record | None = None) -> edit.Edit:
    return edit.merge(text, master_cf.parse, wanted_services(fragment), record or {})


def retract(text: str, keys: list[str], record: edit.Record) -> edit.Edit:
    return edit.retract(text, master_cf.parse, keys, record)


def actions(done: edit.Edit) -> list[str]:
    return [step.action for step in done.steps]


def test_new_entries_go_to_the_end_with_their_comments() -> None:
    done = merge(FILE, SCAN + BACK)
    assert done.text == FILE + "\n" + SCAN + BACK
    assert actions(done) == ["added", "added"]


def test_the_second_time_nothing_happens() -> None:
    done = merge(FILE, SCAN + BACK)
    again = merge(done.text, SCAN + BACK, done.record)
    assert (again.text, again.record, actions(again)) == (done.text, done.record, ["unchanged", "unchanged"])


def test_an_entry_that_only_looks_different_is_left_alone() -> None:
    mine = FILE + "scan\tunix  -  -  n  -  4\n# mine\n  lmtp -o { lmtp_send_xforward_command = yes }\n"
    done = merge(mine, SCAN)
    assert (done.text, done.record, actions(done)) == (mine, {}, ["unchanged"])
    # It was there before, so it is not ours to take away.
    gone = retract(mine, ["scan/unix"], {})
    assert (gone.text, actions(gone)) == (mine, ["kept"])


def test_an_entry_that_differs_is_replaced_where_it_stands_and_put_back() -> None:
    theirs = "# their comment\nscan unix - - n - 2 smtp\n# inside\n  -o smtp_x=y\n"
    text = "smtp inet n - y - - smtpd\n" + theirs + "# below\nqmgr unix n - n 300 1 qmgr\n"
    done = merge(text, SCAN)
    assert done.text == "smtp inet n - y - - smtpd\n# their comment\n" + SCAN + "# below\nqmgr unix n - n 300 1 qmgr\n"
    assert actions(done) == ["changed"]
    gone = retract(done.text, ["scan/unix"], done.record)
    assert (gone.text, gone.record, actions(gone)) == (text, {}, ["restored"])


def test_a_changed_fragment_replaces_entry_and_comment_and_keeps_the_first_original() -> None:
    text = FILE + "scan unix - - n - 2 smtp\n"
    first = merge(text, SCAN)
    second = merge(first.text, SCAN.replace("# To the", "# Now to the").replace(" 4 ", " 5 "), first.record)
    assert second.text == FILE + "# Now to the filter\nscan unix - - n - 5 lmtp\n  -o lmtp_send_xforward_command=yes\n"
    assert retract(second.text, ["scan/unix"], second.record).text == text


def test_what_somebody_else_changed_meanwhile_stays() -> None:
    done = merge(FILE, SCAN + BACK)
    theirs = done.text.replace("lmtp\n", "lmtp -v\n") + "late unix - - n - - smtp\n"
    gone = retract(theirs, KEYS, done.record)
    assert gone.text == theirs.replace(BACK, "")
    assert actions(gone) == ["kept", "removed"]
    # It is theirs from now on.
    assert gone.record == {}
    assert actions(retract(gone.text, KEYS, gone.record)) == ["kept", "unchanged"]


def test_reformatting_by_somebody_else_does_not_make_it_theirs() -> None:
    done = merge(FILE, SCAN)
    theirs = done.text.replace("scan unix - - n - 4 lmtp", "scan      unix  -  -  n  -  4  lmtp")
    assert retract(theirs, ["scan/unix"], done.record).text == FILE


def test_an_entry_that_somebody_deleted_is_added_again() -> None:
    done = merge(FILE, SCAN)
    again = merge(FILE, SCAN, done.record)
    assert (again.text, actions(again)) == (done.text, ["added"])
    gone = retract(FILE, ["scan/unix"], done.record)
    assert (gone.text, gone.record, actions(gone)) == (FILE, {}, ["unchanged"])


def test_drift_is_repaired_and_still_undone() -> None:
    text = FILE + "scan unix - - n - 2 smtp\n"
    done = merge(text, SCAN)
    drifted = done.text.replace(" 4 ", " 9 ")
    again = merge(drifted, SCAN, done.record)
    assert (again.text, actions(again)) == (done.text, ["changed"])
    assert retract(again.text, ["scan/unix"], again.record).text == text


@pytest.mark.parametrize("end", ["", "\n", "\n\n", "\n# a comment", "\n# a comment\n"])
@pytest.mark.parametrize("order", [[0, 1], [1, 0]])
def test_one_after_the_other_brings_back_every_byte(end: str, order: list[int]) -> None:
    text = "smtp inet n - y - - smtpd\nqmgr unix n - n 300 1 qmgr" + end
    first = merge(text, SCAN)
    done = merge(first.text, SCAN + BACK, first.record)
    for which in order:
        done = retract(done.text, [KEYS[which]], done.record)
    assert (done.text, done.record) == (text, {})


def test_text_that_follows_keeps_its_line() -> None:
    text = "smtp inet n - y - - smtpd"
    done = merge(text, SCAN)
    theirs = done.text + "late unix - - n - - smtp\n"
    assert retract(theirs, ["scan/unix"], done.record).text == "smtp inet n - y - - smtpd\nlate unix - - n - - smtp\n"


def test_without_a_record_an_entry_is_removed_whoever_wrote_it() -> None:
    wanted = [one._replace(value=None) for one in wanted_services(SCAN)]
    done = edit.remove(FILE + "scan unix - - n - 2 smtp\n" + "# x\nlate unix - - n - - smtp\n", master_cf.parse, wanted)
    assert (done.text, actions(done)) == (FILE + "# x\nlate unix - - n - - smtp\n", ["removed"])
    assert edit.remove(FILE + SCAN, master_cf.parse, wanted).text == FILE
    assert actions(edit.remove(FILE, master_cf.parse, wanted)) == ["unchanged"]


def test_without_recording_a_comment_is_only_written_above_a_new_entry() -> None:
    wanted = wanted_services(SCAN)
    text = FILE + "# theirs\nscan unix - - n - 2 smtp\n"
    done = edit.merge(text, master_cf.parse, wanted, {}, recording=False)
    assert done.text == FILE + "# theirs\n" + SCAN.partition("\n")[2]


@pytest.mark.parametrize("name", sorted(path.name for path in FIELD_FILES.glob("*.cf")))
def test_files_from_the_field_go_through_unharmed(name: str) -> None:
    text = decode(FIELD_FILES.joinpath(name).read_bytes())
    done = merge(text, SCAN + BACK)
    assert retract(done.text, KEYS, done.record).text == text
    others = [one for one in master_cf.parse(text) if one.key not in KEYS]
    for one in others:
        # Every entry that is not ours, with what it says between its lines, is there to the byte.
        assert text[one.start : one.end].rstrip("\n") in done.text


def _through_json(record: edit.Record) -> dict[str, edit.Trace]:
    return restore_record.loads(
        restore_record.dumps(record, "/etc/postfix/master.cf"), "/etc/postfix/master.cf", master_cf.parse
    )


@st.composite
def fragments(draw: st.DrawFn) -> str:
    names = draw(st.lists(st.sampled_from(["scan", "127.0.0.1:10025", "relay", "new-one"]), min_size=1, unique=True))
    text = ""
    for name in names:
        entry, _key = draw(entries(name))
        text += draw(st.sampled_from(["", "# one line\n", "# two\n  # lines\n", "# apart\n\n"])) + entry + "\n"
    return text


@given(text=master_cf_texts(), fragment=fragments(), changed=fragments(), data=st.data())
def test_present_again_and_absent_in_any_order(text: str, fragment: str, changed: str, data: st.DataObject) -> None:
    before = {one.key: text[one.start : one.end] for one in master_cf.parse(text)}
    done = merge(text, fragment)
    again = merge(done.text, fragment, _through_json(done.record))
    assert (again.text, again.record) == (done.text, done.record)

    other = merge(done.text, changed, done.record)
    ours = {one.key for one in wanted_services(fragment) + wanted_services(changed)}
    for one in master_cf.parse_unique(other.text):
        if one.key not in ours:
            assert other.text[one.start : one.end].rstrip("\n") == before.pop(one.key).rstrip("\n")
    assert set(before) <= ours

    for keys in data.draw(st.permutations([[key] for key in other.record]) | st.just([list(other.record)])):
        other = retract(other.text, keys, _through_json(other.record))
    assert (other.text, other.record) == (text, {})


@given(
    text=main_cf_texts(),
    first=st.dictionaries(
        st.sampled_from(["content_filter", "a", "mynetworks", "B_2"]), st.text("ab, ", max_size=5), min_size=1
    ),
    second=st.dictionaries(st.sampled_from(["content_filter", "a", "new"]), st.text("ab, ", max_size=5), min_size=1),
    data=st.data(),
)
def test_main_cf_in_any_order(
    text: str, first: dict[object, object], second: dict[object, object], data: st.DataObject
) -> None:
    done = edit.merge(text, main_cf.parse, main_cf.wanted_settings(first), {})
    again = edit.merge(done.text, main_cf.parse, main_cf.wanted_settings(first), done.record)
    assert (again.text, again.record) == (done.text, done.record)
    done = edit.merge(done.text, main_cf.parse, main_cf.wanted_settings(second), done.record)
    values = {one.key: one.value for one in main_cf.parse(done.text)}
    for name, value in {**first, **second}.items():
        assert values[str(name)] == str(value).strip(" ")
    for key in data.draw(st.permutations(list(done.record))):
        done = edit.retract(done.text, main_cf.parse, [key], done.record)
    assert (done.text, done.record) == (text, {})


def test_a_record_is_the_same_text_each_time_and_carries_any_byte() -> None:
    text = decode(b"# gr\xfc\xdfe\nscan unix - - n - 2 smtp # \xff\n")
    done = merge(text, SCAN)
    written = restore_record.dumps(done.record, "/etc/postfix/master.cf")
    assert written.isascii()
    record = restore_record.loads(written, "/etc/postfix/master.cf", master_cf.parse)
    assert retract(done.text, ["scan/unix"], record).text == text


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "it is not JSON"),
        ("[]", "it takes a record of version 1"),
        ('{"version": 2, "path": "/p", "entries": {}}', "it takes a record of version 1"),
        ('{"version": 1, "path": "/p"}', "it takes a record of version 1"),
        ('{"version": 1, "path": "/other", "entries": {}}', "it is about '/other', not about '/p'"),
        ('{"version": 1, "path": "/p", "entries": {"scan/unix": {}}}', "scan/unix: it takes the keys comment, text"),
    ],
)
def test_a_broken_record_is_refused(content: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        restore_record.loads(content, "/p", master_cf.parse)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"text": 5}, "scan/unix: text: 5 is of the wrong type"),
        ({"blank": "no"}, "scan/unix: blank: 'no' is of the wrong type"),
        ({"text": "smtp unix - - n - - smtp\n"}, "scan/unix: text: .* takes one entry scan/unix"),
        ({"text": ""}, "scan/unix: text: '' takes one entry scan/unix"),
        ({"original": SCAN + BACK}, "scan/unix: original: .* takes one entry scan/unix"),
    ],
)
def test_a_record_that_makes_no_sense_is_refused(change: dict[str, object], words: str) -> None:
    content = json.loads(restore_record.dumps(merge(FILE, SCAN).record, "/p"))
    content["entries"]["scan/unix"].update(change)
    with pytest.raises(ValueError, match=words):
        restore_record.loads(json.dumps(content), "/p", master_cf.parse)
