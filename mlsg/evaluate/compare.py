"""The difference of two encoders on the same pairs: paired bootstrap, the same resamples for both."""

from __future__ import annotations

import numpy as np

from mlsg.errors import DataError
from mlsg.evaluate.cosines import read_cosines
from mlsg.evaluate.statistics import spearman_difference
from mlsg.evaluate.sts import Scores
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
    return DifferenceSheet(a.sheet.encoder, b.sheet.encoder, a.sheet.primaries, tuple(found))
