"""Whitening: vectors are moved and turned so that over the text they have mean 0 and covariance 1.

Source: J. Su, J. Cao, W. Liu, Y. Ou: Whitening Sentence Representations for Better Semantics and Faster Retrieval, 2021
(arXiv:2103.15316), section 3: x -> (x - mean) U diag(1 / sqrt(variances)), U being the principal axes, of which the
first `dimension` are kept. Equal to PCA whitening in scikit-learn.

When to use it: on text of all the languages that will be asked for. On English alone it can hurt the others.

Additions of mlsg, off by default: `shrinkage` mixes the mean variance into all variances, which bounds how much a
direction of little variance is blown up; `power` below 1 whitens in part. A direction without any variance, of which a
last LayerNorm leaves one, becomes 0 and is not blown up.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from mlsg.config.settings import Between
from mlsg.errors import DataError, SettingError

if TYPE_CHECKING:
    from torch import Tensor

    from mlsg.model.modules import AfterPooling

_LEAST = 1e-9  # of the largest variance: below it there is none, but rounding


@dataclass(frozen=True)
class Settings:
    """Settings of whitening; the defaults are the paper's."""

    draws: ClassVar[bool] = False

    dimension: Annotated[int, "principal axes that are kept; 0: all", Between(0, 2**16)] = 0
    shrinkage: Annotated[float, "share of the mean variance mixed into all variances", Between(0, 1)] = 0.0
    power: Annotated[float, "1: whitening; 0: only turned", Between(0, 1)] = 1.0

    @property
    def label(self) -> str:
        """A short name for folders and tables."""
        return "whitening"

    def fit(self, vectors: Tensor, seed: int, languages: Mapping[str, int]) -> AfterPooling:
        """Fit x -> (x - mean) W, W being (d, dimension). Raises as `TransformSettings.fit` does, and SettingError."""
        import torch

        from mlsg.transforms.moments import dense, mean_and_covariance, principal_axes

        count, width = vectors.shape
        if self.dimension > width:
            raise SettingError(f"transform.dimension is {self.dimension}", f"the vectors have {width} dimensions")
        kept = self.dimension or width
        mean, covariance = mean_and_covariance(vectors)
        variances, axes = principal_axes(covariance)
        if self.power and not self.shrinkage and kept > count - 1:
            problem = f"whitening of {kept} dimensions on {count} sentences"
            raise DataError(problem, "prepare more text, set transform.shrinkage=0.1, or a smaller transform.dimension")
        shrunk = (1 - self.shrinkage) * variances + self.shrinkage * variances.mean()
        scales = torch.where(shrunk > _LEAST * shrunk[0], shrunk ** (-self.power / 2), 0.0)
        return dense((axes * scales)[:, :kept], mean)
