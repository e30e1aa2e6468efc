"""Kill a command at any moment, run it again: it goes on and ends with the same bytes."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.command import environment, mlsg

_TRAIN = ("--set", "train.max_steps=60", "--set", "objective.head_width=64", "--set", "train.dev=starter.en")
_COMMANDS = {
    "prepare": ("prepare", "--corpus", "starter"),
    "train": ("train", "--model", "starter", *_TRAIN),
    "eval": ("eval", "--recipe", "quickstart", "--langs", "tr"),
}


def _contents(workspace: Path) -> dict[str, bytes]:
    """Bytes of every file of every finished artefact; of manifests all but how long the making took."""
    found = {}
    for path in sorted(workspace.glob("*/[!.]*/**/*")):
        if path.is_file() and path.parent.name != "locks" and path.name != "speed.json":  # how fast, too
            name = path.relative_to(workspace).as_posix()
            if path.name == "artefact.json":
                manifest = json.loads(path.read_text(encoding="utf-8"))
                del manifest["seconds"]
                found[name] = json.dumps(manifest, sort_keys=True).encode()
            else:
                found[name] = path.read_bytes()
    return found


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, bytes], dict[str, float]]:
    """What the three commands leave when nobody kills them, and the seconds that each took."""
    folder = tmp_path_factory.mktemp("whole")
    seconds = {}
    for name, command in _COMMANDS.items():
        start = time.monotonic()
        ended = mlsg(*command, cwd=folder, HF_HUB_OFFLINE="1")
        seconds[name] = time.monotonic() - start
        assert ended.code == 0, ended.err
    return _contents(folder / ".mlsg"), seconds


@pytest.mark.parametrize("seed", [0, 1])
def test_killed_at_random_moments_every_stage_ends_with_the_same_bytes(
    seed: int, tmp_path: Path, uninterrupted: tuple[dict[str, bytes], dict[str, float]]
) -> None:
    contents, seconds = uninterrupted
    moments = random.Random(seed)
    kills = 0
    for name, command in _COMMANDS.items():
        for share in (moments.uniform(0.3, 0.7), moments.uniform(0.5, 0.95)):
            process = subprocess.Popen(
                [sys.executable, "-m", "mlsg", *command],
                cwd=tmp_path,
                env=environment(HF_HUB_OFFLINE="1"),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            try:
                process.wait(timeout=seconds[name] * share)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                kills += 1
        ended = mlsg(*command, cwd=tmp_path, HF_HUB_OFFLINE="1")
        assert ended.code == 0, ended.err
    assert kills >= 2
    assert _contents(tmp_path / ".mlsg") == contents
    assert not list((tmp_path / ".mlsg").glob("*/.*.partial"))
