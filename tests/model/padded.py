"""Pooling of padded sentences, written plainly: what the pooling of packed rows is compared with."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def pool(states: Sequence[Tensor], mask: Tensor, pooling: str, layer: int = -1) -> Tensor:
    """(b, d) from the L + 1 hidden states (b, t, d); `mask` is (b, t)."""
    last = layer % len(states)
    means = {"first_last": [1, last], "embedding_last": [0, last], "last_two": [last - 1, last]}
    means["all_layers"] = list(range(1, last + 1))
    if pooling in means:
        return pool([torch.stack([states[each] for each in means[pooling]]).mean(0)], mask, "mean")
    tokens = states[layer]
    if pooling == "cls":
        return tokens[:, 0]
    if pooling == "max":
        return tokens.masked_fill(mask.unsqueeze(-1) == 0, -torch.inf).amax(1)
    weights = mask.unsqueeze(-1).to(tokens.dtype)
    return (tokens * weights).sum(1) / weights.sum(1)
