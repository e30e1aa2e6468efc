"""Views h(i, k): the pooled hidden layers of the guide, which is the base as it was before training.

Source: Kim, Yoo, Lee, ACL 2021, section 3.1: k = 0 is the output of the embedding layer, pooling is by maximum over all
tokens, [CLS] and [SEP] included. The authors' released code pools by mean and, because the guide is a sub-module of
their loss, runs it with dropout on; here dropout is off unless asked for, so that a view depends on its sentence alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mlsg.model.fast.packing import Packed, pack, pool_layers, pool_rows
from mlsg.model.fast.threads import parallel_map
from mlsg.model.precision import autocast
from mlsg.model.tokens import Tokens
from mlsg.objectives.interface import Batch, TrainingText

if TYPE_CHECKING:
    from mlsg.model.backbone import Backbone

_TOKENS = 1024
"""Tokens that the guide reads at once where it can choose."""


class ViewSource(Protocol):
    """Where views come from: computed on the fly, or looked up by `batch.rows`."""

    @property
    def layers(self) -> Sequence[int]:
        """Which layers of the guide are the n views, 0 being the embedding layer's output."""

    def __call__(self, batch: Batch, drawn: Sequence[int] | None = None) -> Tensor:
        """(b, n, d), without gradient; with `drawn`, (b, d): for each sentence one of the n."""


class WholeViews(ViewSource, Protocol):
    """Views that can be had of the whole text too, to fit a map on."""

    def everything(self) -> Iterator[Tensor]:
        """Views (m, n, d) of every distinct sentence of the text, without dropout, some at a time."""


def similar_batches(tokens: Tokens, rows: NDArray[np.int64], *, together: bool) -> Iterator[Packed]:
    """Sentences in batches of about `_TOKENS` tokens each, one after the other."""
    ends = np.cumsum(tokens.lengths[rows]) // _TOKENS
    for part in np.split(rows, np.flatnonzero(np.diff(ends)) + 1):
        yield pack(tokens, part, together=together)


@dataclass(frozen=True)
class GuideViews:
    """Views computed when they are asked for. A plain object: no `.train()` of a parent can reach the guide."""

    guide: Backbone
    text: TrainingText
    layers: Sequence[int]
    pooling: str
    precision: str
    """Of the guide's forward pass, and of the views."""
    token_weights: Tensor | None = None
    """(vocabulary,) weight of each token id in a mean."""

    @property
    def device(self) -> torch.device:
        """Where the guide is."""
        return self.guide.device

    def of_layers(self, layers: Sequence[int]) -> GuideViews:
        """The same of other layers."""
        return replace(self, layers=layers)

    def __call__(self, batch: Batch, drawn: Sequence[int] | None = None) -> Tensor:
        """(b, n, d), or (b, d) of the drawn layers."""
        views = torch.cat([self.of(packed) for packed in batch.mini_batches])
        return views if drawn is None else views[range(len(views)), list(drawn)]

    def everything(self) -> Iterator[Tensor]:
        """Views of every distinct sentence, whatever training does without dropout."""
        training = self.guide.training
        self.guide.eval()
        tokens = self.text.tokens
        yield from self.of_rows(self.text.distinct[np.argsort(-tokens.lengths[self.text.distinct], kind="stable")])
        self.guide.train(training)

    def of_rows(self, rows: NDArray[np.int64]) -> Iterator[Tensor]:
        """Views of some sentences, sorted by length already, a batch after the other."""
        batches = similar_batches(self.text.tokens, rows, together=self.guide.packs)
        each = parallel_map if self.device.type == "cpu" else map
        yield from each(lambda packed: self.of(packed.to(self.device)), batches)

    @torch.no_grad()
    def of(self, packed: Packed) -> Tensor:
        """(b, n, d) of the b sentences in `packed`, in the type that stored views have."""
        with autocast(self.device, self.precision):
            pooled = self._pooled(packed)
        return pooled.to(torch.bfloat16) if self.precision == "bf16" else pooled

    def _pooled(self, packed: Packed) -> Tensor:
        states = self.guide.states_of(packed)
        chosen = [states[k] for k in self.layers]
        if self.token_weights is None:
            return pool_layers(chosen, packed, self.pooling)
        weights = self.token_weights[packed.ids][..., None]  # (r, t, 1)
        weighted = pool_layers([state * weights for state in chosen], packed, self.pooling)
        return weighted / pool_rows(weights, packed, self.pooling)[..., None]


@dataclass(frozen=True)
class TransformedViews:
    """Views of another source, moved and turned layer by layer."""

    source: ViewSource
    means: Tensor
    """(n, d)."""
    maps: Tensor | None
    """(n, d, d), or None for centring only."""

    @property
    def layers(self) -> Sequence[int]:
        """Those of the source."""
        return self.source.layers

    @torch.no_grad()
    def __call__(self, batch: Batch, drawn: Sequence[int] | None = None) -> Tensor:
        """(b, n, d), or (b, d) of the drawn layers, in the type of the means."""
        with autocast(self.means.device, "float32"):
            views = self.source(batch, drawn).to(self.means.dtype)
            if drawn is not None:
                centred = views - self.means[list(drawn)]
                return centred if self.maps is None else torch.einsum("bd,bde->be", centred, self.maps[list(drawn)])
            centred = views - self.means
            return centred if self.maps is None else torch.einsum("bnd,nde->bne", centred, self.maps)
