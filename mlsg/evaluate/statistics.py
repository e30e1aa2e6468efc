"""Rank correlations of a pair set and their bootstrap intervals.

Numbers only: nothing here knows of encoders or files, and nothing imports torch or scipy (tests compare with
scipy.stats). Undefined is None, never NaN: fewer than three pairs, a score that is not finite, or scores that are all
equal have no correlation.

The resamples of a set depend on the seed and its number of pairs alone, in a mean with sets that share rows with it on
their rows (`mlsg.evaluate.rows`). So every encoder and every baseline meets the same resamples, differences are paired,
and translations of one set are drawn row by row together, as they must, since their errors go together.

Sources: Spearman with average ranks for ties; percentile bootstrap (Efron and Tibshirani, 1993, chapter 13).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Interval = tuple[float, float]

FEWEST_PAIRS = 3
LEVEL = 0.95
MOST_UNDEFINED = 0.05  # a larger share of resamples without a correlation leaves no interval
_CELLS = 500_000  # of one chunk of resamples: 4 MB an array, whatever the number of pairs


@dataclass(frozen=True)
class Rows:
    """The rows of a set's pairs (pairs,), among `total` rows that are drawn together with those of other sets."""

    total: int
    rows: Ints

    @property
    def alone(self) -> bool:
        """Whether the set has all the rows, in their order: then its draws are those of a set alone."""
        return self.total == len(self.rows) and bool((np.diff(self.rows) == 1).all())


@dataclass(frozen=True)
class Resampled:
    """A statistic, and its value on each resample of the pairs (resamples,), NaN where it is undefined."""

    value: float
    resamples: Floats

    @cached_property
    def interval(self) -> Interval | None:
        """The 95% percentile interval, or None where too many resamples are undefined."""
        defined = self.resamples[~np.isnan(self.resamples)]
        if len(self.resamples) - len(defined) > MOST_UNDEFINED * len(self.resamples):
            return None
        low, high = np.percentile(defined, [50 * (1 - LEVEL), 50 * (1 + LEVEL)])
        return float(low), float(high)

    def __sub__(self, other: Resampled) -> Resampled:
        """The paired difference: both met the same resamples."""
        return Resampled(self.value - other.value, self.resamples - other.resamples)


def average_ranks(values: Sequence[float] | Floats) -> Floats:
    """Ranks from 1, ties sharing their mean: `[10, 20, 20]` -> `[1.0, 2.5, 2.5]`."""
    levels, counts = np.unique(np.asarray(values, dtype=np.float64), return_inverse=True, return_counts=True)[1:]
    return (np.cumsum(counts) - (counts - 1) / 2)[levels]


def pearson(first: Sequence[float] | Floats, second: Sequence[float] | Floats) -> float | None:
    """Pearson correlation of two score lists of one length, or None where it is undefined."""
    x, y = _pair(first, second)
    return _correlation(x, y) if _defined(x, y) else None


def spearman(first: Sequence[float] | Floats, second: Sequence[float] | Floats) -> float | None:
    """Pearson correlation of average ranks, or None where it is undefined."""
    x, y = _pair(first, second)
    return _correlation(average_ranks(x), average_ranks(y)) if _defined(x, y) else None


def resampled(
    scores: Sequence[float] | Floats,
    gold: Sequence[float] | Floats,
    rows: Rows | None = None,
    /,
    *,
    resamples: int = 1000,
    seed: int = 0,
) -> Resampled | None:
    """Spearman of `scores` with `gold` and of resamples of the pairs, or None where it is undefined.

    With `rows`, all rows are drawn again, and those of the pairs count: a resample has not always as many pairs.
    """
    value = spearman(scores, gold)
    if value is None:
        return None
    drawn = rows or Rows(len(gold), np.arange(len(gold)))
    return Resampled(value, _spearman_of_resamples(*_pair(scores, gold), drawn, resamples=resamples, seed=seed))


def why_undefined(scores: Sequence[float] | Floats, gold: Sequence[float] | Floats) -> str:
    """Why cosines and gold scores of a set have no Spearman correlation, in words."""
    x, y = _pair(scores, gold)
    if len(x) < FEWEST_PAIRS:
        return f"it has {len(x)} pair{'s' if len(x) != 1 else ''}, and a correlation needs {FEWEST_PAIRS}"
    if not np.isfinite(x).all():
        return f"{np.sum(~np.isfinite(x))} of its cosines are not finite"
    return "all its gold scores are equal" if y.min() == y.max() else "all its cosines are equal"


