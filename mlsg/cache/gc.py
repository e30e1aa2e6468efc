"""`mlsg check` and `mlsg gc`: verify hashes, remove what is of no use."""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from filelock import Timeout

from mlsg.cache.artefact import MANIFEST, Artefact, damage, open_artefact
from mlsg.cache.files import read_json, read_sealed, sha256_file
from mlsg.cache.verify import last_use, read_used
from mlsg.cache.workspace import LAST, REQUEST, Workspace
from mlsg.errors import DataError, SettingError

_DAY = 24 * 3600
_UNUSED = "no last run needs it"
_NO_MANIFEST = f"{MANIFEST} is missing or has changed"


class _Seen(NamedTuple):
    """An artefact or another file, the lock to hold while it is removed, and what is wrong with it, or ""."""

    path: Path
    lock: str
    artefact: Artefact | None
    problem: str
    readable: bool = True


def check_hashes(root: Path) -> Iterator[str]:
    """One line an artefact, `ok` or what is wrong, and one for each other file that is damaged.

    Raises DataError at the end when anything is damaged.
    """
    damaged = 0
    for seen in _look(_existing(root)):
        damaged += bool(seen.problem)
        line = f"{'damaged' if seen.problem else 'ok':8} {_name(seen.path)}"
        yield f"{line}: {seen.problem}" if seen.problem else line
    if damaged:
        found = f"{damaged} damaged artefact{'s' if damaged > 1 else ''} in {root}"
        raise DataError(found, "run mlsg gc, then the command that made what is damaged")


def collect_garbage(root: Path, *, unused: bool, yes: bool = False) -> Iterator[str]:
    """Remove unfinished builds that no process works on, damaged artefacts and, when `unused`, what nothing needs.

    Needed is what last.json names, what was made or used in the last day, what builds under way read, and the inputs
    of all that. What may be whole goes with `yes` only. One line for each folder. Raises DataError where last.json does
    not say what is needed, SettingError at the end for what could not be read or removed.
    """
    workspace = _existing(root)
    needed, left = _needed(workspace) if unused else None, 0
    for seen in (*_unfinished(workspace), *_look(workspace)):
        why = seen.problem
        if not why and needed is not None and seen.artefact is not None and seen.artefact.key not in needed:
            why = _UNUSED
        if not why or not seen.lock:
            continue
        try:
            if not seen.readable:
                raise PermissionError(0, why)
            files = [path for path in (seen.path, *seen.path.rglob("*")) if path.is_file()]
            what = f"{_name(seen.path)} ({sum(path.stat().st_size for path in files) / 1e6:.1f} MB): {why}"
            if why in (_UNUSED, _NO_MANIFEST) and not yes:
                yield f"would remove {what}; --yes removes it"
                continue
            with contextlib.suppress(Timeout), workspace.locked(seen.lock):  # else somebody builds it
                if why != _UNUSED or not _is_recent(seen.path, workspace):
                    shutil.rmtree(seen.path) if seen.path.is_dir() else seen.path.unlink()
                    yield f"removed {what}"
        except OSError as error:
            left += 1
            yield f"left {_name(seen.path)}: {error.strerror}"
    if left:
        raise SettingError(f"{left} left in {root}", "give yourself the right to read and write there")


def _needed(workspace: Workspace) -> set[str]:
    """Keys of what is kept while it is whole. Raises DataError."""
    artefacts = workspace.artefacts()
    if artefacts and not (workspace.root / LAST).exists():
        raise DataError(f"{workspace.root / LAST} is missing", "run the commands whose results you need, then gc")
    also = [each.key for each in artefacts if _is_recent(each.folder, workspace)]
    for partial in workspace.partial_builds():
        with contextlib.suppress(OSError, ValueError, LookupError, AttributeError, TypeError):
            also.extend(read_json(partial / REQUEST)["inputs"].values())
    return workspace.reachable(also)


def _is_recent(folder: Path, workspace: Workspace) -> bool:
    """Whether an artefact was made or used in the last day; yes where that is not known."""
    used = read_used(workspace.root)
    return used is None or time.time() - last_use(folder, used) < _DAY


def _unfinished(workspace: Workspace) -> Iterator[_Seen]:
    for path in workspace.partial_builds():
        yield _Seen(path, path.name.removeprefix(".").removesuffix(".partial"), None, "a build that was not finished")


def _look(workspace: Workspace) -> Iterator[_Seen]:
    """Every artefact, and other files that are damaged; no hash that was computed before is believed."""
    for folder in workspace.folders():
        artefact, readable = open_artefact(folder), True
        try:
            if artefact is None and (folder / MANIFEST).exists():
                (folder / MANIFEST).read_bytes()
            problem = _NO_MANIFEST if artefact is None else damage(artefact, hashes=True)
        except OSError as error:
            problem, readable = f"it cannot be read: {error.strerror}", False
        yield _Seen(folder, folder.name, artefact, problem, readable)
    for path in sorted(workspace.root.glob("vectors/*/[!.]*")):
        try:  # facts have their own hash, vectors are named after theirs
            whole = read_sealed(path) if path.suffix == ".json" else sha256_file(path).startswith(path.stem)
        except (OSError, ValueError):
            whole = False
        if not whole:
            yield _Seen(path, f"vectors-{path.parent.name}", None, "it has changed")
    try:
        workspace.reachable()
    except DataError:
        yield _Seen(workspace.root / LAST, "", None, "it cannot be read")


def _existing(root: Path) -> Workspace:
    if not root.is_dir():
        raise SettingError(f"no workspace {root}", "name one with --workspace")
    return Workspace(root.absolute())


def _name(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"
