"""The difference of two encoders on the same pairs: paired bootstrap, the same resamples for both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from mlsg.errors import DataError
from mlsg.evaluate.cosines import SetCosines, read_cosines
from mlsg.evaluate.means import mean_difference, resampled
from mlsg.evaluate.results import Gain
from mlsg.evaluate.statistics import spearman_difference
from mlsg.evaluate.suites.sts import Scores
from mlsg.report.differences import DifferenceSheet, SetDifference


def compare(a: Scores, b: Scores) -> DifferenceSheet:
    """Spearman of `a` minus Spearman of `b` on every set that both have, with 95% paired intervals.

    Resamples and seed are those that `a` was evaluated with. Raises DataError where a set's gold scores changed between
    the two evaluations.
    """
    of_a, of_b = read_cosines(a.cosines), read_cosines(b.cosines)
    drawn = {name: a.sheet.settings[name] for name in ("resamples", "seed")}
    found = []
    for score in a.sheet.sets:
        other = b.sheet.set_score(score.set)
        if other is None:
            continue
        mine, theirs = of_a[score.set], of_b[score.set]
        if not np.array_equal(mine.gold, theirs.gold):
            raise DataError(f"{score.set} changed between the two evaluations", "evaluate both encoders again")
        difference = spearman_difference(mine.cosine, theirs.cosine, mine.gold, **drawn)
        found.append(
            SetDifference(
                score.set,
                score.languages,
                score.pairs,
                score.spearman,
                other.spearman,
                difference.value,
                difference.interval,
            )
        )
    shared = {each.set for each in found}
    primary = [name for name in a.sheet.primaries.values() if name in shared]
    mean = _mean([(of_a[name], of_b[name]) for name in primary], drawn)
    return DifferenceSheet(a.sheet.encoder, b.sheet.encoder, a.sheet.primaries, tuple(found), mean)


def _mean(sets: Sequence[tuple[SetCosines, SetCosines]], drawn: Mapping[str, int]) -> Gain | None:
    """The mean difference over the sets on which both have a score; None for fewer than two."""
    both = [tuple(resampled(each.cosine, each.gold, **drawn) for each in pair) for pair in sets]
    scored = [(first, second) for first, second in both if first is not None and second is not None]
    if len(scored) < 2:
        return None
    found = mean_difference(*zip(*scored, strict=True))
    return Gain(found.value, found.interval)
