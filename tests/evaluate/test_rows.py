"""Rows that several sets have in common: found by their gold scores, drawn together, or said to be apart."""

from __future__ import annotations

import json
import random
from pathlib import Path

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from mlsg.evaluate.cosines import SetCosines
from mlsg.evaluate.means import drawn_together, mean_score, rows_of
from mlsg.evaluate.rows import rows_in_common, sets_apart
from mlsg.evaluate.statistics import Rows, mean, resample_counts, resampled
from tests.report.written_scores import written_scores


def without(gold: np.ndarray, dropped: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """The rows that are left and their scores."""
    left = np.delete(np.arange(len(gold)), dropped)
    return left, gold[left]


def graded(rows: int, levels: int, seed: int) -> np.ndarray:
    """Gold scores as people give them: few levels, in no order."""
    return np.round(np.random.default_rng(seed).integers(0, levels, rows) * 5 / (levels - 1), 3)


@settings(deadline=None, max_examples=60)
@given(st.integers(40, 150), st.integers(4, 40), st.integers(0, 10**6), st.integers(2, 5), st.integers(0, 6))
def test_translations_that_lack_rows_are_aligned(rows: int, levels: int, seed: int, sets: int, most: int) -> None:
    gold, draws = graded(rows, levels, seed), random.Random(seed)
    lefts = {f"set{n}": without(gold, draws.sample(range(rows), draws.randint(0, most)))[0] for n in range(sets)}
    found = rows_in_common({name: gold[left] for name, left in lefts.items()})
    if max(map(len, lefts.values())) < rows or len({each.total for each in found.values()}) > 1:
        assert all(each.total >= len(each.rows) for each in found.values())
        return  # no set has all rows: their numbers are not those of `gold`, or too many rows were in doubt
    agree = sum(int((found[name].rows == left).sum()) for name, left in lefts.items())
    assert agree >= 0.8 * sum(map(len, lefts.values()))
    for name, left in lefts.items():
        assert (np.diff(found[name].rows) > 0).all()  # each row once, in its order
        assert (gold[found[name].rows] == gold[left]).all()  # never another score


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10**6))
def test_rows_that_no_set_has_all_of_have_one_number_each(seed: int) -> None:
    """Distinct scores: two pairs have one number where, and only where, they are one row.

    But for two neighbours of which each of two sets lacks another: nothing says which of them comes first.
    """
    gold, draws = np.random.default_rng(seed).permutation(80) / 16, random.Random(seed)
    lefts = {name: without(gold, draws.sample(range(80), draws.randint(1, 6)))[0] for name in "abcd"}
    found = rows_in_common({name: gold[left] for name, left in lefts.items()})
    number: dict[int, int] = {}
    twice = 0
    for name, left in lefts.items():
        for row, own in zip(left.tolist(), found[name].rows.tolist(), strict=True):
            twice += number.setdefault(row, own) != own
    assert twice <= 4
    assert len(set(number.values())) == len(number)
    assert {each.total for each in found.values()} <= set(range(len(number), len(number) + twice + 1))


def test_scores_of_another_scale_are_the_same_rows() -> None:
    gold = graded(200, 26, 1)
    fifths = without(gold / 5, [7, 90])
    found = rows_in_common({"whole": gold, "fifths": fifths[1]})
    assert found["whole"].alone and found["whole"].total == 200
    assert (found["fifths"].rows == fifths[0]).mean() > 0.95


def test_what_is_no_translation_is_left_alone() -> None:
    gold, other = graded(150, 6, 1), graded(140, 6, 2)
    shuffled = np.random.default_rng(0).permutation(gold)[:-3]
    found = rows_in_common({"gold": gold, "other": other, "shuffled": shuffled, "tiny": gold[:2]})
    assert [each.alone for name, each in found.items() if name != "tiny"] == [True] * 3
    assert [found[name].total for name in ("gold", "other", "shuffled")] == [150, 140, 147]


def test_rows_in_doubt_are_not_guessed_and_the_sets_are_named() -> None:
    """Six rows of ten are left of runs of thirty: whichever were dropped, the scores are the same."""
    gold = np.repeat(np.arange(6.0), 30)
    left = np.sort(np.random.default_rng(0).choice(180, 110, replace=False))
    found = rows_in_common({"whole": gold, "part": gold[left]})
    assert found["whole"].alone and found["part"].alone
    texts = {"whole": ("stsb",), "part": ("sts12", "stsb")}
    assert sets_apart(texts, found) == ("whole", "part")
    assert sets_apart({**texts, "part": ("other",)}, found) == ()
    assert sets_apart(texts, rows_in_common({"whole": gold, "part": gold})) == ()


def _scored(seed: int, rows: int = 120) -> dict[str, SetCosines]:
    """Three translations of one set, whose errors go together; two of them lack rows."""
    draws = np.random.default_rng(seed)
    gold, common = np.round(draws.uniform(0, 5, rows), 2), draws.normal(0, 1.5, rows)
    lefts = {"a": np.arange(rows), "b": without(gold, [3, 50])[0], "c": without(gold, [50, 70, 119])[0]}
    return {
        name: SetCosines(gold[left], (gold + common + draws.normal(0, 0.3, rows))[left], 0, 0)
        for name, left in lefts.items()
    }


