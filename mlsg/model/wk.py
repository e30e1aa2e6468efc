"""SBERT-WK: a token's vector is put together from its layers by how much each says that its neighbours do not.

Source: B. Wang, C.-C. J. Kuo: SBERT-WK: A Sentence Embedding Method by Dissecting BERT-based Word Models, IEEE/ACM
TASLP 2020, section 3. Layers from the fourth on; a layer's window are the two below and the two above it. Alignment is
the mean cosine of the window's vectors with the projection of the layer on their span; novelty is the share of the
layer's length that is outside of the span; both are normalised over layers and added. A token's weight in the sentence
is the variance of the cosines of neighbouring layers. The last token is left out.

The authors take each window apart by QR, token by token. Here all is read off the products of a token's layers, which
are the same numbers. As in their code, the window of the second layer lacks the layer below it (an index below 0).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from mlsg.model.fast.packing import Packed

_START, _LEAST_LAYERS, _WINDOW = 4, 3, 2
_TINY = 1e-12


def pool_wk(states: Sequence[Tensor], packed: Packed, last: int) -> Tensor:
    """(b, d) from hidden states (r, t, d) of the layers 0..`last`."""
    start = max(0, min(_START, last + 1 - _LEAST_LAYERS))
    places, lengths = _without_last(packed)
    layers = torch.stack([states[k].flatten(0, 1)[places] for k in range(start, last + 1)], dim=1)  # (n, K, d)
    layers = layers.to(torch.promote_types(layers.dtype, torch.float32))
    products = (layers @ layers.transpose(1, 2)).double()  # (n, K, K)
    tokens = torch.einsum("nk,nkd->nd", layer_weights(products).to(layers.dtype), layers)
    owners = torch.repeat_interleave(torch.arange(len(lengths), device=lengths.device), lengths)  # (n,)
    importance = neighbour_variance(products).to(layers.dtype)
    totals = importance.new_zeros(len(lengths)).index_add(0, owners, importance)
    even = (totals <= _TINY)[owners]  # all layers alike, or too few of them: every token counts the same
    shares = torch.where(even, 1 / lengths[owners], importance / totals.clamp(min=_TINY)[owners])
    return torch.segment_reduce(tokens * shares[:, None].to(tokens.dtype), "sum", lengths=lengths, axis=0, unsafe=True)


def layer_weights(products: Tensor) -> Tensor:
    """(n, K, K) products of a token's layers -> (n, K), which add up to 1."""
    lengths = products.diagonal(dim1=1, dim2=2).clamp(min=_TINY).sqrt()  # (n, K)
    alignments, novelties = [], []
    for k in range(products.shape[1]):
        window = _window(k, products.shape[1])
        inner = products[:, window][:, :, window]  # (n, m, m)
        with_layer = products[:, window, k]  # (n, m)
        solved = (torch.linalg.pinv(inner, rtol=_TINY, hermitian=True) @ with_layer[..., None])[..., 0]
        projected = (solved * with_layer).sum(1).clamp(min=_TINY).sqrt()  # (n,) length of the projection
        alignment = (with_layer / lengths[:, window]).mean(1) / projected
        alignments.append(1 / (alignment * (len(window) + 1) * 2))
        novelties.append((lengths[:, k].square() - projected.square()).clamp(min=0).sqrt() / lengths[:, k])
    aligned, new = torch.stack(alignments, 1), torch.stack(novelties, 1)
    alpha = aligned / aligned.sum(1, keepdim=True) + new / new.sum(1, keepdim=True).clamp(min=_TINY)
    return alpha / alpha.sum(1, keepdim=True)


def neighbour_variance(products: Tensor) -> Tensor:
    """(n, K, K) products of a token's layers -> (n,) variance over K - 1 cosines of neighbouring layers."""
    lengths = products.diagonal(dim1=1, dim2=2).clamp(min=_TINY).sqrt()
    neighbours = products.diagonal(offset=1, dim1=1, dim2=2) / (lengths[:, 1:] * lengths[:, :-1])  # (n, K - 1)
    return neighbours.var(1) if neighbours.shape[1] > 1 else neighbours.new_zeros(len(neighbours))


def _window(k: int, layers: int) -> list[int]:
    below = range(k - _WINDOW, k) if k >= _WINDOW else range(0)
    window = [*below, *range(k + 1, min(k + 1 + _WINDOW, layers))]
    return window or [each for each in range(layers) if each != k]


def _without_last(packed: Packed) -> tuple[Tensor, Tensor]:
    """Places (n,) and lengths (b,) of the tokens but the last of each sentence, where it is not the only one."""
    long = packed.lengths > 1
    ends = packed.lengths.cumsum(0) - 1
    kept = torch.ones(len(packed.places), dtype=torch.bool, device=packed.places.device)
    kept[ends[long]] = False
    return packed.places[kept], packed.lengths - long.long()
