"""All-but-the-top: the mean and the few directions that nearly all vectors share are taken out.

Source: J. Mu, P. Viswanath: All-but-the-Top: Simple and Effective Postprocessing for Word Representations, ICLR 2018,
algorithm 1, with its d / 100 directions; here on sentence vectors.

When to use it: where whitening is too much, because there is little text.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from mlsg.config.settings import Between
from mlsg.errors import SettingError

if TYPE_CHECKING:
    from torch import Tensor

    from mlsg.model.modules import AfterPooling


@dataclass(frozen=True)
class Settings:
    """Settings of all-but-the-top; the default is the paper's."""

    draws: ClassVar[bool] = False

    directions: Annotated[int, "principal axes that are taken out; 0: a hundredth of all", Between(0, 2**16)] = 0

    @property
    def label(self) -> str:
        """A short name for folders and tables."""
        return "all_but_the_top"

    def fit(self, vectors: Tensor, seed: int, languages: Mapping[str, int]) -> AfterPooling:
        """Fit x -> (x - mean) (1 - U U^T), U being the first axes (d, directions)."""
        import torch

        from mlsg.transforms.moments import dense, mean_and_covariance, principal_axes

        width = vectors.shape[1]
        if self.directions >= width:
            raise SettingError(f"transform.directions is {self.directions}", f"the vectors have {width} dimensions")
        mean, covariance = mean_and_covariance(vectors)
        _, axes = principal_axes(covariance)
        top = axes[:, : self.directions or max(1, round(width / 100))]
        return dense(torch.eye(width, dtype=mean.dtype) - top @ top.T, mean)
