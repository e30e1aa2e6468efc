"""The poolings: from token vectors to one vector a sentence (`fast.packing.pool_packed` computes them).

Every token whose attention mask is 1 counts, [CLS] and [SEP] included. A recipe chooses one of `POOLINGS`; the folder
of an encoder may declare any of sentence-transformers' `MODES`, or several that are joined: `cls+mean`.
Others are means over tokens and over the outputs of several layers, 0 being the embedding layer and L the last one:

    first_last        1 and L: avg_first_last in the code of SimCSE (Gao, Yao, Chen, EMNLP 2021) since its issue 133
    embedding_last    0 and L: what the figures of that paper are of (its issue 285), and lower
    last_two          L - 1 and L; BERT-flow's (Li et al., EMNLP 2020) "last two" were 1 and L by a slip of an index
                      (its issues 11 and 16)
    all_layers        1 to L

`wk` is SBERT-WK (`mlsg.model.wk`); `sif` is a mean in which frequent tokens weigh less, with weights that were counted
on a text (S. Arora, Y. Liang, T. Ma: A Simple but Tough-to-Beat Baseline for Sentence Embeddings, ICLR 2017).
"""

from __future__ import annotations

from typing import get_args

import torch
from torch import Tensor

from mlsg.config.recipes import Pooling
from mlsg.errors import SettingError, nearest
from mlsg.model.folder_keys import LAYER_MEANS, MODES

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
    if pooling in LAYER_MEANS and chosen == 0:
        raise SettingError(f"{pooling} from layer 0", "the embedding layer has no other layer below it")
    return chosen


def wide(tokens: Tensor) -> Tensor:
    """Half precision as float32, anything else as it is."""
    return tokens.float() if tokens.dtype in (torch.float16, torch.bfloat16) else tokens
