"""Weights of tokens in a mean: sentence-transformers' WordWeights, read and written.

A token that has no weight of its own has that of its lower-cased form, else the one of unknown words: as there.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from mlsg.errors import ModelError
from mlsg.model.folder import write_json
from mlsg.model.folder_keys import WORD_WEIGHTS, read_known


def read_word_weights(folder: Path, least: int) -> Tensor:
    """(vocabulary,) the weight of each token id, of at least `least` ids. Raises ModelError."""
    path = folder / "config.json"
    settings = read_known(path, WORD_WEIGHTS)
    vocabulary, known, unknown = (settings.get(name) for name in ("vocab", "word_weights", "unknown_word_weight"))
    if vocabulary is None or known is None or len(vocabulary) < least:
        raise ModelError(f"{path} has weights of {len(vocabulary or ())} of {least} tokens", "download the model again")
    rest = 1.0 if unknown is None else unknown
    weights = torch.tensor([known.get(token, known.get(token.lower(), rest)) for token in vocabulary])
    if not all(math.isfinite(weight) and weight >= 0 for weight in weights.tolist()):
        raise ModelError(f"{path} has weights that are no finite numbers from 0 on", "download the model again")
    return weights.float()


def write_word_weights(vocabulary: Sequence[str], weights: Tensor, folder: Path) -> None:
    """Write weights (vocabulary,); those of 1 that nothing could be taken for are left to the unknown words."""
    values = dict(zip(vocabulary, weights.tolist(), strict=True))
    lighter = {token for token, weight in values.items() if weight != 1.0}
    named = {token: weight for token, weight in values.items() if token in lighter or token.lower() in lighter}
    write_json(folder / "config.json", {"vocab": list(vocabulary), "word_weights": named, "unknown_word_weight": 1.0})
