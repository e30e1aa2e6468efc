"""DeCLUTR: a span of a document is to be found by other spans from near it, with masked language modelling beside it.

Source: J. Giorgi, O. Nitski, B. Wang, G. Bader: DeCLUTR: Deep Contrastive Learning for Unsupervised Textual
Representations, ACL 2021, section 3; the settings are those of the authors' code. Of each document, anchors of long
spans (lengths drawn from Beta(4, 2)) and for each of them positives of short ones (Beta(2, 4)) that overlap, adjoin or
lie within it; the mean of an anchor's positives is its partner in NT-Xent. Anchors are read with some words masked, and
these are predicted.

When to use it: with thousands of long documents. Shorter spans (min_span 8, max_span 32) suit documents of a few
hundred tokens; a document shorter than twice as many tokens as its anchors could take is left out.

Where this departs from the authors' code: words are predicted by the input embeddings and a bias, since the base's own
output layer is not part of an encoder; rates and schedule are those of `[train]`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from mlsg.config.recipes import Kind
from mlsg.config.settings import Between
from mlsg.errors import SettingError
from mlsg.objectives.interface import Batch, Draw, Sequences, TrainingContext

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor, nn

    from mlsg.model.backbone import Backbone
    from mlsg.model.fast.packing import Packed
    from mlsg.objectives.spans import SpanSampler


@dataclass(frozen=True)
class Settings:
    """Settings of DeCLUTR; the defaults are the authors'."""

    trains: ClassVar[bool] = True
    kinds: ClassVar[tuple[Kind, ...]] = ("documents",)

    temperature: Annotated[float, "tau", Between(1e-4, 1e4)] = 0.05
    anchors: Annotated[int, "spans of a document that are to be found", Between(1, 64)] = 2
    positives: Annotated[int, "spans beside each anchor, averaged", Between(1, 64)] = 2
    min_span: Annotated[int, "tokens, special ones included", Between(3, 2**16)] = 32
    max_span: Annotated[int, "tokens, special ones included", Between(3, 2**16)] = 512
    mask_weight: Annotated[float, "weight of predicting masked words; 0: nothing is masked", Between(0, 1e6)] = 1.0
    mask_share: Annotated[float, "share of an anchor's words that are masked", Between(0.001, 0.9)] = 0.15

    def __post_init__(self) -> None:
        if self.min_span > self.max_span:
            problem = f"objective.min_span is {self.min_span} and objective.max_span {self.max_span}"
            raise SettingError(problem, "let the first be the smaller")

    @property
    def least_tokens(self) -> int:
        """Of a document: its anchors lie in places of the longest length with one place between them."""
        return 2 * self.anchors * self.max_span

    @property
    def label(self) -> str:
        """A short name for folders and tables."""
        return "declutr"

    def build(self, context: TrainingContext) -> DeCLUTR:
        """The objective on `context`. Raises SettingError for spans too long for the base, or no mask token."""
        from mlsg.objectives.masked_words import WordPredictor
        from mlsg.objectives.spans import SpanSampler

        base = context.base
        if self.max_span > base.max_length:
            problem = f"objective.max_span is {self.max_span}, the base reads {base.max_length} tokens"
            raise SettingError(problem, "lower objective.max_span")
        mask = base.tokenizer.mask_token_id if self.mask_weight else None
        if self.mask_weight and mask is None:
            raise SettingError(f"{base.name} has no mask token", "set objective.mask_weight=0")
        special = base.tokenize([""]).ids(0)
        sampler = SpanSampler(self, context.text, special, mask, base.model.config.vocab_size)
        return DeCLUTR(self, context, sampler, WordPredictor(base) if self.mask_weight else None)


class DeCLUTR:
    """The loss of one batch."""

    regulariser = None

    def __init__(
        self, settings: Settings, context: TrainingContext, sampler: SpanSampler, words: nn.Module | None
    ) -> None:
        self.settings, self.encoder, self.sampler, self.words = settings, context.encoder, sampler, words
        self.parts: Mapping[str, nn.Module] = {} if words is None else {"words": words}

    def sequences(self, rows: NDArray[np.int64], draw: Draw) -> Sequences:
        """The anchors of each document, each followed by its positives."""
        return self.sampler(rows, draw)

    def anchors(self, tuned: Backbone, packed: Packed) -> Tensor:
        """(s, d + 2): vectors, then the sum of what predicting masked words lost, and how many these were."""
        import torch

        from mlsg.model.fast.packing import pool_packed
        from mlsg.objectives.anchor import anchors_of

        if self.words is None or packed.targets is None:
            vectors = anchors_of(tuned, packed, self.encoder)
            return torch.cat([vectors, vectors.new_zeros(len(vectors), 2)], dim=1)
        states = tuned.states_of(packed)
        vectors = pool_packed(states, packed, self.encoder.pooling, self.encoder.layer)
        lost = self.words(tuned.model.get_input_embeddings().weight, states[-1], packed)
        return torch.cat([vectors.to(lost.dtype), lost], dim=1)

    def loss(self, anchors: Tensor, batch: Batch) -> Tensor:
        """NT-Xent over anchors and mean positives, and the mean loss of masked words; anchors (b * each, d + 2)."""
        from mlsg.objectives.nt_xent import base
        from mlsg.objectives.spans import AnchorsShard

        settings, shard = self.settings, batch.shard
        found = anchors.unflatten(0, (len(batch.rows), settings.anchors, 1 + settings.positives))  # (b, a, 1 + p, d+2)
        vectors, lost, words = found[..., :-2], found[..., 0, -2], found[..., 0, -1]
        of_anchors = AnchorsShard(shard, settings.anchors)
        own = shard.own(vectors[:, :, 0]).flatten(0, 1)  # (b * a, d)
        partners = shard.gather(vectors[:, :, 1:].mean(2)).flatten(0, 1)  # (B * a, d)
        loss = base(own, partners, settings.temperature, None, of_anchors)
        if self.words is None:
            return loss
        return loss + settings.mask_weight * shard.own(lost).sum() / shard.gather(words.detach()).sum().clamp(min=1)
