"""Centring: the mean of the text's vectors is taken from every vector; or of its language's, which is found by itself.

Source of centring by language: Libovický, Rosa, Fraser, Findings of EMNLP 2020 (`mlsg.model.nearest_mean`).

When to use it: as the first thing to try where random sentences have cosines far above 0; by language where texts of
several languages are searched together.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from mlsg.errors import DataError

if TYPE_CHECKING:
    from torch import Tensor

    from mlsg.model.modules import AfterPooling


@dataclass(frozen=True)
class Settings:
    """Settings of centring."""

    draws: ClassVar[bool] = False

    by: Annotated[Literal["text", "language"], "one mean of the text, or one of each language's"] = "text"

    @property
    def label(self) -> str:
        """A short name for folders and tables."""
        return "center" if self.by == "text" else "center_by_language"

    def fit(self, vectors: Tensor, seed: int, languages: Mapping[str, int]) -> AfterPooling:
        """Fit x -> x - mean. Raises DataError by language where the text is of one."""
        import torch

        from mlsg.model.nearest_mean import NearestMean
        from mlsg.transforms.moments import dense, mean_and_covariance

        if self.by == "text":
            mean, _ = mean_and_covariance(vectors)
            return dense(torch.eye(len(mean), dtype=mean.dtype), mean)
        if len(languages) < 2:
            raise DataError(
                "transform.by = language, and the text is of one", "prepare several: --lang en:5000,es:5000"
            )
        parts = vectors.split([*languages.values()])
        return NearestMean(torch.stack([part.mean(0, dtype=torch.float64) for part in parts]))
