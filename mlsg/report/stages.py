"""What `mlsg prepare` and `mlsg train` say when they are done, on stderr: the result itself is a folder."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mlsg import console
from mlsg.cache.artefact import Artefact

_NAMED_SETS = 6
"""Sets that were not available and are named on the screen."""


def print_sentences(artefact: Artefact) -> None:
    """What was kept, what was dropped and why."""
    console.rows_table([*summary_rows(artefact), ("folder", _shown(artefact))])


def print_encoder(artefact: Artefact) -> None:
    """Steps, the best dev score, where the encoder is."""
    from mlsg.evaluate.results import points  # `prepare` has no need of it

    facts = artefact.facts
    rows = [("encoder", artefact.name)]
    if facts.get("steps"):
        rows.append(("seed", f"{artefact.settings['train']['seed']}"))
        rows.append(("steps", f"{facts['steps']:,} on {facts['sentences']:,} sentences in {artefact.seconds:.0f} s"))
    if facts.get("best_dev") is not None:
        rows.append(("dev Spearman", f"{points(facts['best_dev'])} at step {facts['best_step']}"))
    console.rows_table([*rows, ("folder", _shown(artefact))])


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
    missing = facts["not_checked"]
    if missing:
        named, others = list(missing)[:_NAMED_SETS], len(missing) - _NAMED_SETS
        names = ", ".join(named) + (f" and {others} more, which artefact.json names" if others > 0 else "")
        rows.append(("sets not checked", f"{names} ({next(iter(missing.values()))})"))
    return rows


def _shown(artefact: Artefact) -> str:
    return str(artefact.folder)
