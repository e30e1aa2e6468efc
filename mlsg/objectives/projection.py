"""Heads that vectors pass in training only.

The projection head f is shared by anchors and views.

Source: Kim, Yoo, Lee, ACL 2021, section 3.1 and footnote 4: two layers of width 4,096, each followed by GELU, the last
one too, so that cosines are taken between nearly non-negative vectors. No dropout, no normalisation.
"""

from __future__ import annotations

import torch
from torch import nn

from mlsg.model.fast.linear import Float32Linear


def projection_head(
    dimension: int, *, width: int, depth: int, deviation: float, seed: int, gelu: bool = True
) -> nn.Sequential:
    """`depth` times Linear, GELU: (..., dimension) -> (..., width); depth 0 leaves vectors as they are.

    Weights are drawn from N(0, deviation) by a generator of their own with `seed`, biases are 0.
    """
    generator = torch.Generator().manual_seed(seed)
    layers: list[nn.Module] = []
    for number in range(depth):
        linear = nn.utils.skip_init(Float32Linear, width if number else dimension, width)
        with torch.no_grad():
            linear.weight.normal_(0.0, deviation, generator=generator)
            linear.bias.zero_()
        layers += [linear, nn.GELU()] if gelu else [linear]
    return nn.Sequential(*layers)


def tanh_head(dimension: int, deviation: float, seed: int) -> nn.Sequential:
    """Linear, tanh: (..., dimension) -> (..., dimension), drawn as above: SimCSE's, which has BERT's pooler's form."""
    linear = projection_head(dimension, width=dimension, depth=1, deviation=deviation, seed=seed, gelu=False)
    return nn.Sequential(*linear, nn.Tanh())
