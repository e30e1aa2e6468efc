"""Correlations and intervals against scipy and plain loops."""

from __future__ import annotations

import math
import random
import sys
import time
import tracemalloc

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from mlsg.evaluate.statistics import (
    average_ranks,
    pearson,
    resample_counts,
    resampled,
    spearman,
    why_undefined,
)

SCORES = st.lists(st.tuples(st.integers(0, 5), st.floats(-1, 1, width=32)), min_size=3, max_size=40)


def tied_scores(pairs: int, seed: int = 3) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    gold = generator.integers(0, 6, pairs).astype(float)
    good = np.round(gold + generator.normal(size=pairs), 1)
    return gold, good, np.round(good + 2 * generator.normal(size=pairs), 1)


def test_average_ranks_of_the_documented_example() -> None:
    assert average_ranks([10, 20, 20]).tolist() == [1.0, 2.5, 2.5]


@given(SCORES)
def test_correlations_equal_scipy(rows: list[tuple[int, float]]) -> None:
    gold, scores = [float(g) for g, _ in rows], [s for _, s in rows]
    assert np.array_equal(average_ranks(scores), scipy.stats.rankdata(scores))
    if len(set(gold)) == 1 or len(set(scores)) == 1:
        assert spearman(scores, gold) is None
        assert pearson(scores, gold) is None
        return
    assert spearman(scores, gold) == pytest.approx(scipy.stats.spearmanr(scores, gold).statistic, abs=1e-12)
    if np.std(scores) > 1e-6:  # below that scipy itself warns of lost digits
        assert pearson(scores, gold) == pytest.approx(scipy.stats.pearsonr(scores, gold).statistic, abs=1e-9)


def test_spearman_equals_the_textbook_formula_without_ties() -> None:
    order = list(range(30))
    random.Random(5).shuffle(order)
    squares = sum((place - value) ** 2 for place, value in enumerate(order))
    assert spearman(range(30), order) == pytest.approx(1 - 6 * squares / (30 * (30**2 - 1)), abs=1e-12)


@pytest.mark.parametrize(
    ("scores", "gold", "why"),
    [
        ([], [], "0 pairs"),
        ([0.1], [1], "1 pair,"),
        ([0.1, 0.2], [1, 2], "2 pairs, and a correlation needs 3"),
        ([0.5, 0.5, 0.5, 0.5], [1, 2, 3, 4], "all its cosines are equal"),
        ([0.1, 0.2, 0.3, 0.4], [2, 2, 2, 2], "all its gold scores are equal"),
        ([0.1, math.nan, 0.3, 0.4], [1, 2, 3, 4], "1 of its cosines are not finite"),
        ([0.1, math.inf, 0.3, 0.4], [1, 2, 3, 4], "not finite"),
    ],
    ids=["no pairs", "one pair", "two pairs", "constant scores", "constant gold", "NaN", "infinite"],
)
def test_what_has_no_correlation_is_none_says_why_and_does_not_warn(
    scores: list[float], gold: list[float], why: str
) -> None:
    with np.errstate(all="raise"):
        assert spearman(scores, gold) is None
        assert pearson(scores, gold) is None
        assert resampled(scores, gold) is None
        assert why in why_undefined(scores, gold)


def test_lists_of_unequal_length_are_a_bug_of_the_caller() -> None:
    with pytest.raises(ValueError, match="one length"):
        spearman([1.0, 2.0, 3.0], [1.0, 2.0])


def test_interval_equals_a_loop_over_resamples_with_scipy() -> None:
    gold, scores, _ = tied_scores(60)
    found = []
    for counts in np.concatenate(list(resample_counts(60, resamples=200, seed=7))):
        drawn = np.repeat(np.arange(60), counts)
        found.append(scipy.stats.spearmanr(scores[drawn], gold[drawn]).statistic)
    expected = np.percentile(found, [2.5, 97.5])
    assert resampled(scores, gold, resamples=200, seed=7).interval == pytest.approx(expected, abs=1e-12)


def test_difference_equals_a_loop_over_the_same_resamples() -> None:
    gold, a, b = tied_scores(50)
    found = []
    for counts in np.concatenate(list(resample_counts(50, resamples=200, seed=0))):
        drawn = np.repeat(np.arange(50), counts)
        rho = [scipy.stats.spearmanr(scores[drawn], gold[drawn]).statistic for scores in (a, b)]
        found.append(rho[0] - rho[1])
    difference = resampled(a, gold, resamples=200) - resampled(b, gold, resamples=200)
    assert difference.value == pytest.approx(spearman(a, gold) - spearman(b, gold), abs=1e-15)
    assert difference.interval == pytest.approx(np.percentile(found, [2.5, 97.5]), abs=1e-12)


def test_interval_agrees_with_scipys_own_bootstrap() -> None:
    gold, scores, _ = tied_scores(250)
    theirs = scipy.stats.bootstrap(
        (scores, gold),
        lambda x, y: scipy.stats.spearmanr(x, y).statistic,
        paired=True,
        vectorized=False,
        n_resamples=1000,
        method="percentile",
        rng=1,
    ).confidence_interval
    assert resampled(scores, gold).interval == pytest.approx(theirs, abs=0.01)  # other draws: Monte Carlo error


def test_paired_interval_is_narrower_than_the_two_apart() -> None:
    gold, scores, _ = tied_scores(250)
    nearly = scores + 1e-3 * np.random.default_rng(0).normal(size=250)
    low, high = (resampled(nearly, gold) - resampled(scores, gold)).interval
    alone_low, alone_high = resampled(scores, gold).interval
    assert high - low < (alone_high - alone_low) / 10
    assert (resampled(scores, gold) - resampled(scores, gold)).interval == (0.0, 0.0)


def test_resamples_depend_on_seed_and_pairs_alone_and_not_on_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = np.concatenate(list(resample_counts(40, resamples=30, seed=0)))
    monkeypatch.setattr(sys.modules["mlsg.evaluate.statistics"], "_CELLS", 40 * 7)
    cut = list(resample_counts(40, resamples=30, seed=0))
    assert len(cut) == 5
    assert np.array_equal(np.concatenate(cut), whole)
    assert (whole.sum(axis=1) == 40).all()
    assert not np.array_equal(np.concatenate(list(resample_counts(40, resamples=30, seed=1))), whole)


def test_too_many_resamples_without_a_correlation_leave_no_interval() -> None:
    """Of four pairs with one odd gold score, (3/4)^4 = 32% of the resamples see one level only."""
    assert spearman([0.1, 0.2, 0.3, 0.4], [0, 0, 0, 5]) is not None
    assert resampled([0.1, 0.2, 0.3, 0.4], [0, 0, 0, 5]).interval is None


def test_ten_thousand_pairs_stay_small_and_quick() -> None:
    gold, scores, _ = tied_scores(9927)
    tracemalloc.start()
    started = time.perf_counter()
    assert resampled(scores, gold).interval is not None
    seconds = time.perf_counter() - started
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 64 * 2**20
    assert seconds < 10  # about 0.7 s alone; a bound that a busy machine keeps
