"""The contract between the stage that makes an encoder and a transform. Importing this file does not import torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Protocol

if TYPE_CHECKING:
    from torch import Tensor

    from mlsg.model.modules import AfterPooling


class TransformSettings(Protocol):
    """The settings dataclass of a transform, which also knows how to fit it."""

    draws: ClassVar[bool]
    """Whether fitting draws numbers, so that the seed changes the result."""

    @property
    def label(self) -> str:
        """A short name for folders and tables."""

    def fit(self, vectors: Tensor, seed: int, languages: Mapping[str, int]) -> AfterPooling:
        """The map, fitted on vectors (n, d) in float32 on the CPU; in their order `languages` have so many each.

        Raises DataError where there are too few vectors.
        """