def test_the_mean_equals_a_loop_over_rows_drawn_together() -> None:
    sets, lefts = _scored(1), {"a": range(120), "b": without(np.arange(120), [3, 50])[0]}
    lefts["c"] = without(np.arange(120), [50, 70, 119])[0]
    draws = {"resamples": 100, "seed": 3}
    rows = rows_of(["a", "b", "c", None, "gone"], sets)
    alone = {name: resampled(each.cosine, each.gold, **draws) for name, each in sets.items()}
    found = mean_score(dict(zip("abc", "abc", strict=True)), [drawn_together(alone, sets, rows, draws)], {})
    means = []
    for counts in np.concatenate(list(resample_counts(120, **draws))):
        rho = []
        for name, each in sets.items():
            drawn = np.repeat(np.arange(len(each.gold)), counts[list(lefts[name])])
            rho.append(scipy.stats.spearmanr(each.cosine[drawn], each.gold[drawn]).statistic)
        means.append(np.mean(rho))
    assert found is not None
    assert found.interval == pytest.approx(np.percentile(means, [2.5, 97.5]), abs=1e-12)
    apart = mean_score(dict(zip("abc", "abc", strict=True)), [alone], {})
    assert np.ptp(found.interval) > 1.2 * np.ptp(apart.interval)  # three that go together are not three times the pairs


def test_a_set_alone_is_drawn_as_before() -> None:
    each = _scored(2)["a"]
    rows = rows_of(["a"], {"a": each})["a"]
    assert rows.alone
    assert (resampled(each.cosine, each.gold, rows).resamples == resampled(each.cosine, each.gold).resamples).all()
    assert not Rows(3, np.array([0, 2])).alone


def covered(sets: int, samples: int, *, together: bool, seed: int = 0) -> float:
    """The share of samples of 100 rows whose 95% interval of the mean holds the mean of the whole population."""
    draws = np.random.default_rng(seed)
    rows, population = 100, 200_000
    gold = np.round(draws.uniform(0, 5, population), 2)
    common = draws.normal(0, 2, population)
    scores = [gold + common + draws.normal(0, 0.5, population) for _ in range(sets)]
    truth = np.mean([scipy.stats.spearmanr(each, gold).statistic for each in scores])
    held = 0
    for _ in range(samples):
        sample = draws.choice(population, rows, replace=False)
        lefts = [np.delete(sample, draws.choice(rows, draws.integers(0, 7), replace=False)) for _ in scores]
        found = {f"{n}": SetCosines(gold[left], scores[n][left], 0, 0) for n, left in enumerate(lefts)}
        options = {"resamples": 200, "seed": 0}
        alone = {name: resampled(each.cosine, each.gold, **options) for name, each in found.items()}
        joint = drawn_together(alone, found, rows_of(list(found), found), options) if together else alone
        low, high = mean([joint[name] for name in found]).interval
        held += low <= truth <= high
    return held / samples


def test_intervals_of_the_mean_hold_the_truth_as_often_as_they_promise() -> None:
    """Of 95%: drawn apart, as unequal counts once were, they did in about 60%."""
    assert covered(5, 120, together=True) > 0.88
    assert covered(5, 120, together=False) < 0.8


@pytest.mark.slow
def test_intervals_of_the_mean_hold_the_truth_in_95_percent() -> None:
    assert covered(5, 1500, together=True) == pytest.approx(0.95, abs=0.02)


DATA = Path(__file__).parents[2].parent / "shared" / "data"


@pytest.mark.skipif(not DATA.is_dir(), reason="the original files of evaluation sets are not beside this checkout")
def test_the_five_translations_of_stsb_with_dropped_pairs_are_aligned() -> None:
    """Their rows among the 1,379 of STS-B, by an alignment of its own: difflib on the scores."""
    import difflib
    import lzma

    whole = np.array(
        [float(line.split("\t")[4]) for line in (DATA / "STS/STSBenchmark/sts-test.csv").open("r", encoding="utf-8")]
    )
    golds: dict[str, list[float]] = {}
    with lzma.open(DATA / "mSTSb-google/mstsb_google_test.tsv.xz", "rt", encoding="utf-8") as file:
        next(file)
        for line in file:
            lang, *_, score = line.rstrip("\n").split("\t")
            golds.setdefault(lang, []).append(float(score))
    sets = {lang: np.array(gold) for lang, gold in golds.items()}
    found = rows_in_common({"en": whole, **sets})
    assert {each.total for each in found.values()} == {1379}
    for lang, gold in sets.items():
        theirs = difflib.SequenceMatcher(None, [round(5 * x, 3) for x in gold], whole.round(3).tolist(), autojunk=False)
        expected = {a + n: b + n for a, b, size in theirs.get_matching_blocks() for n in range(size)}
        assert np.mean([found[lang].rows[own] == row for own, row in expected.items()]) > 0.999
    kept = {int(row) for each in ("ar", "cs", "hi", "tr", "zh-TW") for row in found[each].rows}
    assert {each.total for each in rows_in_common(sets).values()} == {len(kept)}  # those that any of the five has


def test_the_sets_that_are_apart_are_said_and_kept() -> None:
    from dataclasses import asdict, replace

    from mlsg.evaluate.results import MeanScore
    from mlsg.report.tables import legend

    scores = written_scores()
    assert scores.mean is not None
    whole = replace(scores, mean=replace(scores.mean, apart=("kardes_sts.az",)))
    assert any("may be too narrow" in line and "kardes_sts.az" in line for line in legend(whole))
    assert not any("too narrow" in line for line in legend(scores))
    assert MeanScore.read(json.loads(json.dumps(asdict(whole.mean)))) == whole.mean
