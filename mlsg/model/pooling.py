"""The poolings: from token vectors to one vector a sentence (`fast.packing.pool_packed` computes them).

Every token whose attention mask is 1 counts, [CLS] and [SEP] included. A recipe chooses one of `POOLINGS`; the folder
of an encoder may declare any of sentence-transformers' `MODES`, or several that are joined: `cls+mean`.
`first_last` is the mean over tokens of the average of two layers' outputs, the first transformer layer (1) and the
last. Source: avg_first_last in the code of SimCSE (Gao, Yao, Chen, EMNLP 2021) since its issue 133; the figures in its
paper took the embedding layer (0) for the first, and are lower (issue 285). BERT-flow's (Li et al., EMNLP 2020)
differs: its "last two layers" were the first and the last by a slip of an index (its issues 11 and 16).
"""

from __future__ import annotations

from typing import get_args

import torch
from torch import Tensor

from mlsg.config.recipes import Pooling
from mlsg.errors import SettingError, nearest
from mlsg.model.folder_keys import MODES

POOLINGS: tuple[str, ...] = get_args(Pooling)


def modes_of(pooling: str) -> tuple[str, ...]:
    """What is computed and put side by side: `cls+mean` -> ("cls", "mean"). Raises SettingError."""
    modes = tuple(pooling.split("+"))
    if pooling not in POOLINGS and not set(modes) <= set(MODES):
        raise SettingError(f'unknown pooling "{pooling}"', nearest(pooling, POOLINGS))
    return modes


def checked_layer(layer: int, layers: int, pooling: str) -> int:
    """`layer` as 0..`layers`: `checked_layer(-1, 12, "cls")` -> 12. Raises SettingError."""
    modes_of(pooling)
    if not -1 <= layer <= layers:
        raise SettingError(f"layer is {layer}", f"the base has layers 0 to {layers}; -1 is the last")
    chosen = layers if layer == -1 else layer
    if pooling == "first_last" and chosen == 0:
        raise SettingError("first_last from layer 0", "the embedding layer has no first transformer layer below it")
    return chosen


def wide(tokens: Tensor) -> Tensor:
    """Half precision as float32, anything else as it is."""
    return tokens.float() if tokens.dtype in (torch.float16, torch.bfloat16) else tokens
