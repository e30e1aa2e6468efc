"""From token vectors to one vector a sentence.

Every token whose attention mask is 1 counts, [CLS] and [SEP] included. `first_last` is the mean over tokens of the
average of two layers' outputs, the first transformer layer (1) and the last. Source: avg_first_last in the code of
SimCSE (Gao, Yao, Chen, EMNLP 2021) since its issue 133; the figures in its paper took the embedding layer (0) for the
first, and are lower (issue 285). BERT-flow's (Li et al., EMNLP 2020) differs: its "last two layers" were the first and
the last by a slip of an index (its issues 11 and 16).
Shapes: b sentences, t tokens, d dimensions, L layers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

import torch
from torch import Tensor

from mlsg.config.recipes import Pooling
from mlsg.errors import SettingError, nearest

POOLINGS: tuple[str, ...] = get_args(Pooling)


def pool(states: Sequence[Tensor], mask: Tensor, pooling: str, layer: int = -1) -> Tensor:
    """(b, d) from the L + 1 hidden states (b, t, d), index 0 being the embedding layer's output; `mask` is (b, t).

    `layer` is 0..L, or -1 for the last; for first_last it takes the place of the last. Raises SettingError for an
    unknown pooling or a layer that does not exist.
    """
    chosen = checked_layer(layer, len(states) - 1, pooling)
    if pooling == "first_last":
        return pool_tokens((wide(states[1]) + wide(states[chosen])) / 2, mask, "mean")
    return pool_tokens(states[chosen], mask, pooling)


def pool_tokens(tokens: Tensor, mask: Tensor, how: str) -> Tensor:
    """(b, d) from (b, t, d) and a mask (b, t) padded on the right; how: cls (the first token), mean, max.

    Half precision is widened to float32 before a mean. Raises SettingError for an unknown `how`.
    """
    if how == "cls":
        return tokens[:, 0]
    if how == "mean":
        weights = mask.unsqueeze(-1).to(wide(tokens).dtype)  # (b, t, 1)
        return (wide(tokens) * weights).sum(1) / weights.sum(1)
    if how == "max":
        return tokens.masked_fill(mask.unsqueeze(-1) == 0, -torch.inf).amax(1)
    raise SettingError(f'unknown pooling "{how}"', nearest(how, ("cls", "mean", "max")))


def checked_layer(layer: int, layers: int, pooling: str) -> int:
    """`layer` as 0..`layers`: `checked_layer(-1, 12, "cls")` -> 12. Raises SettingError."""
    if pooling not in POOLINGS:
        raise SettingError(f'unknown pooling "{pooling}"', nearest(pooling, POOLINGS))
    if not -1 <= layer <= layers:
        raise SettingError(f"layer is {layer}", f"the base has layers 0 to {layers}; -1 is the last")
    chosen = layers if layer == -1 else layer
    if pooling == "first_last" and chosen == 0:
        raise SettingError("first_last from layer 0", "the embedding layer has no first transformer layer below it")
    return chosen


def wide(tokens: Tensor) -> Tensor:
    """Half precision as float32, anything else as it is."""
    return tokens.float() if tokens.dtype in (torch.float16, torch.bfloat16) else tokens
