"""A finished stage folder, which has a manifest (it is written last), and what a stage is asked for."""

from __future__ import annotations

import errno
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from mlsg.cache.files import canonical_json, read_sealed, sha256_file, sha256_text

MANIFEST = "artefact.json"
IDENTITY = ("stage", "format", "settings", "inputs", "fingerprints")  # what the key of an artefact is made of
_LARGE = 2**20  # bytes; smaller files are hashed each time
_TICK = 10**8  # nanoseconds; within a tick of a disk's clock a file can change and keep its times


@dataclass(frozen=True)
class Request:
    """What a stage is asked for: everything that can change its result, and a name for people.

    `inputs` maps a role to the key of an earlier artefact, or to the sha256 of the file of it that is read;
    `fingerprints` maps what is read from outside to the sha256 of its content or a full revision. Not here: device,
    number of processes, paths.
    """

    stage: str
    format: int
    name: str
    settings: Mapping[str, Any]
    inputs: Mapping[str, str]
    fingerprints: Mapping[str, str]

    @cached_property
    def key(self) -> str:
        """Hex sha256 of the canonical JSON of `identity`."""
        return sha256_text(canonical_json(self.identity))

    @property
    def identity(self) -> dict[str, Any]:
        """All fields but the name, as a table that is written as JSON."""
        values = {name: getattr(self, name) for name in IDENTITY}
        return {name: dict(value) if isinstance(value, Mapping) else value for name, value in values.items()}

    @property
    def folder_name(self) -> str:
        """`<name>-<first 12 hex of the key>`."""
        return f"{re.sub(r'[^A-Za-z0-9._-]+', '-', self.name).strip('-.') or 'unnamed'}-{self.key[:12]}"


@dataclass(frozen=True)
class Artefact:
    """A finished stage folder and its manifest (one under way: an empty manifest), whose entries are its attributes."""

    folder: Path
    manifest: Mapping[str, Any]
    key: str = field(init=False, repr=False, compare=False)
    stage: str = field(init=False, repr=False, compare=False)
    name: str = field(init=False, repr=False, compare=False)
    facts: Mapping[str, Any] = field(init=False, repr=False, compare=False)  # what the stage found out: counts, scores
    settings: Mapping[str, Any] = field(init=False, repr=False, compare=False)
    inputs: Mapping[str, str] = field(init=False, repr=False, compare=False)  # role -> key of an earlier artefact
    seconds: float = field(init=False, repr=False, compare=False)  # how long building it took

    def __post_init__(self) -> None:
        for name in ("key", "stage", "name", "facts", "settings", "inputs", "seconds") if self.manifest else ():
            object.__setattr__(self, name, self.manifest[name])

    @property
    def identity(self) -> dict[str, Any]:
        """The table that the key was made of."""
        return {name: self.manifest[name] for name in IDENTITY}


def open_artefact(folder: Path) -> Artefact | None:
    """The artefact in `folder`, or None where there is no manifest with its own hash."""
    try:
        return Artefact(folder, read_sealed(folder / MANIFEST))
    except (OSError, ValueError, KeyError):
        return None


def damage(artefact: Artefact, *, hashes: bool = False, known: dict[str, Any] | None = None) -> str:
    """What is wrong with the files of an artefact, or ""; compares sizes, and hashes only on demand.

    `known` has what large files looked like when they had their hash: these are not read again, others are added.
    """
    known = {} if known is None else known
    for name, entry in artefact.manifest["files"].items():
        path = artefact.folder / name
        if not path.is_file():
            return f"{name} is missing"
        state = path.stat()
        if state.st_size != entry["size"]:
            return f"{name} has {state.st_size} bytes instead of {entry['size']}"
        seen = [state.st_size, state.st_mtime_ns, state.st_ctime_ns, state.st_ino, entry["sha256"]]
        if not hashes or known.get(name) == seen:
            continue
        try:
            if sha256_file(path) != entry["sha256"]:
                return f"{name} has changed (sha256 differs)"
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            return f"{name} cannot be read: {error.strerror}"
        if state.st_size >= _LARGE and time.time_ns() - max(state.st_mtime_ns, state.st_ctime_ns) > _TICK:
            known[name] = seen
    return ""
