"""Limits that suit scripts with and without spaces."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlsg.text.length import length, unfit


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", 0),
        ("cat", 3),
        ("été", 3),
        ("猫だ", 6),
        ("cat 猫", 7),
        ("한국어", 3),
        ("𠮷", 3),
        ("кот", 3),
        ("ガー", 6),
        ("ខ្មែរ", 9),
    ],
)
def test_length_counts_unspaced_characters_three_times(text: str, expected: int) -> None:
    assert length(text) == expected


def test_thai_marks_count_nothing() -> None:
    text = "ที่นี่"
    bases = [char for char in text if unicodedata.category(char)[0] != "M"]
    assert len(bases) < len(text)
    assert length(text) == 3 * len(bases)


@given(st.text("ab é猫ท่カ한"), st.text("ab é猫ท่カ한"))
def test_length_of_a_whole_is_the_sum_of_its_parts(a: str, b: str) -> None:
    assert length(a + b) == length(a) + length(b)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "empty"),
        ("too short", "too_short"),
        ("long enough", None),
        ("猫が好き", None),
        ("猫だよ", "too_short"),
        ("1234 + 5678 = 6912", "no_letters"),
        ("😀😀😀😀😀😀😀😀😀😀😀", "no_letters"),
        ("x" * 401, "too_long"),
        ("x" * 400, None),
        ("猫" * 133, None),
        ("猫" * 134, "too_long"),
    ],
)
def test_unfit_names_the_reason(text: str, reason: str | None) -> None:
    assert unfit(text, 10, 400) == reason
