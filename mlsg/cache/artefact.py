"""A finished stage folder, and what a stage is asked for.

A folder without a manifest does not exist: it is written last (`mlsg.cache.workspace`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from mlsg.cache.files import canonical_json, read_json, sha256_file, sha256_text

MANIFEST = "artefact.json"


@dataclass(frozen=True)
class Request:
    """What a stage is asked for: everything that can change its result, and a name for people.

    `inputs` maps a role to the key of an earlier artefact; `fingerprints` maps what is read from outside to the sha256
    of its content or a full revision. Not here: device, number of processes, paths.
    """

    stage: str
    format: int
    name: str
    settings: Mapping[str, Any]
    inputs: Mapping[str, str]
    fingerprints: Mapping[str, str]

    @cached_property
    def key(self) -> str:
        """Hex sha256 of the canonical JSON of all fields but the name."""
        return sha256_text(canonical_json(self.identity))

    @property
    def identity(self) -> dict[str, Any]:
        """The JSON-able table that the key is made of."""
        return {
            "stage": self.stage,
            "format": self.format,
            "settings": dict(self.settings),
            "inputs": dict(self.inputs),
            "fingerprints": dict(self.fingerprints),
        }

    @property
    def folder_name(self) -> str:
        """`<name>-<first 12 hex of the key>`."""
        return f"{re.sub(r'[^A-Za-z0-9._-]+', '-', self.name).strip('-.') or 'unnamed'}-{self.key[:12]}"


@dataclass(frozen=True)
class Artefact:
    """A finished stage folder and its manifest."""

    folder: Path
    manifest: Mapping[str, Any]
    """What `artefact.json` holds: the entries below, `format`, `fingerprints`, `recipe`, `versions` and `files`."""
    key: str = field(init=False)
    """Hex sha256 that names it."""
    stage: str = field(init=False)
    """`sentences`, `encoders`, ..."""
    name: str = field(init=False)
    """A name for people."""
    facts: Mapping[str, Any] = field(init=False)
    """What the stage found out: counts, scores, reasons."""
    settings: Mapping[str, Any] = field(init=False)
    """The settings that it was built with."""
    inputs: Mapping[str, str] = field(init=False)
    """Role -> key of an earlier artefact."""
    seconds: float = field(init=False)
    """How long building it took."""

    def __post_init__(self) -> None:
        for name in ("key", "stage", "name", "facts", "settings", "inputs", "seconds"):
            object.__setattr__(self, name, self.manifest[name])


def open_artefact(folder: Path) -> Artefact | None:
    """The artefact in `folder`, or None where there is no readable manifest."""
    try:
        return Artefact(folder, read_json(folder / MANIFEST))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def damage(artefact: Artefact, *, hashes: bool = False) -> str:
    """What is wrong with the files of an artefact, or ""; compares sizes, and hashes only on demand."""
    for name, entry in artefact.manifest["files"].items():
        path = artefact.folder / name
        if not path.is_file():
            return f"{name} is missing"
        if path.stat().st_size != entry["size"]:
            return f"{name} has {path.stat().st_size} bytes instead of {entry['size']}"
        if hashes and sha256_file(path) != entry["sha256"]:
            return f"{name} has changed (sha256 differs)"
    return ""
