"""The result of `mlsg eval`: tables for people, JSON and Markdown where they are asked for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mlsg import console
from mlsg.errors import SettingError
from mlsg.evaluate import Scores, compare
from mlsg.files import readable_json
from mlsg.report.differences import difference_document, difference_grids
from mlsg.report.scores_json import document
from mlsg.report.tables import Grid, grids, legend, print_grids
from mlsg.report.tables import markdown as markdown_of

STDOUT = "-"


def check_targets(json: str | None, markdown: str | None) -> None:
    """Refuse two results on one stdout and files that cannot be written, before any work. Raises SettingError."""
    if json == markdown == STDOUT:
        raise SettingError("--json - and --markdown - both want stdout", "give one of them a file")
    for option, target in (("--json", json), ("--markdown", markdown)):
        if target not in {None, STDOUT} and not Path(str(target)).absolute().parent.is_dir():
            raise SettingError(f"{option} {target}: its folder does not exist", "make the folder, or name another file")


def print_scores(scores: Sequence[Scores], *, json: str | None = None, markdown: str | None = None) -> None:
    """Print the scores of one encoder, or of several with their differences from the first.

    `json` and `markdown` are a file or "-" for stdout, which then holds nothing else: the tables move to stderr.
    """
    check_targets(json, markdown)
    differences = [compare(scores[0], other) for other in scores[1:]]
    taken = STDOUT in {json, markdown}
    screen = console.stderr() if taken else console.stdout()
    for each in scores:
        print_grids(screen, grids(each.sheet), legend(each.sheet))
    for difference in differences:
        print_grids(screen, difference_grids(difference))
    if json is not None:
        sheets = [each.sheet for each in scores]
        _write(json, readable_json(difference_document(sheets, differences) if differences else document(sheets[0])))
    if markdown is not None:
        _write(markdown, _markdown_text(scores, [difference_grids(each) for each in differences]))


def _markdown_text(scores: Sequence[Scores], differences: Sequence[Sequence[Grid]]) -> str:
    blocks = [markdown_of(grids(each.sheet), legend(each.sheet)) for each in scores]
    return "\n".join([*blocks, *(markdown_of(each) for each in differences)])


def _write(target: str, text: str) -> None:
    if target == STDOUT:
        console.result(text.rstrip("\n"))
        return
    try:
        Path(target).write_text(text, encoding="utf-8")
    except OSError as error:
        raise SettingError(f"{target} cannot be written: {error.strerror}", "name another file") from None
