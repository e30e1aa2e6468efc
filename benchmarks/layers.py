"""What the layers of an untuned base look like, without a label."""

from __future__ import annotations

from itertools import combinations
from statistics import mean

import numpy as np
import torch
from numpy.typing import NDArray

from mlsg.config.resources import starter_folder
from mlsg.model.backbone import load_backbone
from mlsg.train.schedule import seed_of

_SENTENCES = 512


@torch.no_grad()
def layer_vectors(model: str) -> NDArray[np.float32]:
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


def random_cosines(layers: NDArray[np.float32]) -> NDArray[np.float32]:
    """(layers + 1,): mean cosine of random pairs of sentences; that of the last layer is called anisotropy."""
    return np.asarray((layers * np.roll(layers, 1, axis=1)).sum(axis=-1).mean(axis=1))


def between(layers: NDArray[np.float32]) -> float:
    """Mean cosine distance of two layers' vectors of one sentence."""
    pairs = combinations(range(len(layers)), 2)
    return mean(1 - float((layers[a] * layers[b]).sum(-1).mean()) for a, b in pairs)


def least_alike(model: str) -> int:
    """The layer whose random pairs have the lowest mean cosine."""
    return int(random_cosines(layer_vectors(model)).argmin())
