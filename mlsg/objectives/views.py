"""Views h(i, k): the pooled hidden layers of the guide, which is the base as it was before training.

Source: Kim, Yoo, Lee, ACL 2021, section 3.1: k = 0 is the output of the embedding layer, pooling is by maximum over all
tokens, [CLS] and [SEP] included. Without dropout in the guide a view depends on its sentence alone.

Additions of mlsg, off by default: token weights by smooth inverse frequency (S. Arora, Y. Liang, T. Ma: A Simple but
Tough-to-Beat Baseline for Sentence Embeddings, ICLR 2017, a = 1e-3); whitening of each layer (J. Su et al., 2021,
arXiv:2103.15316), here symmetric (ZCA), so that a whitened view stays in the coordinates of the anchor.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mlsg.model.fast.dropout import masks_of
from mlsg.model.fast.packing import Packed, pack, pool_layers, pool_rows
from mlsg.model.fast.threads import parallel_map
from mlsg.model.precision import autocast
from mlsg.objectives.interface import Batch, TrainingText

if TYPE_CHECKING:
    from mlsg.model.backbone import Backbone

_SIF_A = 1e-3
_TOKENS = 1024  # tokens that the guide reads at once where it can choose


class ViewSource(Protocol):
    """Where views come from: computed on the fly, or looked up by `batch.rows`."""

    def __call__(self, batch: Batch, drawn: Sequence[int] | None = None) -> Tensor:
        """(b, n, d), without gradient; with `drawn`, (b, d): for each sentence one of the n."""


class WholeViews(ViewSource, Protocol):
    """Views that are available for the whole text too, to fit a map on."""

    def everything(self) -> Iterator[Tensor]:
        """Views (m, n, d) of every distinct sentence of the text, without dropout, some at a time."""


def longest_first(text: TrainingText) -> NDArray[np.int64]:
    """Rows of the distinct sentences by length: batches of one length waste nothing."""
    return text.distinct[np.argsort(-text.tokens.lengths[text.distinct], kind="stable")]


@dataclass(frozen=True)
class GuideViews:
    """Views computed when they are asked for. A plain object: no `.train()` of a parent can reach the guide."""

    guide: Backbone
    text: TrainingText
    layers: Sequence[int]
    pooling: str
    precision: str  # of the guide's forward pass, and of the views
    token_weights: Tensor | None = None  # (vocabulary,) weight of each token id in a mean

    def __call__(self, batch: Batch, drawn: Sequence[int] | None = None) -> Tensor:
        """(b, n, d), or (b, d) of the drawn layers."""
        dropped = self.guide.training  # by sentence, as in the tuned copy
        seeds, found = iter(batch.draw("guide_dropout", 1 << 63) if dropped else []), []
        for packed in batch.mini_batches:
            with masks_of(list(islice(seeds, len(packed))), packed) if dropped else nullcontext():
                found.append(self.of(packed))
        views = torch.cat(found)
        return views if drawn is None else views[range(len(views)), list(drawn)]

    def everything(self) -> Iterator[Tensor]:
        """Views of every distinct sentence, whatever training does without dropout."""
        training = self.guide.training
        self.guide.eval()
        yield from self.of_rows(longest_first(self.text))
        self.guide.train(training)

    def of_rows(self, rows: NDArray[np.int64]) -> Iterator[Tensor]:
        """Views of some sentences, sorted by length already, in batches of about `_TOKENS` tokens."""
        tokens, device, together = self.text.tokens, self.guide.device, self.guide.packs
        ends = np.cumsum(tokens.lengths[rows]) // _TOKENS
        batches = (pack(tokens, part, together=together) for part in np.split(rows, np.flatnonzero(np.diff(ends)) + 1))
        each = parallel_map if device.type == "cpu" else map
        yield from each(lambda packed: self.of(packed.to(device)), batches)

    @torch.no_grad()
    def of(self, packed: Packed) -> Tensor:
        """(b, n, d) of the b sentences in `packed`, in the type that stored views have."""
        with autocast(self.guide.device, self.precision):
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
    means: Tensor  # (n, d)
    maps: Tensor | None  # (n, d, d), or None for centring only

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


def sif_weights(counts: Tensor) -> Tensor:
    """Token counts (vocabulary,) -> weights a / (a + p), p being the share of a token in the text, in float32."""
    shares = counts.double() / counts.sum().clamp(min=1)
    return (_SIF_A / (_SIF_A + shares)).float()


def fit_moments(views: Iterable[Tensor]) -> tuple[Tensor, Tensor]:
    """Batches of views (b, n, d) -> means (n, d) and covariances (n, d, d) over all of them, in float64."""
    count, total, products = 0, torch.zeros(()), torch.zeros(())
    for batch in views:
        layers = batch.double().transpose(0, 1).cpu()  # (n, b, d)
        count += layers.shape[1]
        total = total + layers.sum(1)
        products = products + layers.transpose(1, 2) @ layers
    means = total / count
    return means, products / count - means[:, :, None] * means[:, None, :]


def whitening(covariances: Tensor, shrinkage: float) -> Tensor:
    """Covariances (n, d, d) -> symmetric maps W (n, d, d) with W C' W = 1, where C' = (1 - s) C + s (trace C / d) 1.

    `shrinkage` s in (0, 1] bounds how much a direction of little variance is blown up. A layer without any variance is
    left as it is.
    """
    identity = torch.eye(covariances.shape[-1], dtype=covariances.dtype)
    scale = covariances.diagonal(dim1=1, dim2=2).mean(1)[:, None, None]  # (n, 1, 1)
    shrunk = torch.where(scale > 0, (1 - shrinkage) * covariances + shrinkage * scale * identity, identity)
    values, vectors = torch.linalg.eigh(shrunk)
    floor = values.amax(1, keepdim=True) * 1e-12  # rounding can leave an eigenvalue a hair below zero
    maps: Tensor = vectors * values.maximum(floor).rsqrt()[:, None, :] @ vectors.transpose(1, 2)
    return maps
