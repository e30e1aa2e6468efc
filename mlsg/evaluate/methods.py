"""Several methods on the same sets: means over seeds and languages, and paired differences from one of them.

The untuned base by [CLS] and by its mean, of the first method, stand beside them as methods of their own; counting
words has no resamples and is shown without a difference. A p-value is twice the smaller share of resamples on either
side of 0, of the mean over languages; Holm's correction holds over all methods of the table.

Source: S. Holm: A Simple Sequentially Rejective Multiple Test Procedure, Scandinavian Journal of Statistics, 1979.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import stdev
from typing import Any

import numpy as np

from mlsg.errors import SettingError, nearest
from mlsg.evaluate.baselines import BASE_POOLINGS
from mlsg.evaluate.cosines import ENCODER, read_cosines
from mlsg.evaluate.means import BySet, drawn_together, resampling, rows_of
from mlsg.evaluate.results import Scores, rounded
from mlsg.evaluate.statistics import Interval, Resampled, mean, resampled

_WORDS = ("overlap", "idf_overlap")


@dataclass(frozen=True)
class Method:
    """One method: the scores of each of its seeds, and what its encoders cost, on average."""

    name: str
    scores: Sequence[Scores]
    seconds: float | None
    """That making one took, its text not counted."""
    speed: float | None = None
    """Sentences a second that the evaluation encoded."""
    text: str = ""
    """What it was trained or fitted on; empty: on nothing."""


@dataclass(frozen=True)
class Row:
    """What a method reached: Spearman by language, the mean over languages, and over cross-lingual sets."""

    name: str
    seeds: int
    by_language: Mapping[str, float | None]
    mean: float | None
    spread: float | None
    """Standard deviation of the mean over seeds."""
    interval: Interval | None
    crosslingual: float | None
    difference: float | None = None
    """Of the mean, from the row that all are compared with."""
    difference_interval: Interval | None = None
    p: float | None = None
    """After Holm's correction."""
    seconds: float | None = None
    speed: float | None = None
    text: str = ""
    transductive: bool = False
    """Whether sentences of a set of the table were in that text."""


@dataclass(frozen=True)
class Comparison:
    """The rows of a table; `against` is the one that the others are compared with."""

    against: str
    languages: Mapping[str, str]
    crosslingual: Sequence[str]
    rows: Sequence[Row]

    def to_dict(self) -> dict[str, Any]:
        """The JSON-able document of schema `mlsg.comparison/1`."""
        return {"schema": "mlsg.comparison/1", **rounded(asdict(self))}


def compare_methods(methods: Sequence[Method], against: str) -> Comparison:
    """All methods beside `against`, on the primary sets and cross-lingual sets that every one of them has.

    Raises SettingError where `against` is none of the rows, and where no set is common to all.
    """
    first = methods[0].scores[0]
    everything = [each for method in methods for each in method.scores]
    common = set.intersection(
        *({score.set for score in each.sets if score.spearman is not None} for each in everything)
    )
    languages = {code: name for code, name in first.primaries.items() if name in common and name is not None}
    cross = [each.set for each in first.sets if each.crosslingual and each.set in common]
    if not languages:
        raise SettingError("the methods have no set in common", "evaluate them on the same languages")
    drawn = {method.name: [_drawn(each, ENCODER) for each in method.scores] for method in methods}
    bases = {role: [_drawn(first, role)] for role in BASE_POOLINGS}
    drawn |= {role: each for role, each in bases.items() if set(languages.values()) <= each[0].keys()}
    if against not in drawn:
        raise SettingError(f'no row "{against}" to compare with', nearest(against, drawn))
    means = {name: _mean(of_seeds, languages.values()) for name, of_seeds in drawn.items()}
    differences = {name: each - means[against] for name, each in means.items() if name != against}
    corrected = holm({name: p_value(each) for name, each in differences.items()})
    shown = {*languages.values(), *cross}
    facts = {each.name: (each.seconds, each.speed, each.text, _transductive(each.scores[0], shown)) for each in methods}
    rows = [
        Row(
            name,
            len(of_seeds),
            {code: _mean(of_seeds, [primary]).value for code, primary in languages.items()},
            means[name].value,
            stdev([_mean([each], languages.values()).value for each in of_seeds]) if len(of_seeds) > 1 else None,
            means[name].interval,
            _mean(of_seeds, cross).value if cross and set(cross) <= of_seeds[0].keys() else None,
            differences[name].value if name in differences else None,
            differences[name].interval if name in differences else None,
            corrected.get(name),
            *facts.get(name, ()),
        )
        for name, of_seeds in drawn.items()
    ]
    return Comparison(against, languages, cross, [*rows, *(_words(role, first, languages) for role in _WORDS)])


def p_value(difference: Resampled) -> float:
    """Two-sided: twice the smaller share of resamples that are not above, or not below, 0; at least two resamples'."""
    values = difference.resamples[~np.isnan(difference.resamples)]
    if not len(values):
        return 1.0
    tail = min(np.sum(values <= 0), np.sum(values >= 0))
    return float(min(1.0, 2 * (tail + 1) / (len(values) + 1)))


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Holm's step-down correction: the k-th smallest of m times m - k + 1, at least the ones before it, at most 1."""
    corrected, largest = {}, 0.0
    for number, (name, p) in enumerate(sorted(p_values.items(), key=lambda each: each[1])):
        largest = max(largest, min(1.0, p * (len(p_values) - number)))
        corrected[name] = largest
    return corrected


def _drawn(scores: Scores, role: str) -> dict[str, Resampled]:
    """Each set's score with its resamples, translations of one set drawn together."""
    draws, cosines = resampling(scores.settings), read_cosines(scores.artefact, role)
    alone: BySet = {name: resampled(each.cosine, each.gold, **draws) for name, each in cosines.items()}
    together = drawn_together(alone, cosines, rows_of(scores.primaries.values(), cosines), draws)
    return {name: each for name, each in together.items() if each is not None}


def _transductive(scores: Scores, names: Collection[str]) -> bool:
    return any(score.transductive for score in scores.sets if score.set in names)


def _mean(of_seeds: Sequence[Mapping[str, Resampled]], sets: Collection[str]) -> Resampled:
    return mean([each[name] for each in of_seeds for name in sets])


def _words(role: str, scores: Scores, languages: Mapping[str, str]) -> Row:
    found = {code: scores.set_score(name) for code, name in languages.items()}
    values = {code: score.baselines[role] if score else None for code, score in found.items()}
    known = [value for value in values.values() if value is not None]
    whole = float(np.mean(known)) if len(known) == len(values) else None
    return Row(role, 0, values, whole, None, None, None)
