"""Two encoders side by side: the table of their paired differences, and its JSON, schema `mlsg.difference/1`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mlsg.evaluate.results import EncoderEntry, Gain, Interval, ScoreSheet, document, rounded, rounded_interval
from mlsg.report.tables import Grid, points, span

SCHEMA = "mlsg.difference/1"
_NUMBERS = ("pairs", "first", "second", "first -\nsecond", "95%\ninterval")
_COLUMNS = ("lang", "set", *_NUMBERS)


@dataclass(frozen=True)
class SetDifference:
    """Spearman of two encoders on one set: `difference` is the first minus the second."""

    set: str
    languages: tuple[str, str]
    pairs: int
    first: float | None
    second: float | None
    difference: float | None
    interval: Interval | None


@dataclass(frozen=True)
class DifferenceSheet:
    """All differences of two encoders; `primaries` as in ScoreSheet."""

    first: EncoderEntry
    second: EncoderEntry
    primaries: Mapping[str, str | None]
    sets: Sequence[SetDifference]
    mean: Gain | None = None
    """Of the means over the primary sets; None for fewer than two."""


def difference_grids(sheet: DifferenceSheet) -> list[Grid]:
    """Primary sets by language with the mean difference, then the other sets."""
    by_name = {each.set: each for each in sheet.sets}
    primary = [(lang, by_name[name]) for lang, name in sheet.primaries.items() if name in by_name]
    others = [each for each in sheet.sets if each.set not in sheet.primaries.values()]
    title = f"first: {sheet.first.title}, second: {sheet.second.title}; Spearman x 100, paired bootstrap"
    rows = [_row(lang, each) for lang, each in primary]
    if sheet.mean is not None:
        known = sum(each.difference is not None for _, each in primary)
        gain = (points(sheet.mean.difference), span(sheet.mean.interval))
        rows.append(("mean", f"{known} languages", "", "", "", *gain))
    grids = [Grid(title, _COLUMNS, tuple(rows), _NUMBERS, last_apart=sheet.mean is not None)]
    if others:
        rows = [_row("-".join(dict.fromkeys(each.languages)), each) for each in others]
        grids.append(Grid("Other sets of these languages", _COLUMNS, tuple(rows), _NUMBERS))
    return grids


def difference_document(scores: Sequence[ScoreSheet], differences: Sequence[DifferenceSheet]) -> dict[str, Any]:
    """JSON of several encoders: their `mlsg.scores/1` documents, and the differences of the first from the others."""
    return {
        "schema": SCHEMA,
        "scores": [document(each) for each in scores],
        "differences": [
            {
                "first": sheet.first.key,
                "second": sheet.second.key,
                "primaries": dict(sheet.primaries),
                "mean": _mean(sheet.mean),
                "sets": [_set(each) for each in sheet.sets],
            }
            for sheet in differences
        ],
    }


def _mean(gain: Gain | None) -> dict[str, Any] | None:
    if gain is None:
        return None
    return {"difference": rounded(gain.difference), "interval": rounded_interval(gain.interval)}


def _set(each: SetDifference) -> dict[str, Any]:
    return {
        "set": each.set,
        "languages": list(each.languages),
        "pairs": each.pairs,
        "first": rounded(each.first),
        "second": rounded(each.second),
        "difference": rounded(each.difference),
        "interval": rounded_interval(each.interval),
    }


def _row(lang: str, each: SetDifference) -> tuple[str, ...]:
    numbers = (points(each.first), points(each.second), points(each.difference), span(each.interval))
    return (lang, each.set, str(each.pairs), *numbers)
