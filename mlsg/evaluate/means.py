"""Means of Spearman over the primary sets of languages, and the paired differences of two encoders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from mlsg.errors import DataError
from mlsg.evaluate.cosines import read_cosines
from mlsg.evaluate.results import Differences, Gain, MeanScore, Scores, SetDifference
from mlsg.evaluate.statistics import Resampled, mean, mean_difference, resampled

BySet = Mapping[str, Resampled | None]  # set -> Spearman, None where it is undefined


def mean_score(
    primaries: Mapping[str, str | None], own: Sequence[BySet], bases: Mapping[str, BySet]
) -> MeanScore | None:
    """The mean over the primary sets that have a score, and its gain over each untuned base on those same sets.

    `own` are the scores of one encoder, or of several that differ in the seed: a set then needs a score with each.
    """
    chosen = [name for name in primaries.values() if name is not None and name in own[0]]
    names = [name for name in chosen if all(each[name] is not None for each in own)]
    if len(names) < 2:
        return None
    ours = [each for name in names for seed in own if (each := seed[name]) is not None]
    gains = {}
    for role, found in bases.items():
        untuned = [each for name in names if (each := found[name]) is not None]
        if len(untuned) == len(names):
            gains[role] = _gain(mean_difference(ours, [each for each in untuned for _ in own]))
    whole = mean(ours)
    return MeanScore(len(names), whole.value, whole.interval, gains)


def compare(a: Scores, b: Scores) -> Differences:
    """Spearman of `a` minus Spearman of `b` on every set that both have, with 95% paired intervals.

    Resamples and seed are those that `a` was evaluated with. Raises DataError where a set's gold scores changed between
    the two evaluations.
    """
    cosines_a, cosines_b = read_cosines(a.artefact), read_cosines(b.artefact)
    sets, both = [], {}
    for score in a.sets:
        other = b.set_score(score.set)
        if other is None:
            continue
        first, second = cosines_a[score.set], cosines_b[score.set]
        if not np.array_equal(first.gold, second.gold):
            raise DataError(f"{score.set} changed between the two evaluations", "evaluate both encoders again")
        drawn = [resampled(each.cosine, each.gold, **resampling(a.settings)) for each in (first, second)]
        difference = None
        if drawn[0] is not None and drawn[1] is not None:
            both[score.set] = (drawn[0], drawn[1])
            difference = drawn[0] - drawn[1]
        sets.append(
            SetDifference(
                score.set,
                score.languages,
                score.pairs,
                score.spearman,
                other.spearman,
                difference.value if difference else None,
                difference.interval if difference else None,
            )
        )
    primary = [both[name] for name in a.primaries.values() if name in both]
    mean_gain = _gain(mean_difference(*zip(*primary, strict=True))) if len(primary) > 1 else None
    return Differences(a.encoder, b.encoder, a.primaries, sets, mean_gain)


def resampling(settings: Mapping[str, int]) -> dict[str, int]:
    """How an evaluation with these settings draws its resamples."""
    return {name: settings[name] for name in ("resamples", "seed")}


def _gain(found: Resampled) -> Gain:
    return Gain(found.value, found.interval)
