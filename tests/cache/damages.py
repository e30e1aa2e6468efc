"""A tiny run of all stages, and ways to damage a file of it."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import mlsg
from tests.evaluate.small_sets import write_sets
from tests.tiny_models import SENTENCES, tiny_bert

STAGES = ("encoders", "measurements", "scores", "sentences", "views")


def _flipped(content: bytes, seed: int) -> bytes:
    found, place = bytearray(content), random.Random(seed).randrange(max(1, len(content)))
    found[place:place] = b"" if content else b"x"
    if content:
        found[place] ^= 1 << random.Random(seed + 1).randrange(8)
    return bytes(found)


def _digits(content: bytes, seed: int) -> bytes:
    places = [place for place, byte in enumerate(content) if 48 <= byte < 57]
    if not places:
        return _flipped(content, seed)
    found = bytearray(content)
    found[random.Random(seed).choice(places)] += 1
    return bytes(found)


_TIMED = ("artefact.json", "speed.json")
"""Files that also say how long something took, which is no part of what was made."""

DAMAGES: Mapping[str, Callable[[bytes, int], bytes | None]] = {
    "cut": lambda content, seed: content[: len(content) // 2],
    "emptied": lambda content, seed: b"",
    "deleted": lambda content, seed: None,
    "flipped": _flipped,
    "another digit": _digits,
    "replaced": lambda content, seed: b"{}\n",
    "longer": lambda content, seed: content + b"\n",
}
"""What becomes of the bytes of a file; None: it is gone."""


def damage_file(path: Path, kind: str, seed: int = 0) -> None:
    """Damage a file so that it differs from what it was."""
    content = path.read_bytes()
    for attempt in range(seed, seed + 50):
        damaged = DAMAGES[kind](content, attempt)
        if damaged is None:
            path.unlink()
            return
        if damaged != content and not (path.name in _TIMED and _same_but_seconds(content, damaged)):
            path.write_bytes(damaged)
            return
    raise AssertionError(f"{path} cannot be damaged")


def _same_but_seconds(one: bytes, other: bytes) -> bool:
    """Whether two manifests differ in a digit of how long the making took, which is no part of what was made."""
    try:
        return len(one) == len(other) and {**json.loads(one), "seconds": 0} == {**json.loads(other), "seconds": 0}
    except (ValueError, TypeError):
        return False


def files_of(workspace: Path) -> list[Path]:
    """Every file of every artefact, and the vectors."""
    found = (path for stage in (*STAGES, "vectors") for path in sorted((workspace / stage).rglob("*")))
    return [path for path in found if path.is_file()]


def contents(workspace: Path) -> dict[str, bytes]:
    """Bytes of all artefacts; of manifests all but how long the making took."""
    found = {}
    for path in files_of(workspace):
        content = path.read_bytes()
        if path.name in _TIMED:
            content = json.dumps({**json.loads(content), "seconds": 0}).encode()
        found[path.relative_to(workspace).as_posix()] = content
    return found


def write_materials(folder: Path) -> Path:
    """A base, a text and a language, as `run` wants them."""
    tiny_bert(folder / "base")
    (folder / "own.txt").write_text("\n".join(SENTENCES) + "\n", encoding="utf-8")
    write_sets(folder / "langs")
    return folder


def run(materials: Path, workspace: Path) -> dict[str, Any]:
    """Prepare, train on the last sentences, evaluate the encoder by its folder; what the scores say."""
    here = {"workspace": workspace, "langs_dir": materials / "langs"}
    mlsg.prepare("aa", source=materials / "own.txt", min_chars=5, **here)
    small = {"max_steps": 2, "batch_size": 4, "dev": "small.aa", "head_width": 8}
    mlsg.train(materials / "base", seed=3, **small, **here)
    made = next((workspace / "encoders").glob("[!.]*"))
    scores = mlsg.evaluate(made, ["aa"], resamples=100, **here).to_dict()
    return {name: scores[name] for name in ("encoder", "languages", "sets")}


def copied(workspace: Path, to: Path) -> Path:
    """A copy to damage."""
    return Path(shutil.copytree(workspace, to))