def mean(found: Sequence[Resampled]) -> Resampled:
    """The mean over sets, or over seeds on the same set.

    Pairs are resampled within each set, the sets themselves are not: the interval says how much depends on the pairs
    that were drawn, not on the languages.
    """
    values = np.mean([each.resamples for each in found], axis=0)
    return Resampled(float(np.mean([each.value for each in found])), values)


def mean_difference(first: Sequence[Resampled], second: Sequence[Resampled]) -> Resampled:
    """The mean over sets of first minus second, set by set on the same pairs."""
    return mean([a - b for a, b in zip(first, second, strict=True)])


def resample_counts(pairs: int, *, resamples: int, seed: int) -> Iterator[NDArray[np.int64]]:
    """How often each pair occurs in each resample, in chunks (resamples of the chunk, pairs); rows sum to `pairs`.

    A function of its arguments alone: the chunks are cut by memory, the draws go on from one to the next.
    """
    generator = np.random.default_rng([seed, pairs])
    rows = max(1, _CELLS // pairs)
    for start in range(0, resamples, rows):
        chunk = min(rows, resamples - start)
        drawn = generator.integers(pairs, size=(chunk, pairs))
        drawn += np.arange(chunk)[:, None] * pairs
        yield np.bincount(drawn.ravel(), minlength=chunk * pairs).reshape(chunk, pairs)  # (chunk, pairs)


def _pair(first: Sequence[float] | Floats, second: Sequence[float] | Floats) -> tuple[Floats, Floats]:
    x, y = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    if x.shape != y.shape or x.ndim != 1:
        raise ValueError(f"two lists of one length are needed, not shapes {x.shape} and {y.shape}")
    return x, y


def _defined(x: Floats, y: Floats) -> bool:
    if len(x) < FEWEST_PAIRS or not (np.isfinite(x).all() and np.isfinite(y).all()):
        return False
    return bool(x.min() < x.max() and y.min() < y.max())


def _correlation(x: Floats, y: Floats) -> float | None:
    x, y = x - x.mean(), y - y.mean()
    x_norm, y_norm = np.linalg.norm(x), np.linalg.norm(y)
    if not (x_norm > 0 and y_norm > 0):  # differences below the smallest float
        return None
    return float(np.clip(np.dot(x / x_norm, y / y_norm), -1.0, 1.0))


def _spearman_of_resamples(x: Floats, y: Floats, drawn: Rows, *, resamples: int, seed: int) -> Floats:
    """Spearman of every resample (resamples,), NaN where a resample has one level only.

    No resample is sorted: with the pairs' levels known once, ranks follow from how often each level was drawn.
    """
    ranks_x, ranks_y = _ResampledRanks(x), _ResampledRanks(y)
    found = []
    for of_all in resample_counts(drawn.total, resamples=resamples, seed=seed):
        counts = of_all if drawn.alone else of_all[:, drawn.rows]
        rx, ry = ranks_x(counts), ranks_y(counts)  # (chunk, pairs), centred
        covariance = np.einsum("cp,cp,cp->c", counts, rx, ry)
        variances = np.einsum("cp,cp,cp->c", counts, rx, rx) * np.einsum("cp,cp,cp->c", counts, ry, ry)
        with np.errstate(invalid="ignore", divide="ignore"):
            found.append(np.where(variances > 0, covariance / np.sqrt(variances), np.nan))
    clipped: Floats = np.clip(np.concatenate(found), -1.0, 1.0)
    return clipped


class _ResampledRanks:
    """Average ranks of the pairs within resamples that are given as counts."""

    def __init__(self, values: Floats) -> None:
        self.level = np.unique(values, return_inverse=True)[1]  # (pairs,)
        self.order = np.argsort(self.level, kind="stable")
        self.starts = np.searchsorted(self.level[self.order], np.arange(self.level.max() + 1))

    def __call__(self, counts: NDArray[np.int64]) -> Floats:
        """Ranks minus their mean, (chunk, pairs); the rank of a pair that was not drawn means nothing."""
        drawn = np.add.reduceat(counts[:, self.order], self.starts, axis=1)  # (chunk, levels)
        ranks = np.cumsum(drawn, axis=1) - (drawn - 1) / 2
        centred: Floats = (ranks - (counts.sum(axis=1, keepdims=True) + 1) / 2)[:, self.level]
        return centred
