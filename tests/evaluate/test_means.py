"""Means over sets and seeds, against loops over the resamples."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats

from mlsg.evaluate.means import mean_score
from mlsg.evaluate.statistics import mean, mean_difference, resample_counts, resampled


def _scored(pairs: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Gold of few levels, and the scores of a good and of a bad encoder."""
    draws = np.random.default_rng(seed)
    gold = draws.integers(0, 6, pairs).astype(float)
    return gold, gold + draws.normal(0, 2, pairs), gold + draws.normal(0, 6, pairs)


def test_a_mean_over_sets_equals_a_loop_over_their_resamples() -> None:
    sets = [_scored(40, 1), _scored(40, 2), _scored(33, 3)]
    drawn = [np.concatenate(list(resample_counts(len(gold), resamples=150, seed=5))) for gold, _, _ in sets]
    means, gains = [], []
    for number in range(150):
        rho = []
        for (gold, *both), counts in zip(sets, drawn, strict=True):
            rows = np.repeat(np.arange(len(gold)), counts[number])
            rho.append([scipy.stats.spearmanr(scores[rows], gold[rows]).statistic for scores in both])
        means.append(np.mean([good for good, _ in rho]))
        gains.append(np.mean([good - bad for good, bad in rho]))
    good, bad = ([resampled(row[at], row[0], resamples=150, seed=5) for row in sets] for at in (1, 2))
    found, gain = mean(good), mean_difference(good, bad)
    assert found.value == pytest.approx(np.mean([scipy.stats.spearmanr(g, s).statistic for g, s, _ in sets]))
    assert found.interval == pytest.approx(np.percentile(means, [2.5, 97.5]), abs=1e-12)
    assert gain.interval == pytest.approx(np.percentile(gains, [2.5, 97.5]), abs=1e-12)


def test_the_mean_of_one_set_is_the_set() -> None:
    gold, good, bad = _scored(60, 4)
    assert mean([resampled(good, gold)]).interval == resampled(good, gold).interval
    gain = mean_difference([resampled(good, gold)], [resampled(bad, gold)])
    assert gain.interval == (resampled(good, gold) - resampled(bad, gold)).interval


def test_translations_of_one_set_do_not_make_an_interval_narrower() -> None:
    gold, good, _ = _scored(60, 4)
    assert mean([resampled(good, gold)] * 5).interval == pytest.approx(resampled(good, gold).interval)


def test_scores_that_are_all_equal_have_none() -> None:
    assert resampled(np.ones(9), np.arange(9.0)) is None


def test_a_gain_is_given_only_where_every_language_has_the_baseline() -> None:
    sets = {name: _scored(50, seed) for seed, name in enumerate(["es", "tr", "de"])}
    own = {name: resampled(good, gold) for name, (gold, good, _) in sets.items()}
    weak = {name: resampled(bad, gold) for name, (gold, _, bad) in sets.items()}
    flat = {**weak, "tr": resampled(np.ones(50), sets["tr"][0])}
    primaries = {"es": "es", "tr": "tr", "de": "de", "fr": "skipped", "xx": None}
    found = mean_score(primaries, [own], {"base_cls": weak, "base_mean": flat})
    assert found is not None
    assert found.languages == 3
    assert set(found.gains) == {"base_cls"}
    assert found.gains["base_cls"].difference > 0
    assert mean_score({"es": "es", "xx": None}, [own], {}) is None
