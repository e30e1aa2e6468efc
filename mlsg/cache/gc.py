"""`mlsg check` and `mlsg gc`: verify hashes, remove what is of no use."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from mlsg.cache.artefact import damage
from mlsg.cache.workspace import Workspace
from mlsg.errors import DataError, SettingError


def check_hashes(root: Path) -> Iterator[str]:
    """One line an artefact, `ok` or what is wrong. Raises DataError at the end when an artefact is damaged."""
    workspace = _existing(root)
    damaged = 0
    for artefact in workspace.artefacts():
        problem = damage(artefact, hashes=True)
        damaged += bool(problem)
        line = f"{'damaged' if problem else 'ok':8} {artefact.stage}/{artefact.folder.name}"
        yield f"{line}: {problem}" if problem else line
    if damaged:
        found = f"{damaged} damaged artefact{'s' if damaged > 1 else ''} in {root}"
        raise DataError(found, "run mlsg gc, then the command that made what is damaged")


def collect_garbage(root: Path, *, unused: bool) -> Iterator[str]:
    """Remove unfinished builds that no process works on, damaged artefacts and, when `unused`, what no last run needs.

    One line for each folder removed.
    """
    workspace = _existing(root)
    for folder in workspace.partial_builds():
        if not workspace.is_locked(folder.name.removeprefix(".").removesuffix(".partial")):
            yield _remove(folder, "a build that was not finished")
    needed = workspace.reachable()
    for artefact in workspace.artefacts():
        if problem := damage(artefact, hashes=True):
            yield _remove(artefact.folder, f"damaged: {problem}")
        elif unused and artefact.key not in needed:
            yield _remove(artefact.folder, "no last run needs it")


def _existing(root: Path) -> Workspace:
    if not root.is_dir():
        raise SettingError(f"no workspace {root}", "name one with --workspace")
    return Workspace(root.absolute())


def _remove(folder: Path, why: str) -> str:
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    shutil.rmtree(folder)
    return f"removed {folder.parent.name}/{folder.name} ({size / 1e6:.1f} MB): {why}"
