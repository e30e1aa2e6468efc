"""Whatever is used of a workspace is verified first, and noted as used.

    used.json    {"encoders/mini-opt3-0123456789ab": {"used": 1764309600, "hashed": {"model.safetensors": [..]}}}

`hashed` has size, times and inode that a large file had when it had its hash, so that it is read once. Nothing is
believed of this file but what makes no difference: a number that is damaged makes a file be read again.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mlsg.cache.artefact import MANIFEST, Artefact, damage, open_artefact
from mlsg.cache.files import canonical_json, read_json, write_atomically
from mlsg.cache.writing import updating, writing
from mlsg.errors import DataError, MlsgError

DAY = 24 * 3600
_USED = "used.json"
_EVERY = 3600  # seconds between two notes of use


def verified(artefact: Artefact) -> Artefact:
    """The same artefact. Raises DataError where a file of it is not what was published."""
    if problem := damage_of(artefact):
        raise _damaged(artefact.folder, problem)
    return artefact


def verified_in(folder: Path) -> Artefact | None:
    """The artefact in `folder`; None for a folder of another kind. Raises DataError where a file of it has changed."""
    artefact = open_artefact(folder)
    if artefact is not None:
        return verified(artefact)
    if is_artefact(folder):
        raise _damaged(folder, f"{MANIFEST} is missing or has changed")
    return None


def is_artefact(folder: Path) -> bool:
    """Whether mlsg has published a folder, be it damaged: it has a manifest, or there is the lock of its building."""
    lock = folder.parent.parent / "locks" / f"{folder.name}.lock"
    named = os.path.isdir(folder)  # noqa: PTH112 - Path.is_dir raises for a name that is too long
    return named and ((folder / MANIFEST).exists() or lock.exists())


def damage_of(artefact: Artefact) -> str:
    """What is wrong with an artefact that is about to be used, or "". Raises SettingError where it cannot be read."""
    root, name = _place(artefact.folder)
    noted = _entry(read_used(root) or {}, name)
    known = dict(noted["hashed"])
    with writing(root):
        problem = damage(artefact, hashes=True, known=known)
    if not problem and (known != noted["hashed"] or time.time() - noted["used"] > _EVERY):
        note_use(artefact.folder, known)
    return problem


def note_use(folder: Path, hashed: Mapping[str, Any]) -> None:
    """Note that an artefact is used now, and what its large files look like, where the workspace can be written."""
    root, name = _place(folder)
    if not (root / "locks").is_dir():
        return
    with contextlib.suppress(MlsgError, OSError), updating(root, _USED) as path:
        entries = {other: entry for other, entry in (read_used(root) or {}).items() if (root / other).is_dir()}
        entries[name] = {"used": int(time.time()), "hashed": dict(hashed)}
        write_atomically(path, canonical_json(entries))


def read_used(root: Path) -> dict[str, Any] | None:
    """The notes by artefact; None where they cannot be read."""
    try:
        found = read_json(root / _USED)
    except FileNotFoundError:
        return {}
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def last_use(folder: Path, used: Mapping[str, Any]) -> float:
    """When an artefact was used or made last, in seconds since 1970."""
    return float(max(_entry(used, _place(folder)[1])["used"], folder.stat().st_mtime))


def _entry(used: Mapping[str, Any], name: str) -> dict[str, Any]:
    match used.get(name):
        case {"used": int(when), "hashed": dict(hashed)}:
            return {"used": when, "hashed": hashed}
    return {"used": 0, "hashed": {}}


def _place(folder: Path) -> tuple[Path, str]:
    return folder.parent.parent, f"{folder.parent.name}/{folder.name}"


def _damaged(folder: Path, problem: str) -> DataError:
    remedy = "run the command that made it again: it is built anew"
    return DataError(f"damaged artefact {folder}: {problem}", remedy)
