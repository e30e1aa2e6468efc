"""What `mlsg prepare` and `mlsg train` say when they are done, on stderr: the result itself is a folder."""

from __future__ import annotations

from mlsg import console
from mlsg.cache.artefact import Artefact
from mlsg.prepare import summary_rows
from mlsg.report.tables import points


def print_sentences(artefact: Artefact) -> None:
    """What was kept, what was dropped and why."""
    console.rows_table([*summary_rows(artefact), ("folder", _shown(artefact))])


def print_encoder(artefact: Artefact) -> None:
    """Steps, the best dev score, where the encoder is."""
    facts = artefact.facts
    rows = [("encoder", artefact.name)]
    if facts.get("steps"):
        rows.append(("seed", f"{artefact.settings['train']['seed']}"))
        rows.append(("steps", f"{facts['steps']:,} on {facts['sentences']:,} sentences in {artefact.seconds:.0f} s"))
    if facts.get("best_dev") is not None:
        rows.append(("dev Spearman", f"{points(facts['best_dev'])} at step {facts['best_step']}"))
    console.rows_table([*rows, ("folder", _shown(artefact))])


def _shown(artefact: Artefact) -> str:
    return str(artefact.folder)
