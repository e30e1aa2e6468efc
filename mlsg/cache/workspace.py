"""Where artefacts live: finished stage folders, found by a key of all that can change their content.

A manifest is written last and the folder is published by one rename. Layout of a workspace::

    sentences/en-stsb-0123456789ab/artefact.json   a finished artefact
    sentences/.en-stsb-0123456789ab.partial/       a build under way, or one that was killed
    locks/                                         one file lock a key
    last.json                                      which artefact each command made last
"""

from __future__ import annotations

import contextlib
import errno
import platform
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from mlsg import console
from mlsg.cache.artefact import MANIFEST, Artefact, Request, damage, open_artefact
from mlsg.cache.files import read_json, readable_json, sha256_file, sync, sync_tree, write_atomically
from mlsg.errors import SettingError

_PACKAGES = ("mlsg", "torch", "transformers", "tokenizers", "datasets", "numpy", "scipy", "accelerate", "sentencex")
_CANNOT_WRITE = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EEXIST}

_POLL_SECONDS = 1.0  # how often a waiting process looks for work

Make = Callable[[Path, Path], Mapping[str, Any]]
Help = Callable[[Path], bool]


@dataclass(frozen=True)
class Workspace:
    """Where artefacts live."""

    root: Path

    def find(self, request: Request) -> Artefact | None:
        """The finished, undamaged artefact of `request`, or None; a damaged one is named on stderr."""
        artefact = open_artefact(self.root / request.stage / request.folder_name)
        if artefact is None:
            return None
        if problem := damage(artefact):
            console.note(f"damaged artefact {artefact.folder}: {problem}; it is rebuilt")
            return None
        return artefact

    def build(
        self, request: Request, make: Make, *, recipe: Mapping[str, Any] | None = None, help_make: Help | None = None
    ) -> Artefact:
        """The artefact of `request`; made by `make(folder, scratch)`, by one process, where it does not exist yet.

        `make` writes into `folder` (empty at the start), may keep checkpoints in `scratch` (which survives a kill) and
        returns the facts. A process that waits for another one's `make` calls `help_make(scratch)` meanwhile, which
        says whether it found work (`mlsg.cache.shared_work`). Raises SettingError for a workspace it cannot write.
        """
        found, partial = self.find(request), self._partial(request)
        if found is not None and not partial.exists():
            return found
        meanwhile = None if help_make is None else lambda: help_make(partial / "scratch")
        with writing(self.root), self._lock(request.folder_name, meanwhile):
            found = self.find(request)
            if found is None:
                return self._make(request, make, recipe or {})
            shutil.rmtree(partial, ignore_errors=True)  # left by a build that was killed when it had just published
            return found

    def artefacts(self, stage: str | None = None) -> list[Artefact]:
        """All finished artefacts (of one stage), sorted by folder."""
        found = (open_artefact(path.parent) for path in sorted(self.root.glob(f"{stage or '*'}/*/{MANIFEST}")))
        return [artefact for artefact in found if artefact is not None]

    def partial_builds(self) -> list[Path]:
        """Folders of builds that are under way or were killed."""
        return sorted(self.root.glob("*/.*.partial"))

    def remember(self, role: str, artefact: Artefact) -> None:
        """Write into last.json that `artefact` is the last one of `role` (`prepare`, `prepare:en`, `train`, `eval`)."""
        with updating(self.root, "last.json") as path:
            entries, entry = self._last(), artefact.folder.relative_to(self.root).as_posix()
            if entries.get(role) != entry:
                write_atomically(path, readable_json({**entries, role: entry}))

    def last(self, role: str) -> Artefact | None:
        """The artefact that `remember` noted for `role`, if it still exists."""
        entry = self._last().get(role)
        return open_artefact(self.root / entry) if entry else None

    def reachable(self) -> set[str]:
        """Keys of the artefacts that last.json names, and of all their inputs."""
        by_key: dict[str, list[Artefact]] = {}  # also by the sha256 of their files, which inputs may name
        for artefact in self.artefacts():
            for name in (artefact.key, *(entry["sha256"] for entry in artefact.manifest["files"].values())):
                by_key.setdefault(name, []).append(artefact)
        waiting = [last.key for role in self._last() if (last := self.last(role))]
        seen: set[str] = set()
        while waiting:
            for artefact in by_key.get(waiting.pop(), ()):
                if artefact.key not in seen:
                    seen.add(artefact.key)
                    waiting.extend(artefact.inputs.values())
        return seen

    def is_locked(self, folder_name: str) -> bool:
        """Whether a process is building the artefact of this folder name right now."""
        path = self.root / "locks" / f"{folder_name}.lock"
        if not path.exists():
            return False
        try:
            with FileLock(path, timeout=0):
                return False
        except Timeout:
            return True

    def _make(self, request: Request, make: Make, recipe: Mapping[str, Any]) -> Artefact:
        final, partial = self.root / request.stage / request.folder_name, self._partial(request)
        folder, scratch = partial / "files", partial / "scratch"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        scratch.mkdir(exist_ok=True)
        started = time.monotonic()
        facts = make(folder, scratch)
        manifest = {
            "schema": "mlsg.artefact/1",
            "key": request.key,
            "name": request.name,
            **request.identity,
            "recipe": dict(recipe),
            "facts": dict(facts),
            "versions": versions(),
            "files": {
                path.relative_to(folder).as_posix(): {"size": path.stat().st_size, "sha256": sha256_file(path)}
                for path in sorted(folder.rglob("*"))
                if path.is_file()
            },
            "seconds": round(time.monotonic() - started, 3),
        }
        write_atomically(folder / MANIFEST, readable_json(manifest))
        sync_tree(folder)
        if final.exists():
            shutil.rmtree(final)
        folder.rename(final)
        sync(final.parent)
        shutil.rmtree(partial, ignore_errors=True)
        return Artefact(final, manifest)

    def _partial(self, request: Request) -> Path:
        return self.root / request.stage / f".{request.folder_name}.partial"

    def _last(self) -> dict[str, str]:
        try:
            entries = read_json(self.root / "last.json")
        except (OSError, ValueError):
            return {}
        return entries if isinstance(entries, dict) else {}

    def _lock(self, name: str, meanwhile: Callable[[], bool] | None) -> contextlib.AbstractContextManager[object]:
        """Hold the lock as soon as it is free; looked for again after each part of the work that is done meanwhile."""
        (self.root / "locks").mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.root / "locks" / f"{name}.lock")
        with contextlib.suppress(Timeout):
            return lock.acquire(timeout=0)
        console.note(f"another process builds {name}; {'waiting for it' if meanwhile is None else 'helping it'}")
        if meanwhile is None:
            return lock.acquire()
        busy = False
        while True:
            with contextlib.suppress(Timeout):
                return lock.acquire(timeout=0 if busy else _POLL_SECONDS)
            busy = meanwhile()


@contextlib.contextmanager
def writing(root: Path) -> Iterator[None]:
    """Turn an OSError by which the workspace at `root` cannot be written into a SettingError.

    A full disk always counts; other errors only when they name a path of the workspace, or none.
    """
    try:
        yield
    except OSError as error:
        elsewhere = error.filename and not Path(error.filename).absolute().is_relative_to(root.absolute())
        if error.errno not in _CANNOT_WRITE or (elsewhere and error.errno not in {errno.ENOSPC, errno.EDQUOT}):
            raise
        problem = f"the workspace {root} cannot be written: {error.strerror}"
        raise SettingError(problem, "free some space there, or name another folder with --workspace") from error


@contextlib.contextmanager
def updating(root: Path, name: str) -> Iterator[Path]:
    """The path of a file that many processes change, held under a lock; what killed ones left beside it is removed."""
    with writing(root):
        (root / "locks").mkdir(parents=True, exist_ok=True)
        with FileLock(root / "locks" / f"{name}.lock"):
            for temporary in root.glob(f".{name}.*"):
                temporary.unlink(missing_ok=True)
            yield root / name


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that a result may depend on; none of them is imported."""
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found
