"""Centring: the mean of the text's vectors is taken from every vector.

When to use it: as the first thing to try where random sentences have cosines far above 0. It changes nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from torch import Tensor

    from mlsg.model.modules import AfterPooling


@dataclass(frozen=True)
class Settings:
    """There is nothing to set."""

    draws: ClassVar[bool] = False

    @property
    def label(self) -> str:
        """A short name for folders and tables."""
        return "center"

    def fit(self, vectors: Tensor, seed: int) -> AfterPooling:
        """Fit x -> x - mean."""
        import torch

        from mlsg.transforms.moments import dense, mean_and_covariance

        mean, _ = mean_and_covariance(vectors)
        return dense(torch.eye(len(mean), dtype=mean.dtype), mean)
