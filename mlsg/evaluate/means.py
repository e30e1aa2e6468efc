"""Means of Spearman over sets, and their paired differences, with bootstrap intervals.

Pairs are resampled within each set, the sets themselves are not: an interval says how much hangs on the pairs that were
drawn, not on the languages. Sets that are row-by-row translations of one another meet the same resamples
(`mlsg.evaluate.statistics`), as they must, since their errors go together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mlsg.config.recipes import EvalSettings
from mlsg.evaluate.cosines import SetCosines
from mlsg.evaluate.results import Gain, MeanScore
from mlsg.evaluate.statistics import Floats, Interval, percentiles, spearman, spearman_of_resamples


@dataclass(frozen=True)
class Resampled:
    """Spearman on one set, and on each resample of its pairs (resamples,)."""

    value: float
    resamples: Floats


@dataclass(frozen=True)
class Mean:
    """A mean over sets, or over sets and seeds; the interval is None where too few resamples are defined."""

    value: float
    interval: Interval | None


def resampled(scores: Floats, gold: Floats, *, resamples: int = 1000, seed: int = 0) -> Resampled | None:
    """Spearman of `scores` with `gold` and of its resamples, or None where it is undefined."""
    value = spearman(scores, gold)
    if value is None:
        return None
    return Resampled(value, spearman_of_resamples(scores, gold, resamples=resamples, seed=seed))


def resampled_set(found: SetCosines, settings: EvalSettings) -> Resampled | None:
    """`resampled`, of a set and as an evaluation draws."""
    return resampled(found.cosine, found.gold, resamples=settings.resamples, seed=settings.seed)


def mean(found: Sequence[Resampled]) -> Mean:
    """The mean over some sets, or over seeds on the same set."""
    values = np.mean([each.resamples for each in found], axis=0)
    return Mean(float(np.mean([each.value for each in found])), percentiles(values))


def mean_difference(first: Sequence[Resampled], second: Sequence[Resampled]) -> Mean:
    """The mean over sets of first minus second, set by set the same pairs."""
    pairs = list(zip(first, second, strict=True))
    return mean([Resampled(a.value - b.value, a.resamples - b.resamples) for a, b in pairs])


def mean_score(
    primaries: Mapping[str, str | None],
    own: Sequence[Mapping[str, SetCosines]],
    bases: Mapping[str, Mapping[str, SetCosines]],
    settings: EvalSettings,
) -> MeanScore | None:
    """The mean over the primary sets that have a score, and its gain over each untuned base on those same sets.

    `own` are the cosines of one encoder, or of several that differ in the seed: a set then needs a score with each.
    """
    chosen = [name for name in primaries.values() if name is not None and name in own[0]]
    scored = {name: [resampled_set(each[name], settings) for each in own] for name in chosen}
    names = [name for name, seeds in scored.items() if None not in seeds]
    if len(names) < 2:
        return None
    ours = [each for name in names for each in scored[name] if each is not None]
    gains = {}
    for role, found in bases.items():
        untuned = [each for name in names if (each := resampled_set(found[name], settings)) is not None]
        if len(untuned) == len(names):
            gain = mean_difference(ours, [each for each in untuned for _ in own])
            gains[role] = Gain(gain.value, gain.interval)
    whole = mean(ours)
    return MeanScore(len(names), whole.value, whole.interval, gains)


def read_mean_score(table: Mapping[str, Any] | None) -> MeanScore | None:
    """A MeanScore from JSON."""
    if table is None:
        return None
    gains = {role: Gain(gain["difference"], _pair(gain["interval"])) for role, gain in table["gains"].items()}
    return MeanScore(table["languages"], table["spearman"], _pair(table["interval"]), gains)


def _pair(ends: Sequence[float] | None) -> Interval | None:
    return None if ends is None else (ends[0], ends[1])
