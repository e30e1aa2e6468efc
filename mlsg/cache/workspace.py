"""Where artefacts live: finished stage folders, found by a key of all that can change their content.

A manifest is written last and the folder is published by one rename. Layout of a workspace::

    sentences/en-stsb-0123456789ab/artefact.json   a finished artefact
    sentences/.en-stsb-0123456789ab.partial/       a build under way, or one that was killed
    locks/                                         one file lock a key
    last.json                                      which artefact each command made last
    used.json                                      when each was used (mlsg.cache.verify)
"""

from __future__ import annotations

import contextlib
import errno
import secrets
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from mlsg import console
from mlsg.cache.artefact import MANIFEST, Artefact, Request, damage, open_artefact
from mlsg.cache.files import read_sealed, readable_json, sealed_json, sha256_file, sync, sync_tree, write_atomically
from mlsg.cache.verify import damage_of, is_artefact, note_use, verified_in
from mlsg.cache.versions import versions
from mlsg.cache.writing import updating, writing
from mlsg.errors import DataError, SettingError

LAST = "last.json"
REQUEST = "request.json"  # of a build under way: what it is of
_POLL_SECONDS = 1.0  # how often a waiting process looks for work

Make = Callable[[Path, Path], Mapping[str, Any]]
Help = Callable[[Path], bool]


