"""`mlsg export`: a copy of an encoder for others, with a model card that holds its scores."""

from __future__ import annotations

import shutil
from pathlib import Path

from mlsg.cache.artefact import Artefact, damage
from mlsg.cache.files import sync, sync_tree
from mlsg.cache.verify import damage_of, verified_in
from mlsg.cache.workspace import Workspace
from mlsg.errors import DataError, SettingError, nearest
from mlsg.report.card import CARD


def export_encoder(folder: Path, encoder: str | None, workspace: Path) -> str:
    """Copy an encoder (its folder or its name in the workspace; None: the one trained last) to the new `folder`.

    The card is the one that `mlsg eval` wrote, of the evaluation with the most sets; without one the card says so.
    Returns a line that says what was done. Raises SettingError for an unknown encoder or a folder that has content,
    DataError for a damaged encoder.
    """
    known = Workspace(workspace.absolute())
    artefact = _find(encoder, known)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise SettingError(f"{folder} already exists", "name a new folder")
    evaluated = scored_card(artefact, known)
    try:
        _copy(artefact, folder.absolute(), evaluated)
    except OSError as error:
        raise SettingError(f"{folder} cannot be written: {error.strerror}", "name another folder") from None
    said = "its card has its scores" if evaluated else "its card has no scores yet (run mlsg eval first)"
    return f"{artefact.name} is in {folder}; {said}"


def scored_card(encoder: Artefact, workspace: Workspace) -> Path | None:
    """The card with scores that `mlsg eval` wrote for an encoder, of the evaluation with the most sets."""
    scores = [each for each in workspace.artefacts("scores") if each.inputs.get("encoder") == encoder.key]
    cards = [each for each in scores if CARD in each.manifest["files"] and not damage_of(each)]
    best = max(cards, key=lambda each: (len(each.facts["spearman"]), each.folder.name), default=None)
    return best.folder / CARD if best else None


def _copy(encoder: Artefact, folder: Path, evaluated: Path | None) -> None:
    """Lay the files beside the target and rename that folder, so that a full disk or a kill leaves no half encoder.

    The rerun of an export that was killed begins with what this left.
    """
    laid = folder.with_name(f".{folder.name}.export")
    shutil.rmtree(laid, ignore_errors=True)
    try:
        for name in encoder.manifest["files"]:
            (laid / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(encoder.folder / name, laid / name)
        if problem := damage(Artefact(laid, encoder.manifest), hashes=True):
            raise DataError(f"the copy in {laid}: {problem}", "export again")
        if evaluated:
            shutil.copyfile(evaluated, laid / CARD)
        sync_tree(laid)
        laid.replace(folder)
        sync(folder.parent)
    finally:
        shutil.rmtree(laid, ignore_errors=True)


def _find(encoder: str | None, workspace: Workspace) -> Artefact:
    if encoder is None:
        artefact = workspace.last("train")
        if artefact is None:
            raise SettingError(f"no trained encoder in {workspace.root}", "run mlsg train, or pass --encoder")
        return artefact
    for folder in (workspace.root / "encoders" / encoder, Path(encoder).absolute()):
        found = verified_in(folder)
        if found is not None and found.folder.parent == workspace.root / "encoders":
            return found
    known = nearest(encoder, [artefact.folder.name for artefact in workspace.artefacts("encoders")])
    raise SettingError(f'no encoder "{encoder}" in {workspace.root}', known)
