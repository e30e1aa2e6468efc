"""Regression on scored pairs: the cosine of two sentences is to be what people said of them.

Source: N. Reimers, I. Gurevych: Sentence-BERT, EMNLP 2019, section 3, regression objective: the mean squared error of
the cosine and the score, put on a scale from 0 to 1 (as the authors' code does for STS-B).

When to use it: with some thousand scored pairs, from the base or from an encoder that another objective has trained. It
is supervised: compare it with nothing that sees no labels.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from mlsg.config.recipes import Kind
from mlsg.config.settings import Between
from mlsg.errors import DataError, SettingError
from mlsg.objectives.interface import Batch, Draw, Sequences, TrainingContext
from mlsg.objectives.sequences import all_texts

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor, nn

    from mlsg.model.backbone import Backbone
    from mlsg.model.fast.packing import Packed


@dataclass(frozen=True)
class Settings:
    """Settings of regression on scored pairs."""

    trains: ClassVar[bool] = True
    kinds: ClassVar[tuple[Kind, ...]] = ("scored_pairs",)
    least_tokens: ClassVar[int] = 0

    scale: Annotated[tuple[float, float], "lowest and highest score", Between(-1e9, 1e9)] = (0.0, 5.0)

    def __post_init__(self) -> None:
        if not self.scale[0] < self.scale[1]:
            raise SettingError(f"objective.scale is {list(self.scale)}", "give the lowest score first")

    @property
    def label(self) -> str:
        """A short name for folders and tables."""
        return "regression"

    def build(self, context: TrainingContext) -> Regression:
        """The objective on `context`. Raises DataError for a score that is off the scale."""
        scores, (low, high) = context.text.scores, self.scale
        assert scores is not None
        if scores.min() < low or scores.max() > high:
            problem = f"scores of the text are from {scores.min():g} to {scores.max():g}"
            raise DataError(problem, f"set objective.scale, which is {list(self.scale)}")
        return Regression(context, (scores - low) / (high - low))


class Regression:
    """The loss of one batch."""

    regulariser = None

    def __init__(self, context: TrainingContext, targets: NDArray[np.float64]) -> None:
        self.encoder, self.text, self.targets = context.encoder, context.text, targets
        self.parts: Mapping[str, nn.Module] = {}

    def sequences(self, rows: NDArray[np.int64], draw: Draw) -> Sequences:
        """Both sentences of each pair."""
        return all_texts(self.text, rows)

    def anchors(self, tuned: Backbone, packed: Packed) -> Tensor:
        """(s, d): the tuned copy's vectors, pooled as the encoder's will be."""
        from mlsg.objectives.anchor import anchors_of

        return anchors_of(tuned, packed, self.encoder)

    def loss(self, anchors: Tensor, batch: Batch) -> Tensor:
        """The mean squared error of cosines, anchors (2b, d): a scalar."""
        import torch

        pairs = anchors.unflatten(0, (len(batch.rows), 2))  # (b, 2, d)
        wide = pairs.to(torch.promote_types(pairs.dtype, torch.float32))
        cosines = torch.cosine_similarity(wide[:, 0], wide[:, 1], dim=1)
        targets = torch.from_numpy(self.targets[list(batch.rows)]).to(cosines)
        return batch.shard.own((cosines - targets).square()).sum() / batch.duplicates.shape[1]
