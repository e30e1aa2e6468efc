"""What `mlsg eval` and `mlsg run` give: tables on stdout, or JSON or Markdown where it is asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from mlsg import console
from mlsg.cache.files import readable_json, write_atomically
from mlsg.errors import SettingError
from mlsg.evaluate import Scores, compare
from mlsg.evaluate.results import document
from mlsg.report.differences import DifferenceSheet, difference_document, difference_grids
from mlsg.report.seeds import SPREAD, SeedsSheet, seeds_document, seeds_grids
from mlsg.report.tables import Grid, grids, legend, print_grids
from mlsg.report.tables import markdown as as_markdown

STDOUT = "-"


def print_scores(scores: Sequence[Scores], *, json: str | None, markdown: str | None) -> None:
    """Print the scores of one encoder, or of several and the difference of the first from each other one.

    With `json` or `markdown` a file, it is written beside the table; with `-`, stdout holds nothing else.
    Raises SettingError when both want stdout, or a file cannot be written.
    """
    differences = [compare(scores[0], other) for other in scores[1:]]
    tables: list[tuple[list[Grid], list[str]]] = [(grids(one.sheet), legend(one.sheet)) for one in scores]
    tables += [(difference_grids(difference), []) for difference in differences]
    _give(tables, lambda: _json(scores, differences), json=json, markdown=markdown)


def print_seeds(found: SeedsSheet, scores: Sequence[Scores], *, json: str | None, markdown: str | None) -> None:
    """Print the means of several seeds, as `print_scores` does; `scores` are those of each."""
    sheets = [one.sheet for one in scores]
    _give(
        [(seeds_grids(found), [SPREAD, *legend(found.sheet)])],
        lambda: readable_json(seeds_document(found, sheets)),
        json=json,
        markdown=markdown,
    )


def _give(
    tables: Sequence[tuple[list[Grid], list[str]]],
    as_json: Callable[[], str],
    *,
    json: str | None,
    markdown: str | None,
) -> None:
    if json == STDOUT and markdown == STDOUT:
        raise SettingError("--json - and --markdown - both want stdout", "give one of them a file")
    if json:
        _put(json, as_json())
    if markdown:
        _put(markdown, "\n".join(as_markdown(found, lines) for found, lines in tables))
    if STDOUT not in (json, markdown):
        out = console.stdout()
        for found, lines in tables:
            print_grids(out, found, lines)


def _json(scores: Sequence[Scores], differences: Sequence[DifferenceSheet]) -> str:
    sheets = [one.sheet for one in scores]
    return readable_json(document(sheets[0]) if len(sheets) == 1 else difference_document(sheets, differences))


def _put(where: str, text: str) -> None:
    if where == STDOUT:
        console.result(text.removesuffix("\n"))
        return
    try:
        write_atomically(Path(where), text)
    except OSError as error:
        raise SettingError(f"{where} cannot be written: {error.strerror}", "name another file") from None
