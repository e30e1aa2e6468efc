"""Views h(i, k): the pooled hidden layers of the guide, which is the base as it was before training.

Source: Kim, Yoo, Lee, ACL 2021, section 3.1: k = 0 is the output of the embedding layer, pooling is by maximum over all
tokens, [CLS] and [SEP] included. The authors' released code pools by mean and, because the guide is a sub-module of
their loss, runs it with dropout on; here dropout is off unless asked for, so that a view depends on its sentence alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor

from mlsg.objectives.interface import Batch

if TYPE_CHECKING:
    from mlsg.model.backbone import Backbone


class ViewSource(Protocol):
    """Where views come from: computed on the fly, or looked up by `batch.rows`."""

    def __call__(self, batch: Batch) -> Tensor:
        """(b, n, d), without gradient."""


def pool_layers(layers: Tensor, mask: Tensor, how: str, weights: Tensor | None = None) -> Tensor:
    """Pool tokens of all layers at once: (b, n, t, d), mask (b, t) -> (b, n, d); how: max, mean, cls.

    `weights` (b, t) weighs the tokens of a mean; a sentence whose weights are all 0 cannot occur, each being positive.
    """
    if how == "cls":
        return layers[:, :, 0]
    if how == "max":
        return layers.masked_fill(~mask.bool()[:, None, :, None], -torch.inf).amax(2)
    shares = mask.to(layers.dtype) if weights is None else mask * weights.to(layers.dtype)  # (b, t)
    return torch.einsum("bntd,bt->bnd", layers, shares / shares.sum(1, keepdim=True))


@dataclass(frozen=True)
class GuideViews:
    """Views computed when they are asked for. A plain object: no `.train()` of a parent can reach the guide."""

    guide: Backbone
    layers: Sequence[int]
    """Which layers, 0 being the embedding layer's output."""
    pooling: str
    token_weights: Tensor | None = None
    """(vocabulary,) weight of each token id in a mean."""

    def __call__(self, batch: Batch) -> Tensor:
        """Views (b, n, d) of a batch."""
        return self.of(batch.input_ids, batch.attention_mask)

    @torch.no_grad()
    def of(self, input_ids: Tensor, mask: Tensor) -> Tensor:
        """(b, t), (b, t) -> (b, n, d)."""
        states = self.guide.hidden_states(input_ids, mask)
        chosen = torch.stack([states[k] for k in self.layers], dim=1)  # (b, n, t, d)
        weights = None if self.token_weights is None else self.token_weights[input_ids]
        return pool_layers(chosen, mask, self.pooling, weights)


@dataclass(frozen=True)
class TransformedViews:
    """Views of another source, moved and turned layer by layer."""

    source: ViewSource
    means: Tensor
    """(n, d)."""
    maps: Tensor | None
    """(n, d, d), or None for centring only."""

    @torch.no_grad()
    def __call__(self, batch: Batch) -> Tensor:
        """Views (b, n, d) of a batch, in the type of the means."""
        with torch.autocast(self.means.device.type, enabled=False):
            centred = self.source(batch).to(self.means.dtype) - self.means
            return centred if self.maps is None else torch.einsum("bnd,nde->bne", centred, self.maps)
