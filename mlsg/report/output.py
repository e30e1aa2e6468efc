"""What commands print: scores on stdout, as tables, JSON or Markdown; what was prepared and trained on stderr."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlsg import console
from mlsg.cache.artefact import Artefact
from mlsg.cache.files import readable_json, write_atomically
from mlsg.config.settings import shown
from mlsg.errors import SettingError, listed
from mlsg.report.comparison import comparison_grid, comparison_legend
from mlsg.report.drawing import Grid, print_grids
from mlsg.report.probe import draw_probe, probe_grids, probe_legend
from mlsg.report.tables import SPREAD, difference_grids, grids, legend, points, seeds_grids
from mlsg.report.tables import markdown as as_markdown

if TYPE_CHECKING:
    from mlsg.evaluate.methods import Comparison
    from mlsg.evaluate.probe import Probe
    from mlsg.evaluate.results import Differences, Scores, SeedScores

STDOUT = "-"
_NAMED_SETS = 6  # sets that were not available and are named on the screen


def print_sentences(artefact: Artefact) -> None:
    """What was kept, what was dropped and why."""
    console.rows_table([*summary_rows(artefact), ("folder", str(artefact.folder))])


def print_encoder(artefact: Artefact) -> None:
    """Steps, the best dev score, where the encoder is."""
    facts = artefact.facts
    rows = [("encoder", artefact.name)]
    if facts.get("steps"):
        rows.append(("seed", f"{artefact.settings['train']['seed']}"))
        rows.append(("steps", f"{facts['steps']:,} on {facts['sentences']:,} sentences in {artefact.seconds:.0f} s"))
    if facts.get("best_dev") is not None:
        best, before = facts["best_dev"], facts.get("dev_before")
        rows.append(("dev Spearman", f"{points(best)} at step {facts['best_step']}"))
        if before is not None and best < before:
            rows.append(("below its base", f"dev Spearman {points(before)} before training, {points(best)} after it"))
    if facts.get("prompt"):
        rows.append(("prompt", shown(facts["prompt"])))
    if facts.get("dropped"):
        rows.append(("left out", f"{', '.join(facts['dropped'])} of the base, which are not trained"))
    console.rows_table([*rows, ("folder", str(artefact.folder))])


def print_scores(
    scores: Sequence[Scores], differences: Sequence[Differences] = (), *, json: str | None, markdown: str | None
) -> None:
    """Print the scores of one encoder, or of several and the differences of the first from each other one.

    With `json` or `markdown` a file, it is written beside the table; with `-`, stdout holds nothing else.
    Raises SettingError when both want stdout, or a file cannot be written.
    """
    document = scores[0].to_dict() if len(scores) == 1 else difference_document(scores, differences)
    tables = [(grids(one), legend(one)) for one in scores]
    _give([*tables, *((difference_grids(each), []) for each in differences)], document, json, markdown)


def print_seeds(found: SeedScores, *, json: str | None, markdown: str | None) -> None:
    """Print the means of several seeds, as `print_scores` does."""
    _give([(seeds_grids(found), [SPREAD, *legend(found.means)])], found.to_dict(), json, markdown)


def print_comparison(found: Comparison, *, json: str | None, markdown: str | None) -> None:
    """Print several methods side by side, as `print_scores` does; schema `mlsg.comparison/1`."""
    document = found.to_dict()
    _give([([comparison_grid(found)], comparison_legend(found))], document, json, markdown)


def print_probe(found: Probe, *, json: str | None, markdown: str | None, plot: Path | None) -> None:
    """Print a probe, as `print_scores` does, and draw it where a file is named."""
    if plot is not None:
        draw_probe(found, plot)
    _give([(probe_grids(found), probe_legend(found))], found.to_dict(), json, markdown)


def difference_document(scores: Sequence[Scores], differences: Sequence[Differences]) -> dict[str, Any]:
    """JSON of several encoders, schema `mlsg.difference/1`: their scores, and the first one's differences from each."""
    parts: dict[str, Sequence[Scores | Differences]] = {"scores": scores, "differences": differences}
    return {"schema": "mlsg.difference/1", **{name: [each.to_dict() for each in part] for name, part in parts.items()}}


