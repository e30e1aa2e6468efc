"""The table of several methods: one row each, a column a language, their mean and its difference from one of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlsg.report.drawing import Grid
from mlsg.report.tables import BASELINES, points, span

if TYPE_CHECKING:
    from mlsg.evaluate.methods import Comparison, Row


def comparison_grid(found: Comparison) -> Grid:
    """Spearman x 100 of every method; words counted have neither interval nor difference."""
    columns = ("method", "text", "seeds", *found.languages, "mean", "spread", "cross")
    numbers = (*columns[2:], f"minus\n{found.against}", "95%\ninterval", "p", "seconds", "encoded\na second")
    title = "Spearman x 100 on one primary set a language, means over seeds"
    return Grid(
        title,
        ("method", "text", *numbers),
        tuple(_row(each, found) for each in found.rows),
        numbers,
        folding=("method", "text"),
    )


def comparison_legend(found: Comparison) -> list[str]:
    """What the columns are."""
    lines = [
        f"Primary sets: {', '.join(found.languages.values())}",
        "spread: standard deviation of the mean over seeds; seconds: of making an encoder, its text not counted",
        "encoded a second: sentences of these sets, where they were evaluated first",
        f"minus {found.against}: paired bootstrap over pairs; p: two-sided, after Holm's correction over all rows",
    ]
    if any(row.transductive for row in found.rows):
        lines.append("T  sentences of these sets, or of their translations, were in the text, without their scores")
    if found.crosslingual:
        lines.insert(1, f"cross: mean of {', '.join(found.crosslingual)}")
    return lines


def _row(each: Row, found: Comparison) -> tuple[str, ...]:
    p = "-" if each.p is None else f"{each.p:.3f}" if each.p >= 0.001 else "<0.001"
    return (
        BASELINES.get(each.name, each.name),
        f"{each.text or '-'}{' T' if each.transductive else ''}",
        str(each.seeds or "-"),
        *(points(each.by_language[code]) for code in found.languages),
        points(each.mean),
        points(each.spread),
        points(each.crosslingual),
        points(each.difference),
        span(each.difference_interval),
        p,
        *("-" if cost is None else f"{cost:.0f}" for cost in (each.seconds, each.speed)),
    )
