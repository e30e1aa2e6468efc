"""`mlsg export`: a copy of an encoder for others, with a model card that holds its scores."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from mlsg.cache.artefact import MANIFEST, Artefact
from mlsg.cache.workspace import Workspace
from mlsg.errors import SettingError, nearest
from mlsg.report.card import CARD


def export_encoder(folder: Path, encoder: str | None, workspace: Path) -> str:
    """Copy an encoder (its folder or its name in the workspace; None: the one trained last) to the new `folder`.

    The card is the one that `mlsg eval` wrote, of the evaluation with the most sets; without one the card says so.
    Returns a line that says what was done. Raises SettingError for an unknown encoder or a folder that has content.
    """
    known = Workspace(workspace.absolute())
    artefact = _find(encoder, known)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise SettingError(f"{folder} already exists", "name a new folder")
    evaluated = scored_card(artefact, known)
    try:
        _copy(artefact.folder, folder, evaluated)
    except OSError as error:
        raise SettingError(f"{folder} cannot be written: {error.strerror}", "name another folder") from None
    said = "its card has its scores" if evaluated else "its card has no scores yet (run mlsg eval first)"
    return f"{artefact.name} is in {folder}; {said}"


def scored_card(encoder: Artefact, workspace: Workspace) -> Path | None:
    """The card with scores that `mlsg eval` wrote for an encoder, of the evaluation with the most sets."""
    scores = [each for each in workspace.artefacts("scores") if each.inputs.get("encoder") == encoder.key]
    cards = [each for each in scores if (each.folder / CARD).is_file()]
    best = max(cards, key=lambda each: (len(each.facts["spearman"]), each.folder.name), default=None)
    return best.folder / CARD if best else None


def _copy(source: Path, folder: Path, evaluated: Path | None) -> None:
    """Lay the files in a folder beside the target and rename it, so that a full disk leaves no half encoder."""
    folder.absolute().parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.absolute().parent, prefix=".export-") as made:
        laid = Path(made) / "encoder"
        shutil.copytree(source, laid, ignore=shutil.ignore_patterns(MANIFEST))
        if evaluated:
            shutil.copyfile(evaluated, laid / CARD)
        laid.replace(folder)


def _find(encoder: str | None, workspace: Workspace) -> Artefact:
    if encoder is None:
        artefact = workspace.last("train")
        if artefact is None:
            raise SettingError(f"no trained encoder in {workspace.root}", "run mlsg train, or pass --encoder")
        return artefact
    encoders = workspace.artefacts("encoders")
    for artefact in encoders:
        if artefact.folder.name == encoder or artefact.folder == Path(encoder).absolute():
            return artefact
    known = nearest(encoder, [artefact.folder.name for artefact in encoders])
    raise SettingError(f'no encoder "{encoder}" in {workspace.root}', known)