def summary_rows(artefact: Artefact) -> list[tuple[str, str]]:
    """Return what prepared sentences are and what was dropped, as names and values."""
    facts = artefact.facts
    rows = [
        ("sentences", f"{facts['kept']:,} of {facts['read']:,} read"),
        ("corpus", f"{facts['lang']}, {facts['corpus']}{', repetitions kept' if facts['repetitions'] else ''}"),
        ("licence", facts["licence"]),
        *((f"dropped, {reason.replace('_', ' ')}", f"{count:,}") for reason, count in facts["dropped"].items()),
    ]
    if facts["not_sampled"]:
        rows.append(("left out by the limit", f"{facts['not_sampled']:,}"))
    return rows + (_evaluation_rows(facts) if facts["checked"] else [("evaluation sets", "not checked, by setting")])


def _evaluation_rows(facts: Mapping[str, Any]) -> list[tuple[str, str]]:
    found = {name: counts for name, counts in facts["evaluation"].items() if counts["found"]}
    outcome = f"kept, transductive: {', '.join(facts['transductive'])}" if facts["transductive"] else "dropped"
    rows = [("evaluation sets", f"{len(facts['evaluation'])} checked, sentences of {len(found)} found")]
    if found:
        shares = [f"{name} {counts['found']:,} of {counts['sentences']:,}" for name, counts in found.items()]
        rows.append((f"found and {outcome}", "; ".join(shares)))
    near = [f"{name} {counts['near']:,}" for name, counts in facts["evaluation"].items() if counts.get("near")]
    if near:
        rows.append(("nearly found and dropped", "; ".join(near)))
    missing = facts["not_checked"]
    if missing:
        named = listed(list(missing), _NAMED_SETS)
        where = ", which artefact.json names" if len(missing) > _NAMED_SETS else ""
        rows.append(("sets not checked", f"{named}{where} ({next(iter(missing.values()))})"))
    if facts["compared_later"]:
        rows.append(("compared when evaluated", f"{len(facts['compared_later'])} sets of other languages on the hub"))
    return rows


def _give(
    tables: Sequence[tuple[list[Grid], list[str]]], document: Mapping[str, Any], json: str | None, markdown: str | None
) -> None:
    places = [STDOUT if where is not None and _is_stdout(where) else where for where in (json, markdown)]
    if places == [STDOUT, STDOUT]:
        raise SettingError("--json - and --markdown - both want stdout", "give one of them a file")
    if json:
        _put(json, readable_json(document))
    if markdown:
        _put(markdown, "\n".join(as_markdown(found, lines) for found, lines in tables))
    if STDOUT not in places:
        out = console.stdout()
        for found, lines in tables:
            print_grids(out, found, lines)


def _put(where: str, text: str) -> None:
    """Write to stdout, or to a file: a regular one is replaced where its links lead, all else is written through."""
    if _is_stdout(where):
        console.result(text.removesuffix("\n"))
        return
    try:
        if Path(where).exists() and not Path(where).is_file():
            Path(where).write_text(text, encoding="utf-8")
        else:
            write_atomically(Path(where).resolve(), text)
    except OSError as error:
        raise SettingError(f"{where} cannot be written: {error.strerror}", "name another file") from None
    except RuntimeError:  # of Path.resolve
        raise SettingError(f"{where} is a link that leads to itself", "name another file") from None


def _is_stdout(where: str) -> bool:
    """Whether `-`, `/dev/stdout` or another name leads to where this process's stdout leads."""
    try:
        return where == STDOUT or os.path.samestat(Path(where).stat(), os.fstat(sys.stdout.fileno()))
    except (OSError, ValueError):
        return False
