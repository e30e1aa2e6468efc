"""Files that are either whole or absent: atomic writes, canonical JSON, hashes."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_WRITINGS = 5


def canonical_json(value: object) -> str:
    """JSON with sorted keys and no spaces: `{"b": 1, "a": []}` -> `{"a":[],"b":1}`; TypeError for what is not JSON."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def readable_json(value: object) -> str:
    """JSON for people: indented, keys in the given order, one final newline."""
    return json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def sha256_text(text: str) -> str:
    """Hex sha256 of the UTF-8 bytes of `text`."""
    return hashlib.sha256(text.encode()).hexdigest()


def sha256_file(path: Path) -> str:
    """Hex sha256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_atomically(path: Path, text: str) -> None:
    """Replace `path` by `text` in one step; a reader sees the old file or the new one, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    for left in reversed(range(_WRITINGS)):
        temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        try:
            temporary.write_text(text, encoding="utf-8", newline="\n")
            sync(temporary)
            temporary.replace(path)
            return
        except FileNotFoundError:  # where locks do not hold, others take it for what a killed process left
            if not left:
                raise
        finally:
            temporary.unlink(missing_ok=True)


def read_json(path: Path) -> Any:
    """The JSON of a file; raises OSError or ValueError."""
    return json.loads(path.read_text(encoding="utf-8"))


def sealed_json(table: Mapping[str, Any]) -> str:
    """JSON for people that ends with a hash of the rest, so that `read_sealed` knows it from any other bytes.

    How long something took is not hashed: two builds of the same give the same hash.
    """
    hashed = {name: value for name, value in table.items() if name != "seconds"}
    return readable_json({**table, "sha256": sha256_text(canonical_json(hashed))})


def read_sealed(path: Path) -> dict[str, Any]:
    """The table of a file that `sealed_json` wrote; raises OSError, and ValueError where it has other bytes."""
    text = path.read_bytes().decode()
    table = json.loads(text)
    if not isinstance(table, dict):
        raise ValueError(f"{path.name} holds no table")
    table.pop("sha256", None)
    if sealed_json(table) != text:
        raise ValueError(f"{path.name} has changed")
    return table


def sync_tree(folder: Path) -> None:
    """Force every file and folder under `folder` to disk, so that a rename after it publishes complete files."""
    for path in [*sorted(folder.rglob("*"), reverse=True), folder]:
        sync(path)


def sync(path: Path) -> None:
    """Force one file, or the entries of one folder, to disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
