"""SimCSE: a sentence and itself under another dropout mask, or the positive that a data set gives it.

Source: T. Gao, X. Yao, D. Chen: SimCSE: Simple Contrastive Learning of Sentence Embeddings, EMNLP 2021, sections 3 and
4. Text of sentences is trained on without labels; pairs have a positive each, triplets a hard negative too. mSimCSE
(Y. Wang, A. Wu, G. Neubig: English Contrastive Learning Can Learn Universal Cross-lingual Sentence Embeddings, EMNLP
2022) is the same on a multilingual base.

When to use it: with thousands of sentences and batches of 64 or more; with NLI triplets where labels are allowed.

Where this departs from the authors' code: the layer that follows [CLS] in training (Linear, tanh) is thrown away after
it in the supervised case too, as mSimCSE does. Addition of mlsg, off by default: `mask_duplicates`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from mlsg.config.recipes import Kind
from mlsg.config.settings import Between
from mlsg.objectives.interface import Batch, Draw, Sequences, TrainingContext
from mlsg.objectives.sequences import all_texts, first_text_twice

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor, nn

    from mlsg.model.backbone import Backbone
    from mlsg.model.fast.packing import Packed


@dataclass(frozen=True)
class Settings:
    """Settings of SimCSE; the defaults are the paper's."""

    trains: ClassVar[bool] = True
    kinds: ClassVar[tuple[Kind, ...]] = ("sentences", "pairs", "triplets")
    least_tokens: ClassVar[int] = 0

    temperature: Annotated[float, "tau", Between(1e-4, 1e4)] = 0.05
    head: Annotated[bool, "Linear and tanh after the anchor, in training only"] = True
    hard_negative_weight: Annotated[
        float, "added to the logit of a triplet's own hard negative", Between(-1e4, 1e4)
    ] = 0.0
    dropout: Annotated[bool, "false: both readings of a sentence are the same, the paper's ablation"] = True
    mask_duplicates: Annotated[bool, "sentences with equal tokens are not negatives of each other"] = False

    @property
    def label(self) -> str:
        """A short name for folders and tables."""
        return "simcse"

    def build(self, context: TrainingContext) -> SimCSE:
        """The objective on `context`."""
        from mlsg.objectives.projection import tanh_head

        deviation = getattr(context.base.model.config, "initializer_range", 0.02)
        seed = context.seed_of("head")
        return SimCSE(self, context, tanh_head(context.base.dimension, deviation, seed) if self.head else None)


class SimCSE:
    """The loss of one batch."""

    regulariser = None

    def __init__(self, settings: Settings, context: TrainingContext, head: nn.Module | None) -> None:
        self.settings, self.encoder, self.text, self.head = settings, context.encoder, context.text, head
        self.parts: Mapping[str, nn.Module] = {} if head is None else {"head": head}

    def sequences(self, rows: NDArray[np.int64], draw: Draw) -> Sequences:
        """Each sentence twice, or all texts of a pair or triplet."""
        return (first_text_twice if self.text.kind == "sentences" else all_texts)(self.text, rows)

    def anchors(self, tuned: Backbone, packed: Packed) -> Tensor:
        """(s, d): the tuned copy's vectors, pooled as the encoder's will be."""
        from mlsg.objectives.anchor import anchors_of

        tuned.train(self.settings.dropout)
        return anchors_of(tuned, packed, self.encoder)

    def loss(self, anchors: Tensor, batch: Batch) -> Tensor:
        """The contrastive loss of anchors (b * each, d): a scalar (equations 1 and 5)."""
        from mlsg.objectives.in_batch_loss import in_batch

        settings, shard = self.settings, batch.shard
        vectors = anchors if self.head is None else self.head(anchors)
        vectors = vectors.unflatten(0, (len(batch.rows), -1))  # (b, each, d)
        whole = shard.gather(vectors)  # (B, each, d)
        return in_batch(
            shard.own(vectors)[:, 0],
            whole[:, 1],
            settings.temperature,
            whole[:, 2] if whole.shape[1] > 2 else None,
            settings.hard_negative_weight,
            shard.own(batch.duplicates) if settings.mask_duplicates else None,
            shard,
        )
