"""Scores of one method over several seeds: tables, and JSON of schema `mlsg.config.seed_list/1`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from mlsg.evaluate.results import ScoreSheet, document, rounded, rounded_interval
from mlsg.report.tables import Grid, grids, points

SCHEMA = "mlsg.config.seed_list/1"
SPREAD = "Spread: standard deviation over the seeds. Intervals are of these trainings, with their pairs drawn again"
_SPREAD = "spread"


@dataclass(frozen=True)
class SeedsSheet:
    """Means over seeds, in `sheet`, and standard deviations over them."""

    seeds: tuple[int, ...]
    sheet: ScoreSheet
    spreads: Mapping[str, float | None]
    """By set; None with one seed. Sets without a score with every seed are left out."""
    spread: float | None
    """Of the mean over languages."""


def seeds_grids(sheet: SeedsSheet) -> list[Grid]:
    """The tables of one encoder with means over seeds, and their spread beside them."""
    return [_with_spread(grid, sheet) for grid in grids(sheet.sheet)]


def seeds_document(sheet: SeedsSheet, scores: Sequence[ScoreSheet]) -> dict[str, Any]:
    """JSON: the `mlsg.scores/1` document of each seed, and the means over them."""
    middle = sheet.sheet.mean
    return {
        "schema": SCHEMA,
        "seeds": list(sheet.seeds),
        "scores": [document(each) for each in scores],
        "sets": [
            {
                "set": score.set,
                "pairs": score.pairs,
                "spearman": rounded(score.spearman),
                "interval": rounded_interval(score.interval),
                "spread": rounded(sheet.spreads.get(score.set)),
            }
            for score in sheet.sheet.sets
        ],
        "mean": None
        if middle is None
        else {
            "languages": middle.languages,
            "spearman": rounded(middle.spearman),
            "interval": rounded_interval(middle.interval),
            "spread": rounded(sheet.spread),
            "gains": {
                role: {"difference": rounded(gain.difference), "interval": rounded_interval(gain.interval)}
                for role, gain in middle.gains.items()
            },
        },
    }


def _with_spread(grid: Grid, sheet: SeedsSheet) -> Grid:
    place = grid.columns.index("score") + 1
    last = len(grid.rows) - 1 if grid.last_apart else None

    def spread(number: int, row: tuple[str, ...]) -> str:
        return points(sheet.spread if number == last else sheet.spreads.get(row[1]))

    rows = tuple((*row[:place], spread(number, row), *row[place:]) for number, row in enumerate(grid.rows))
    title = grid.title.replace("Spearman x 100,", f"Spearman x 100, mean of {len(sheet.seeds)} seeds,")
    columns = (*grid.columns[:place], _SPREAD, *grid.columns[place:])
    return replace(grid, title=title, columns=columns, rows=rows, numbers=(*grid.numbers, _SPREAD))