@dataclass(frozen=True)
class Workspace:
    """Where artefacts live."""

    root: Path

    def find(self, request: Request) -> Artefact | None:
        """The finished artefact of `request`, every file of it verified, or None; a damaged one is named on stderr."""
        found, problem = self._look(request)
        if problem:
            console.note(f"damaged artefact {self._final(request)}: {problem}; it is rebuilt")
        return found

    def build(
        self, request: Request, make: Make, *, recipe: Mapping[str, Any] | None = None, help_make: Help | None = None
    ) -> Artefact:
        """The artefact of `request`; made by `make(folder, scratch)`, by one process, where it does not exist yet.

        `make` writes into `folder` (empty at the start), may keep checkpoints in `scratch` (which survives a kill) and
        returns the facts. A process that waits for another one's `make` calls `help_make(scratch)` meanwhile, which
        says whether it found work (`mlsg.cache.shared_work`). Raises SettingError for a workspace it cannot write.
        """
        found, partial = self.find(request), self._partial(request)
        if found is not None:
            with contextlib.suppress(Timeout, OSError):
                if partial.exists():  # left by a build that was killed when it had just published
                    with self.locked(request.folder_name):
                        shutil.rmtree(partial)
            return found
        meanwhile = None if help_make is None else lambda: help_make(partial / "scratch")
        with writing(self.root), self._lock(request.folder_name, meanwhile):
            found, _ = self._look(request)
            if found is None:
                if not self.is_locked(request.folder_name):  # some network disks: whoever asks has the lock
                    partial = partial.with_name(f".{request.folder_name}.{secrets.token_hex(4)}.partial")
                return self._make(request, make, recipe or {}, partial)
            shutil.rmtree(partial, ignore_errors=True)
            return found

    def artefacts(self, stage: str | None = None) -> list[Artefact]:
        """All finished artefacts (of one stage), sorted by folder."""
        found = (open_artefact(path.parent) for path in sorted(self.root.glob(f"{stage or '*'}/*/{MANIFEST}")))
        return [artefact for artefact in found if artefact is not None]

    def folders(self) -> list[Path]:
        """Folders of all artefacts, also of those whose manifest cannot be read."""
        return [path for path in sorted(self.root.glob("*/[!.]*")) if is_artefact(path)]

    def partial_builds(self) -> list[Path]:
        """Folders of builds that are under way or were killed."""
        return sorted(self.root.glob("*/.*.partial"))

    def remember(self, role: str, artefact: Artefact) -> None:
        """Write into last.json that `artefact` is the last one of `role` (`prepare`, `prepare:en`, `train`, `eval`).

        A workspace that can only be read keeps what it has.
        """
        entry = self._name(artefact)
        if (self._last() or {}).get(role) == entry:
            return
        try:
            with updating(self.root, LAST) as path:
                if (entries := self._last()) is None:
                    console.note(f"damaged {path}: it is begun anew")
                write_atomically(path, sealed_json({**(entries or {}), role: entry}))
        except SettingError as error:
            if getattr(error.__cause__, "errno", 0) not in {errno.EROFS, errno.EACCES, errno.EPERM}:
                raise
            console.note(f"{error.problem}: {entry} is not noted as the last one")

    def last(self, role: str) -> Artefact | None:
        """The artefact that `remember` noted for `role`, if it still exists; verified. Raises DataError for damage."""
        folder = self.root / str(self._known_last().get(role))
        return verified_in(folder) if (folder / MANIFEST).exists() else None

    def reachable(self, also: Iterable[str] = ()) -> set[str]:
        """Keys of the artefacts that last.json names, of those in `also`, and of all their inputs.

        Raises DataError where last.json cannot be read.
        """
        by_key: dict[str, list[Artefact]] = {}  # also by the sha256 of their files, which inputs may name
        for artefact in self.artefacts():
            for name in (artefact.key, *(entry["sha256"] for entry in artefact.manifest["files"].values())):
                by_key.setdefault(name, []).append(artefact)
        last = {str(entry) for entry in self._known_last().values()}
        waiting = [*also, *(each.key for each in self.artefacts() if self._name(each) in last)]
        seen: set[str] = set()
        while waiting:
            for artefact in by_key.get(waiting.pop(), ()):
                if artefact.key not in seen:
                    seen.add(artefact.key)
                    waiting.extend(artefact.inputs.values())
        return seen

    @contextlib.contextmanager
    def locked(self, folder_name: str) -> Iterator[None]:
        """Nobody builds the artefact of this folder name meanwhile. Raises Timeout where somebody does."""
        (self.root / "locks").mkdir(parents=True, exist_ok=True)
        with FileLock(self.root / "locks" / f"{folder_name}.lock", timeout=0):
            yield

    def is_locked(self, folder_name: str) -> bool:
        """Whether a process is building the artefact of this folder name right now."""
        if not (self.root / "locks" / f"{folder_name}.lock").exists():
            return False
        try:
            with self.locked(folder_name):
                return False
        except Timeout:
            return True

    def _look(self, request: Request) -> tuple[Artefact | None, str]:
        """The whole artefact of a request; or None, and what is wrong with one that is there."""
        folder = self._final(request)
        artefact = open_artefact(folder)
        if artefact is not None and artefact.key == request.key:
            problem = damage_of(artefact)
            return (None, problem) if problem else (artefact, "")
        with writing(self.root):
            return None, f"{MANIFEST} is missing or has changed" if is_artefact(folder) else ""

    def _make(self, request: Request, make: Make, recipe: Mapping[str, Any], partial: Path) -> Artefact:
        final, folder, scratch = self._final(request), partial / "files", partial / "scratch"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        scratch.mkdir(exist_ok=True)
        write_atomically(partial / REQUEST, readable_json(request.identity))
        started = time.monotonic()
        facts = make(folder, scratch)
        manifest = {
            "schema": "mlsg.artefact/2",
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
        write_atomically(folder / MANIFEST, sealed_json(manifest))
        sync_tree(folder)
        made = Artefact(final, manifest)
        if problem := damage(Artefact(folder, manifest)):
            raise SettingError(f"{folder}: {problem}", "run one command at a time: file locks do not hold here")
        return self._publish(request, folder, made)

    def _publish(self, request: Request, folder: Path, made: Artefact) -> Artefact:
        """Move a whole folder to its place, in that of a damaged one; where locks do not hold another may be there."""
        found, _ = self._look(request)
        if found is None:
            if made.folder.exists():
                shutil.rmtree(made.folder)
            folder.rename(made.folder)
            sync(made.folder.parent)
            note_use(made.folder, {})
        shutil.rmtree(folder.parent, ignore_errors=True)
        return found or made

    def _final(self, request: Request) -> Path:
        return self.root / request.stage / request.folder_name

    def _partial(self, request: Request) -> Path:
        return self.root / request.stage / f".{request.folder_name}.partial"

    def _name(self, artefact: Artefact) -> str:
        return artefact.folder.relative_to(self.root).as_posix()

    def _last(self) -> dict[str, Any] | None:
        """The entries of last.json, None where it is damaged."""
        try:
            return read_sealed(self.root / LAST)
        except (FileNotFoundError, NotADirectoryError):
            return {}
        except (OSError, ValueError):
            return None

    def _known_last(self) -> dict[str, Any]:
        if (entries := self._last()) is not None:
            return entries
        remedy = "run the commands again: what they made is found, and noted as the last"
        raise DataError(f"{self.root / LAST} is damaged", remedy)

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
