"""Tables of scores for people: rich on a terminal, the same rows as Markdown.

Correlations are Spearman x 100. A first table has one row a language (its primary set) and their mean; a second one all
other sets. Both fit 80 columns. Beside each score stand the four baselines of the same pairs, so that a method which
loses to counting words is seen losing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from mlsg.errors import printable
from mlsg.report.drawing import Grid

if TYPE_CHECKING:
    from mlsg.evaluate.results import Differences, MeanScore, Scores, SeedScores, SetDifference, SetScore
    from mlsg.evaluate.statistics import Interval

BASELINES = {"base_cls": "base CLS", "base_mean": "base mean", "overlap": "overlap", "idf_overlap": "idf overlap"}
"""The baselines of a score, and what people read."""
FEW_PAIRS = 100
MISSING = "-"
_NUMBERS = ("pairs", "score", "95%\ninterval", *(name.replace(" ", "\n") for name in BASELINES.values()))
_COLUMNS = ("lang", "set", *_NUMBERS, "flags")
_DIFFERENCE_NUMBERS = ("pairs", "first", "second", "first -\nsecond", "95%\ninterval")
_DIFFERENCE_COLUMNS = ("lang", "set", *_DIFFERENCE_NUMBERS)
_OTHERS = "Other sets of these languages"
SPREAD = "Spread: standard deviation over the seeds. Intervals are of these trainings, with their pairs drawn again"

FLAGS = {
    "T": "transductive: sentences of the set were in the training text, without their scores",
    "?": "not known whether its sentences were in the training text",
    "M": "machine-translated pairs, scores of the originals",
    "P": "written for this project, not a public set",
    "R": "relatedness, not similarity",
    "Q": "translation quality, not similarity",
    "X": "cross-lingual: the two sentences are in two languages",
    "<": f"under {FEW_PAIRS} pairs",
}


def flags(score: SetScore) -> str:
    """The letters of `FLAGS` that hold for a set."""
    found = {
        "T": score.transductive is True,
        "?": score.transductive is None,
        "M": score.made == "machine_translation",
        "P": score.made == "written_for_project",
        "R": score.kind == "relatedness",
        "Q": score.kind == "quality",
        "X": score.crosslingual,
        "<": score.pairs < FEW_PAIRS,
    }
    return "".join(letter for letter, holds in found.items() if holds)


def points(value: float | None) -> str:
    """A correlation x 100: `0.8203` -> `82.0`."""
    return MISSING if value is None else f"{round(100 * value, 1) + 0.0:.1f}"


def span(interval: Interval | None) -> str:
    """An interval x 100: `(0.63, 0.78)` -> `[63.0, 78.0]`."""
    return MISSING if interval is None else f"[{points(interval[0])}, {points(interval[1])}]"


def grids(scores: Scores) -> list[Grid]:
    """The tables of one encoder: languages with their mean, then the other sets if there are any."""
    languages = [(lang, name or MISSING, scores.set_score(name)) for lang, name in scores.primaries.items()]
    rows = [_row(lang, name, score) for lang, name, score in languages]
    scored = [score for _, _, score in languages if score is not None and score.spearman is not None]
    if scores.mean is not None:
        rows.append(_mean_row(scores.mean, scored))
    title = f"{scores.encoder.title}: Spearman x 100, one primary set a language"
    found = [Grid(title, _COLUMNS, tuple(rows), _NUMBERS, last_apart=scores.mean is not None)]
    others = [score for score in scores.sets if score.set not in scores.primaries.values()]
    if others:
        rows = [_row(score.lang, score.set, score) for score in others]
        found.append(Grid(_OTHERS, _COLUMNS, tuple(rows), _NUMBERS))
    return found


def difference_grids(found: Differences) -> list[Grid]:
    """Two encoders side by side: primary sets by language with the mean difference, then the other sets."""
    by_name = {each.set: each for each in found.sets}
    primary = [(lang, by_name[name]) for lang, name in found.primaries.items() if name in by_name]
    others = [each for each in found.sets if each.set not in found.primaries.values()]
    title = f"first: {found.first.title}, second: {found.second.title}; Spearman x 100, paired bootstrap"
    rows = [_difference_row(lang, each) for lang, each in primary]
    if found.mean is not None:
        known = sum(each.difference is not None for _, each in primary)
        gain = (points(found.mean.difference), span(found.mean.interval))
        rows.append(("mean", f"{known} languages", "", "", "", *gain))
    shown = [Grid(title, _DIFFERENCE_COLUMNS, tuple(rows), _DIFFERENCE_NUMBERS, last_apart=found.mean is not None)]
    if others:
        rows = [_difference_row("-".join(dict.fromkeys(each.languages)), each) for each in others]
        shown.append(Grid(_OTHERS, _DIFFERENCE_COLUMNS, tuple(rows), _DIFFERENCE_NUMBERS))
    return shown


def seeds_grids(found: SeedScores) -> list[Grid]:
    """The tables of one encoder with means over seeds, and their spread beside them."""
    return [_with_spread(grid, found) for grid in grids(found.means)]


def legend(scores: Scores) -> list[str]:
    """The mean's gain, what the flags in the tables mean, and what was cut off or skipped; only what occurs."""
    used = {letter for score in scores.sets for letter in flags(score)}
    lines = _gains(scores.mean)
    if scores.mean is not None and scores.mean.apart:
        lines.append(
            "The interval of the mean may be too narrow: its sets share texts, but the rows of these could not be "
            f"identified by their gold scores: {', '.join(scores.mean.apart)}"
        )
    lines += [f"No score for {score.set}: {score.no_score}" for score in scores.sets if score.no_score]
    lines += [
        f"No interval for {score.set}: too many of its resamples have no correlation"
        for score in scores.sets
        if score.spearman is not None and score.interval is None
    ]
    lines += [f"{letter}  {meaning}" for letter, meaning in FLAGS.items() if letter in used]
    cut = [f"{score.set} {score.truncated}" for score in scores.sets if score.truncated]
    if cut:
        lines.append(f"Sentences cut at the encoder's maximum length: {', '.join(cut)}")
    dropped = [f"{score.set} {score.dropped}" for score in scores.sets if score.dropped]
    if dropped:
        lines.append(f"Pairs dropped for an empty sentence: {', '.join(dropped)}")
    unknown = [f"{score.set} {score.unknown}" for score in scores.sets if score.unknown]
    if unknown:
        lines.append(f"Unknown tokens: {', '.join(unknown)}")
    return lines + [f"Skipped {skipped.set}: {skipped.why}" for skipped in scores.skipped]


