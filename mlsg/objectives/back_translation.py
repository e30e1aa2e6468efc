"""Back-translation: a sentence is to be found by its paraphrase, NT-Xent over pairs of sentences.

Source: Kim, Yoo, Lee, ACL 2021, section 4.1, "Contrastive (BT)": pairs of English sentences and their translations to
German and back; the loss is `base`, with the head and the penalty of self-guided training. One copy of the base reads
both sentences. The pairs come from prepared text (`prepare.kind = "pairs"`): paraphrases, or translations.

When to use it: where good paraphrases or translations are at hand; the paper's own method needs none.

Where this departs from the paper: it does not say how BT's penalty was set, here it is that of self-guided training.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from mlsg.config.recipes import Kind
from mlsg.config.settings import Between
from mlsg.objectives.interface import Batch, Draw, Sequences, TrainingContext
from mlsg.objectives.sequences import all_texts

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor, nn

    from mlsg.model.backbone import Backbone
    from mlsg.model.fast.packing import Packed
    from mlsg.objectives.l2_sp import L2ToStart


@dataclass(frozen=True)
class Settings:
    """Settings of training on pairs; the defaults are those of self-guided training."""

    trains: ClassVar[bool] = True
    kinds: ClassVar[tuple[Kind, ...]] = ("pairs",)
    least_tokens: ClassVar[int] = 0

    temperature: Annotated[float, "tau", Between(1e-4, 1e4)] = 0.01
    reg_weight: Annotated[float, "lambda: weight of the squared distance to the base", Between(0, 1e6)] = 0.1
    head_width: Annotated[int, "width of the projection head", Between(1, 2**16)] = 4096
    head_depth: Annotated[int, "times Linear, GELU; 0: no head", Between(0, 16)] = 2
    mask_duplicates: Annotated[bool, "pairs with equal first sentences are not negatives of each other"] = False

    @property
    def label(self) -> str:
        """A short name for folders and tables."""
        return "bt"

    def build(self, context: TrainingContext) -> BackTranslation:
        """The objective on `context`."""
        from mlsg.objectives.l2_sp import L2ToStart
        from mlsg.objectives.projection import projection_head

        head = projection_head(
            context.base.dimension,
            width=self.head_width,
            depth=self.head_depth,
            deviation=getattr(context.base.model.config, "initializer_range", 0.02),
            seed=context.seed_of("head"),
        )
        regulariser = None
        if self.reg_weight:
            start = context.base.copy_frozen().to(context.device)
            regulariser = L2ToStart(self.reg_weight, dict(start.model.named_parameters()))
        return BackTranslation(self, context, head, regulariser)


class BackTranslation:
    """The loss of one batch."""

    def __init__(
        self, settings: Settings, context: TrainingContext, head: nn.Module, regulariser: L2ToStart | None
    ) -> None:
        self.settings, self.encoder, self.text = settings, context.encoder, context.text
        self.head, self.regulariser = head, regulariser
        self.parts: Mapping[str, nn.Module] = {"head": head}

    def sequences(self, rows: NDArray[np.int64], draw: Draw) -> Sequences:
        """Both sentences of each pair."""
        return all_texts(self.text, rows)

    def anchors(self, tuned: Backbone, packed: Packed) -> Tensor:
        """(s, d): the tuned copy's vectors, pooled as the encoder's will be."""
        from mlsg.objectives.anchor import anchors_of

        return anchors_of(tuned, packed, self.encoder)

    def loss(self, anchors: Tensor, batch: Batch) -> Tensor:
        """NT-Xent over both sentences of each pair, anchors (2b, d): a scalar."""
        from mlsg.objectives.nt_xent import base

        shard = batch.shard
        vectors = self.head(anchors).unflatten(0, (len(batch.rows), 2))  # (b, 2, d')
        duplicates = shard.own(batch.duplicates) if self.settings.mask_duplicates else None
        own, whole = shard.own(vectors)[:, 0], shard.gather(vectors)[:, 1]
        return base(own, whole, self.settings.temperature, duplicates, shard)
