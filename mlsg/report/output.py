"""What `mlsg eval` and `mlsg run` print: tables on stdout, or JSON or Markdown where it is asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mlsg import console
from mlsg.cache.files import readable_json, write_atomically
from mlsg.errors import SettingError
from mlsg.evaluate.means import compare
from mlsg.evaluate.results import Scores, SeedScores, difference_document
from mlsg.report.tables import SPREAD, Grid, difference_grids, grids, legend, print_grids, seeds_grids
from mlsg.report.tables import markdown as as_markdown

STDOUT = "-"


def print_scores(scores: Sequence[Scores], *, json: str | None, markdown: str | None) -> None:
    """Print the scores of one encoder, or of several and the difference of the first from each other one.

    With `json` or `markdown` a file, it is written beside the table; with `-`, stdout holds nothing else.
    Raises SettingError when both want stdout, or a file cannot be written.
    """
    differences = [compare(scores[0], other) for other in scores[1:]]
    document = scores[0].to_dict() if len(scores) == 1 else difference_document(scores, differences)
    tables = [(grids(one), legend(one)) for one in scores]
    _give([*tables, *((difference_grids(each), []) for each in differences)], document, json, markdown)


def print_seeds(found: SeedScores, *, json: str | None, markdown: str | None) -> None:
    """Print the means of several seeds, as `print_scores` does."""
    _give([(seeds_grids(found), [SPREAD, *legend(found.means)])], found.to_dict(), json, markdown)


def _give(
    tables: Sequence[tuple[list[Grid], list[str]]], document: Mapping[str, Any], json: str | None, markdown: str | None
) -> None:
    if json == STDOUT and markdown == STDOUT:
        raise SettingError("--json - and --markdown - both want stdout", "give one of them a file")
    if json:
        _put(json, readable_json(document))
    if markdown:
        _put(markdown, "\n".join(as_markdown(found, lines) for found, lines in tables))
    if STDOUT not in (json, markdown):
        out = console.stdout()
        for found, lines in tables:
            print_grids(out, found, lines)


def _put(where: str, text: str) -> None:
    if where == STDOUT:
        console.result(text.removesuffix("\n"))
        return
    try:
        write_atomically(Path(where), text)
    except OSError as error:
        raise SettingError(f"{where} cannot be written: {error.strerror}", "name another file") from None