def markdown(found: Sequence[Grid], lines: Sequence[str] = ()) -> str:
    """The same tables as Markdown text."""
    blocks = ["\n".join([f"**{_cell(grid.title)}**", "", *_markdown_rows(grid)]) for grid in found]
    if lines:
        blocks.append("\n".join(f"- {_cell(line)}" for line in lines))
    return "\n\n".join(blocks) + "\n"


def _row(lang: str, name: str, score: SetScore | None) -> tuple[str, ...]:
    if score is None:
        return (lang, name, *[MISSING] * 7, "")
    baselines = [points(score.baselines[role]) for role in BASELINES]
    return (lang, name, str(score.pairs), points(score.spearman), span(score.interval), *baselines, flags(score))


def _difference_row(lang: str, each: SetDifference) -> tuple[str, ...]:
    numbers = (points(each.first), points(each.second), points(each.difference), span(each.interval))
    return (lang, each.set, str(each.pairs), *numbers)


def _with_spread(grid: Grid, found: SeedScores) -> Grid:
    place = grid.columns.index("score") + 1
    last = len(grid.rows) - 1 if grid.last_apart else None
    spreads = [points(found.spread if n == last else found.spreads.get(row[1])) for n, row in enumerate(grid.rows)]
    return replace(
        grid,
        title=grid.title.replace("Spearman x 100,", f"Spearman x 100, mean of {len(found.seeds)} seeds,"),
        columns=(*grid.columns[:place], "spread", *grid.columns[place:]),
        rows=tuple((*row[:place], spread, *row[place:]) for row, spread in zip(grid.rows, spreads, strict=True)),
        numbers=(*grid.numbers, "spread"),
    )


def _gains(mean: MeanScore | None) -> list[str]:
    """`Gain of the mean: 7.6 [3.2, 11.9] over base CLS, 1.0 [-0.7, 2.8] over base mean (paired bootstrap)`."""
    if mean is None or not mean.gains:
        return []
    said = [
        f"{points(gain.difference)} {span(gain.interval)} over {BASELINES[role]}" for role, gain in mean.gains.items()
    ]
    return [f"Gain of the mean: {', '.join(said)} (paired bootstrap)"]


def _mean_row(mean: MeanScore, scored: Sequence[SetScore]) -> tuple[str, ...]:
    """Means over languages; a baseline has one only where every language has that baseline, so that rows compare."""
    means = []
    for role in BASELINES:
        values = [value for score in scored if (value := score.baselines[role]) is not None]
        means.append(points(sum(values) / len(values)) if len(values) == len(scored) else MISSING)
    return ("mean", f"{mean.languages} languages", "", points(mean.spearman), span(mean.interval), *means, "")


def _markdown_rows(grid: Grid) -> Iterator[str]:
    yield _line([column.replace("\n", " ") for column in grid.columns])
    yield _line(["--:" if column in grid.numbers else "---" for column in grid.columns])
    yield from (_line(row) for row in grid.rows)


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(map(_cell, cells))} |"


def _cell(text: str) -> str:
    return printable(text).replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")
