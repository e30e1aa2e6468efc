"""Which pairs of several sets are the same row, so that they are drawn together.

Translations of one set have its gold scores in its order, and lack a row here and there. Their rows are found by the
longest common subsequence of the gold scores: a row is known where every longest one pairs it alike (else it is one of
a run of equal scores, and the first that fits is taken). Sets of which too few rows are known keep draws of their own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from mlsg.evaluate.statistics import Floats, Ints, Rows

_KNOWN = 0.8  # of the pairs of the smaller set must be known rows of the larger one
_MOST_CELLS = 25_000_000  # of a table of common subsequences: 50 MB


def rows_in_common(golds: Mapping[str, Floats]) -> dict[str, Rows]:
    """The rows of each set, by its gold scores. Those of a set that shares none are `range(pairs)`."""
    groups: list[_Group] = []
    for name in sorted(golds, key=lambda each: -len(golds[each])):  # the largest is nearest to the whole
        with np.errstate(all="ignore"):  # scores beyond every scale are one level
            known = any(group.takes(name, golds[name]) for group in groups)
        if not known:
            groups.append(_Group(name, golds[name]))
    return {name: Rows(group.total, rows) for group in groups for name, rows in group.rows.items()}


def sets_apart(texts: Mapping[str, Iterable[str]], rows: Mapping[str, Rows]) -> tuple[str, ...]:
    """The sets that share texts with another one, by declaration, and are not drawn together with it."""
    return tuple(
        name
        for name in rows
        if any(set(texts[name]) & set(texts[other]) and rows[name].total != rows[other].total for other in rows)
    )


class _Group:
    """Sets that are translations of one another: the rows of each, and the gold scores of all rows in their order."""

    def __init__(self, name: str, gold: Floats) -> None:
        self.rows = {name: np.arange(len(gold))}
        self._gold, self._numbers = gold, np.arange(len(gold))

    @property
    def total(self) -> int:
        """Rows of all sets together."""
        return len(self._gold)

    def takes(self, name: str, gold: Floats) -> bool:
        """Add a set if its rows are known; rows that only it has are put where they stand in it."""
        for scores in (gold, _stretched(gold, self._gold)):
            places = _places(_levels(self._gold), _levels(scores))
            if places is not None:
                break
        else:
            return False
        new = places < 0
        numbers = self._numbers[places]
        numbers[new] = self.total + np.arange(new.sum())
        behind = np.maximum.accumulate(places) + 1  # the last row before it that is known
        self._numbers = np.insert(self._numbers, behind[new], numbers[new])
        self._gold = np.insert(self._gold, behind[new], scores[new])
        self.rows[name] = numbers
        return True


def _stretched(gold: Floats, other: Floats) -> Floats:
    """Scores from 0 to 1 as scores from 0 to 5, where those are the ranges that occur."""
    ends = [gold.min(), max(gold.max(), gold.min() + 1e-9)]
    stretched: Floats = np.interp(gold, ends, [other.min(), other.max()])
    return stretched


def _levels(gold: Floats) -> Ints:
    return np.round(gold * 1000).astype(np.int64)


def _places(known: Ints, own: Ints) -> Ints | None:
    """The place of each of `own` in `known`, -1 where it has none; None where too few are certain."""
    if np.array_equal(known, own):
        return np.arange(len(own))
    enough = _KNOWN * min(len(known), len(own))
    if _most_in_common(known, own) < enough or len(known) * len(own) > _MOST_CELLS:
        return None
    ahead, behind = _common_subsequences(known, own), _common_subsequences(known[::-1], own[::-1])[::-1, ::-1]
    longest = known[:, None] == own
    longest &= ahead[:-1, :-1] + behind[1:, 1:] == ahead[-1, -1] - 1
    first, second = np.nonzero(longest)  # the pairs of all longest common subsequences
    rank = ahead[first, second]  # of which each has one pair of each rank
    if np.sum(np.bincount(rank) == 1) < enough:
        return None
    places = np.full(len(own), -1)
    last = (-1, -1, -1)
    for pair in sorted(zip(rank.tolist(), first.tolist(), second.tolist(), strict=True)):
        if all(after > before for after, before in zip(pair, last, strict=True)):
            places[pair[2]], last = pair[1], pair
    return places


def _most_in_common(known: Ints, own: Ints) -> int:
    """The most that a common subsequence can have: of each level, as many as both have."""
    levels, inverse = np.unique(np.concatenate([known, own]), return_inverse=True)
    counts = [np.bincount(part, minlength=len(levels)) for part in np.split(inverse, [len(known)])]
    return int(np.minimum(*counts).sum())


def _common_subsequences(first: Ints, second: Ints) -> NDArray[np.int16]:
    """Length of the longest common subsequence of `first[:i]` and `second[:j]`, (len(first) + 1, len(second) + 1)."""
    table = np.zeros((len(first) + 1, len(second) + 1), np.int16)
    for place, level in enumerate(first):
        longer = np.maximum(table[place, 1:], table[place, :-1] + (second == level))
        np.maximum.accumulate(longer, out=table[place + 1, 1:])
    return table
