"""What linear transforms are made of: mean and covariance, and a map as the module that is saved."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mlsg.errors import DataError
from mlsg.model.modules import Dense

_AT_ONCE = 8192


def mean_and_covariance(vectors: Tensor) -> tuple[Tensor, Tensor]:
    """(n, d) -> mean (d,) and covariance (d, d) over n - 1, in float64. Raises DataError for fewer than two vectors."""
    if len(vectors) < 2:
        raise DataError(f"{len(vectors)} sentences to fit a transform on", "prepare more text")
    mean = vectors.mean(0, dtype=torch.float64)
    covariance = torch.zeros(vectors.shape[1], vectors.shape[1], dtype=torch.float64)
    for part in vectors.split(_AT_ONCE):
        centred = part.double() - mean
        covariance += centred.T @ centred
    return mean, covariance / (len(vectors) - 1)


def principal_axes(covariance: Tensor) -> tuple[Tensor, Tensor]:
    """(d, d) -> variances (d,), falling, and their directions as columns (d, d), the largest number of each positive.

    LAPACK leaves the sign open.
    """
    variances, axes = torch.linalg.eigh(covariance)
    variances, axes = variances.flip(0).clamp(min=0), axes.flip(1)
    largest = axes.gather(0, axes.abs().argmax(0, keepdim=True))  # (1, d)
    return variances, axes * largest.sign()


def dense(matrix: Tensor, mean: Tensor) -> Dense:
    """The module x -> (x - mean) matrix, from (d, e) and (d,)."""
    linear = nn.Linear(*matrix.shape)
    with torch.no_grad():
        linear.weight.copy_(matrix.T)
        linear.bias.copy_(-(mean @ matrix))
    return Dense(linear.requires_grad_(False))
