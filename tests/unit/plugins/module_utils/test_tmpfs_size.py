# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The size of the scratch tmpfs: the published vectors, exact arithmetic, and words for wrong numbers."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest
from ansible_collections.mailops.filter_stack.plugins.module_utils import _tmpfs_size as size
from hypothesis import given
from hypothesis import strategies as st

from .strategies import refusal

PAGE = 4096


def compute(instances: object, factor: object, limit: object) -> size.TmpfsSize:
    return size.compute(
        size.parse_instances(instances),
        size.parse_expansion_factor(factor),
        size.parse_message_size_limit(limit),
        PAGE,
    )


@pytest.mark.parametrize(
    ("instances", "factor", "limit", "size_bytes", "mount_bytes"),
    [
        (5, 2, 10000000, 131250000, 131252224),
        (5, 2, 10 * 1024 * 1024, 137625600, 137625600),
        (1, 0, 1, 4096, 4096),
        ("5", "2", "10000000", 131250000, 131252224),
        (4, 2.5, 10240000, 125440000, 125440000),
        # 0.1 has no exact binary form: 1.1 * 80 * 7/8 is 77 bytes, and not 77.00000000000001, which would be 78.
        (1000, "0.1", 80, 77000, 77824),
        (1000, 0.1, 80, 77000, 77824),
        # The least fraction of a byte counts.
        (1, "2.000000000000000001", 10000000, 26250001, 26251264),
    ],
)
def test_vectors(instances: object, factor: object, limit: object, size_bytes: int, mount_bytes: int) -> None:
    found = compute(instances, factor, limit)
    assert (found.size_bytes, found.mount_bytes) == (size_bytes, mount_bytes)


def test_the_formula_is_told_in_words() -> None:
    assert compute(5, 2.5, 10000001).formula == (
        "instances * (1 + expansion_factor) * message_size_limit * 7/8 = "
        "5 * (1 + 2.5) * 10000001 * 7/8 = 153125015.3125 bytes"
    )


@given(
    instances=st.integers(1, 100000),
    factor=st.decimals(0, 10000, places=4),
    limit=st.integers(1, 2**32),
    page=st.sampled_from([4096, 16384, 65536]),
)
def test_n_messages_within_their_budget_fit_into_the_mount(
    instances: int, factor: Decimal, limit: int, page: int
) -> None:
    found = size.compute(instances, Fraction(factor), limit, page)
    assert instances * found.per_message_bytes <= found.exact_bytes <= found.size_bytes <= found.mount_bytes
    assert found.mount_bytes % page == 0
    assert found.mount_bytes - found.size_bytes < page
    # The budget is the size for one message, rounded down instead of up.
    assert size.compute(1, Fraction(factor), limit, page).exact_bytes - found.per_message_bytes in (0, 1)


@given(text=st.text(max_size=20))
def test_any_text_is_a_number_or_a_value_error(text: str) -> None:
    for parse in (
        size.parse_instances,
        size.parse_expansion_factor,
        size.parse_message_size_limit,
        size.parse_memory_share,
        size.parse_page_size,
    ):
        assert "takes" in refusal(parse, text, otherwise="takes it")


@pytest.mark.parametrize("value", [0, -1, "-1", "four", "", None, True, False, 2.5, "2.5", [], {}, float("nan"), 10**9])
def test_wrong_instances(value: object) -> None:
    with pytest.raises(ValueError, match=r"^filter_tmpfs_instances: ") as error:
        size.parse_instances(value, "filter_tmpfs_instances")
    assert repr(value) in str(error.value)
    assert "it takes a whole number from 1 to 100000" in str(error.value)


@pytest.mark.parametrize(
    "value", [-1, -0.5, "-1", "two", "", None, True, float("nan"), float("inf"), "inf", "1e3", "0x2", 10001, [], "٣"]
)
def test_wrong_expansion_factor(value: object) -> None:
    with pytest.raises(ValueError, match=r"^expansion_factor: ") as error:
        size.parse_expansion_factor(value)
    assert repr(value) in str(error.value)
    assert "it takes a number from 0 to 10000" in str(error.value)


@pytest.mark.parametrize(("value", "factor"), [(0, "0"), ("0", "0"), (1e-7, "0.0000001"), (2.1, "2.1"), (" 2 ", "2")])
def test_right_expansion_factor(value: object, factor: str) -> None:
    assert size.parse_expansion_factor(value) == Fraction(factor)


@pytest.mark.parametrize("value", [-1, "-1", "10M", "10 MB", "", None, True, 1.5, 2**63, "9" * 30, []])
def test_wrong_message_size_limit(value: object) -> None:
    with pytest.raises(ValueError, match=r"^message_size_limit: .*it takes a number of bytes from 1 to"):
        size.parse_message_size_limit(value)


@pytest.mark.parametrize("value", [0, "0", "00"])
def test_an_unlimited_message_size_says_what_to_set(value: object) -> None:
    with pytest.raises(ValueError, match=r"'unlimited' to Postfix.*it takes a number of bytes.*set message_size"):
        size.parse_message_size_limit(value)


@pytest.mark.parametrize("value", [0, 4095, "page", 6144, 2**31])
def test_wrong_page_size(value: object) -> None:
    with pytest.raises(ValueError, match=r"^page_size: .*it takes a power of two"):
        size.parse_page_size(value)


@pytest.mark.parametrize("value", [0, -1, 100.1, 101, "half", None, True])
def test_wrong_memory_share(value: object) -> None:
    with pytest.raises(ValueError, match=r"^memory_share: .*it takes a percentage above 0 and up to 100"):
        size.parse_memory_share(value)


def test_a_size_that_no_file_system_holds_is_refused() -> None:
    with pytest.raises(ValueError, match="a file system holds at most 9223372036854775807"):
        compute(100000, 10000, 2**62)


def test_memory_is_enough_up_to_the_last_byte() -> None:
    found = compute(5, 2, 10000000)
    size.check_memory(found, 2 * found.mount_bytes, Fraction(50))
    with pytest.raises(ValueError, match="131252224 bytes") as error:
        size.check_memory(found, 2 * found.mount_bytes - 1, Fraction(50), "filter_tmpfs_")
    message = str(error.value)
    for part in (
        "filter_tmpfs_instances",
        "filter_tmpfs_expansion_factor",
        "filter_tmpfs_message_size_limit",
        "filter_tmpfs_memory_share allows 50 %",
        f"{2 * found.mount_bytes - 1} bytes of memory",
        f"which is {found.mount_bytes - 1} bytes",
    ):
        assert part in message
