"""What is counted and fitted on the training text before training: token weights, and a map for each layer of views.

Both are additions of mlsg, off by default, and not in the paper. Sources: smooth inverse frequency: S. Arora, Y. Liang,
T. Ma: A Simple but Tough-to-Beat Baseline for Sentence Embeddings, ICLR 2017 (a = 1e-3); whitening: J. Su et al., 2021,
arXiv:2103.15316, here symmetric (ZCA), so that a whitened view stays in the coordinates of the anchor.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

SIF_A = 1e-3


def sif_weights(counts: Tensor) -> Tensor:
    """Token counts (vocabulary,) -> weights a / (a + p), p being the share of a token in the text, in float32."""
    shares = counts.double() / counts.sum().clamp(min=1)
    return (SIF_A / (SIF_A + shares)).float()


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
    d = covariances.shape[-1]
    identity = torch.eye(d, dtype=covariances.dtype)
    scale = covariances.diagonal(dim1=1, dim2=2).mean(1)[:, None, None]  # (n, 1, 1)
    shrunk = (1 - shrinkage) * covariances + shrinkage * scale * identity
    shrunk = torch.where(scale > 0, shrunk, identity)
    values, vectors = torch.linalg.eigh(shrunk)
    floor = values.amax(1, keepdim=True) * 1e-12  # rounding can leave an eigenvalue a hair below zero
    maps: Tensor = vectors * values.maximum(floor).rsqrt()[:, None, :] @ vectors.transpose(1, 2)
    return maps
