"""Means of Spearman over the primary sets of languages, and the paired differences of two encoders.

Sets that are translations of one another are drawn together (`mlsg.evaluate.rows`), also where some lack a few pairs.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np

from mlsg.errors import DataError
from mlsg.evaluate.cosines import SetCosines, read_cosines
from mlsg.evaluate.results import Differences, Gain, MeanScore, Scores, SetDifference
from mlsg.evaluate.rows import rows_in_common
from mlsg.evaluate.statistics import Resampled, Rows, mean, mean_difference, resampled

BySet = Mapping[str, Resampled | None]  # set -> Spearman, None where it is undefined


def rows_of(names: Collection[str | None], cosines: Mapping[str, SetCosines]) -> dict[str, Rows]:
    """The rows of those of the sets that are available, for `drawn_together`."""
    return rows_in_common({name: cosines[name].gold for name in names if name is not None and name in cosines})


def drawn_together(
    alone: BySet, cosines: Mapping[str, SetCosines], rows: Mapping[str, Rows], draws: Mapping[str, int]
) -> BySet:
    """Scores that are drawn set by set, with those of `rows` that are not alone drawn with the others of theirs."""
    joint = {name: each for name, each in rows.items() if not each.alone and alone.get(name) is not None}
    return {
        name: resampled(cosines[name].cosine, cosines[name].gold, joint[name], **draws) if name in joint else each
        for name, each in alone.items()
    }


def mean_score(
    primaries: Mapping[str, str | None],
    own: Sequence[BySet],
    bases: Mapping[str, BySet],
    apart: Sequence[str] = (),
) -> MeanScore | None:
    """The mean over the primary sets that have a score, and its gain over each untuned base on those same sets.

    `own` are the scores of one encoder, or of several that differ in the seed: a set then needs a score with each.
    `apart` are the sets that share texts with others and are drawn apart from them.
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
    return MeanScore(len(names), whole.value, whole.interval, gains, tuple(name for name in apart if name in names))


def compare(a: Scores, b: Scores) -> Differences:
    """Spearman of `a` minus Spearman of `b` on every set that both have, with 95% paired intervals.

    Resamples and seed are those that `a` was evaluated with. Raises DataError where a set's gold scores changed between
    the two evaluations.
    """
    cosines_a, cosines_b = read_cosines(a.artefact), read_cosines(b.artefact)
    draws, sets = resampling(a.settings), []
    both: tuple[dict[str, Resampled | None], dict[str, Resampled | None]] = ({}, {})
    for score in a.sets:
        other = b.set_score(score.set)
        if other is None:
            continue
        first, second = cosines_a[score.set], cosines_b[score.set]
        if not np.array_equal(first.gold, second.gold):
            raise DataError(f"{score.set} changed between the two evaluations", "evaluate both encoders again")
        drawn = [resampled(each.cosine, each.gold, **draws) for each in (first, second)]
        difference = None
        if drawn[0] is not None and drawn[1] is not None:
            both[0][score.set], both[1][score.set] = drawn
            difference = drawn[0] - drawn[1]
        found = (difference.value, difference.interval) if difference else (None, None)
        both_scores = (score.spearman, other.spearman)
        sets.append(SetDifference(score.set, score.languages, score.pairs, *both_scores, *found))
    names = [name for name in a.primaries.values() if name in both[0]]
    rows = rows_of(names, cosines_a)
    joint = [drawn_together(of, cosines, rows, draws) for of, cosines in zip(both, (cosines_a, cosines_b), strict=True)]
    primary = [[each for name in names if (each := of[name]) is not None] for of in joint]
    mean_gain = _gain(mean_difference(*primary)) if len(names) > 1 else None
    return Differences(a.encoder, b.encoder, a.primaries, sets, mean_gain)


def resampling(settings: Mapping[str, int]) -> dict[str, int]:
    """How an evaluation with these settings draws its resamples."""
    return {name: settings[name] for name in ("resamples", "seed")}


def _gain(found: Resampled) -> Gain:
    return Gain(found.value, found.interval)
