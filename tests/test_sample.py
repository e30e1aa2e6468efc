"""The seeded sample: without replacement, in order, uniform, nested."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare

from mlsg.prepare import sample_rows

PINNED = [213, 294, 570, 933, 972]


@given(st.integers(0, 200), st.integers(0, 250), st.integers(0, 10))
def test_rows_are_distinct_rising_and_as_many_as_asked(total: int, size: int, seed: int) -> None:
    rows = sample_rows(total, size, seed).tolist()
    assert rows == sorted(set(rows))
    assert len(rows) == min(size, total)
    assert all(0 <= row < total for row in rows)


@given(st.integers(1, 200), st.integers(0, 5))
def test_a_larger_sample_holds_the_smaller(total: int, seed: int) -> None:
    assert set(sample_rows(total, total // 3, seed)) <= set(sample_rows(total, total // 2, seed))


def test_every_row_is_equally_likely() -> None:
    counts = np.zeros(20)
    for seed in range(2000):
        counts[sample_rows(20, 5, seed)] += 1
    # Exact inclusion probability 1/4; negative correlation makes chi-square conservative.
    assert chisquare(counts).pvalue > 1e-3


def test_the_sample_is_the_same_everywhere() -> None:
    assert sample_rows(1000, 5, 0).tolist() == PINNED
    assert sample_rows(1000, 5, 1).tolist() != PINNED


@pytest.mark.parametrize("total", [0, 1, 7])
def test_all_rows_when_there_are_no_more(total: int) -> None:
    assert sample_rows(total, 7, 3).tolist() == list(range(total))
