"""How the gain of SG-OPT grows with pretraining: one row a snapshot of `mlsg starter build`.

    python -m tests.benchmarks.starter_gain OUT/snapshots/1-of-8 OUT/snapshots/2-of-8 ... --data-root ../shared/data

For each base: the recipe (`--recipe`, the paper's by default) once for each seed, scored on the primary sets of
`--langs`. cls, mean: the untuned base's last layer. tuned: mean over seeds and languages, and its gain over both.
anisotropy: mean cosine of random pairs of sentences (mean over tokens, last layer, untuned). layers: mean cosine
distance of two layers' vectors of one sentence (means over tokens). What is in the workspace is not made again.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from itertools import combinations
from pathlib import Path
from statistics import mean
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch

from mlsg.model.backbone import load_backbone
from mlsg.packaged import starter_folder
from mlsg.train.draws import seed_of

_SENTENCES = 512
_COLUMNS = ("base", "cls", "mean", "tuned", "over cls", "over mean", "anisotropy", "layers")


def scores(base: Path, given: argparse.Namespace, seed: int, folder: Path) -> dict[str, Any]:
    """What `mlsg run` prints as JSON for a base and a seed."""
    target = folder / f"{base.name}-{seed}.json"
    settings = [
        f"train.model={base.resolve()}",
        f"train.seed={seed}",
        f"eval.langs={json.dumps(given.langs.split(','))}",
    ]
    command = [sys.executable, "-m", "mlsg", "run", given.recipe, "--json", str(target)]
    command += ["--data-root", str(given.data_root), "--workspace", str(given.workspace)]
    for setting in (*settings, *given.set):
        command += ["--set", setting]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    found: dict[str, Any] = json.loads(target.read_text(encoding="utf-8"))
    return found


@torch.no_grad()
def layer_vectors(model: str) -> np.ndarray:
    """(layers + 1, sentences, d): means over tokens, of length 1, of sentences of the starter in random order."""
    lines = (starter_folder() / "sentences" / "en.txt").read_text(encoding="utf-8").split("\n")
    order = np.random.Generator(np.random.PCG64(seed_of(0, "gain"))).permutation([line for line in lines if line])
    backbone = load_backbone(model)
    tokens = backbone.tokenize(order[:_SENTENCES].tolist())
    found = []
    for row in range(len(tokens)):
        ids, mask = tokens.batch([row])
        found.append(np.stack([state[0].mean(dim=0).numpy() for state in backbone.hidden_states(ids, mask)]))
    stacked = np.stack(found, axis=1)
    return np.asarray(stacked / np.linalg.norm(stacked, axis=-1, keepdims=True))


def random_cosines(layers: np.ndarray) -> np.ndarray:
    """(layers + 1,): mean cosine of random pairs."""
    return np.asarray((layers * np.roll(layers, 1, axis=1)).sum(axis=-1).mean(axis=1))


def shape_of(base: Path) -> tuple[float, float]:
    """(anisotropy, mean distance between layers) of a base."""
    layers = layer_vectors(str(base))
    pairs = combinations(range(len(layers)), 2)
    return float(random_cosines(layers)[-1]), mean(1 - float((layers[a] * layers[b]).sum(-1).mean()) for a, b in pairs)


def row(base: Path, given: argparse.Namespace, folder: Path) -> list[str]:
    """The line of a base."""
    found = [scores(base, given, seed, folder)["languages"] for seed in range(1, given.seeds + 1)]
    untuned = {
        name: 100 * mean(entry["baselines"][name] for entry in found[0].values()) for name in ("base_cls", "base_mean")
    }
    tuned = 100 * mean(entry["spearman"] for each in found for entry in each.values())
    anisotropy, between = shape_of(base)
    gains = [tuned - untuned["base_cls"], tuned - untuned["base_mean"]]
    shown = [f"{value:.1f}" for value in (*untuned.values(), tuned)]
    return [base.name, *shown, *(f"{gain:+.1f}" for gain in gains), f"{anisotropy:.3f}", f"{between:.3f}"]


def main(arguments: list[str] | None = None) -> None:
    """Print the table as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bases", nargs="+", type=Path)
    parser.add_argument("--data-root", type=Path, required=True)
    parser.add_argument("--workspace", type=Path, default=Path(".mlsg"))
    parser.add_argument("--recipe", default="zero_shot")
    parser.add_argument("--langs", default="es,ar,tr,de,fr,it,pt,nl")
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--set", action="append", default=[])
    given = parser.parse_args(arguments)
    print("| " + " | ".join(_COLUMNS) + " |\n| --- |" + " --: |" * (len(_COLUMNS) - 1))
    with TemporaryDirectory() as folder:
        for base in given.bases:
            print("| " + " | ".join(row(base, given, Path(folder))) + " |", flush=True)


if __name__ == "__main__":
    main()
