"""What `mlsg eval` and `mlsg run` give: tables on stdout, or JSON or Markdown where it is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mlsg import console
from mlsg.errors import SettingError
from mlsg.evaluate import Scores, compare
from mlsg.files import readable_json, write_atomically
from mlsg.report.differences import DifferenceSheet, difference_document, difference_grids
from mlsg.report.scores_json import document
from mlsg.report.tables import Grid, grids, legend, markdown, print_grids

STDOUT = "-"


def print_scores(scores: Sequence[Scores], *, json: str | None, markdown: str | None) -> None:
    """Print the scores of one encoder, or of several and the difference of the first from each other one.

    With `json` or `markdown` a file, it is written beside the table; with `-`, stdout holds nothing else.
    Raises SettingError when both want stdout, or a file cannot be written.
    """
    if json == STDOUT and markdown == STDOUT:
        raise SettingError("--json - and --markdown - both want stdout", "give one of them a file")
    differences = [compare(scores[0], other) for other in scores[1:]]
    if json:
        _put(json, _json(scores, differences))
    if markdown:
        _put(markdown, _markdown(scores, differences))
    if STDOUT not in (json, markdown):
        out = console.stdout()
        for one in scores:
            print_grids(out, grids(one.sheet), legend(one.sheet))
        for difference in differences:
            print_grids(out, difference_grids(difference))


def _json(scores: Sequence[Scores], differences: Sequence[DifferenceSheet]) -> str:
    sheets = [one.sheet for one in scores]
    return readable_json(document(sheets[0]) if len(sheets) == 1 else difference_document(sheets, differences))


def _markdown(scores: Sequence[Scores], differences: Sequence[DifferenceSheet]) -> str:
    tables: list[tuple[list[Grid], list[str]]] = [(grids(one.sheet), legend(one.sheet)) for one in scores]
    tables += [(difference_grids(difference), []) for difference in differences]
    return "\n".join(markdown(found, lines) for found, lines in tables)


def _put(where: str, text: str) -> None:
    if where == STDOUT:
        console.result(text.removesuffix("\n"))
        return
    try:
        write_atomically(Path(where), text)
    except OSError as error:
        raise SettingError(f"{where} cannot be written: {error.strerror}", "name another file") from None
