"""Self-guided contrastive learning: a frozen copy of the base shows the tuned copy what its own layers know.

Source: T. Kim, K. M. Yoo, S. Lee: Self-Guided Contrastive Learning for BERT Sentence Representations, ACL 2021,
section 3. The anchor (the tuned copy's [CLS]) is pulled towards the pooled hidden layers of the guide for the same
sentence and pushed away from those of other sentences; a penalty keeps the tuned copy near the guide.

When to use it: to get a usable [CLS] out of a base with nothing but plain sentences. Small bases barely move.

Where this departs from the authors' released code (recipe `authors_code` follows the code where a setting can):
views are pooled by maximum as the paper says, not by mean; the guide has no dropout; opt2 keeps all b - 1 negatives;
base is the mean over 2b terms. Ours and not in the paper, off by default: other anchors than [CLS], `mask_duplicates`,
`view_weighting`, `view_transform`. Without guide dropout a view depends on its sentence alone, so all are computed once
and kept in the workspace (`stored_views`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

from mlsg.config.settings import Between
from mlsg.errors import SettingError
from mlsg.objectives.interface import Batch, TrainingContext

if TYPE_CHECKING:
    from torch import Tensor, nn

    from mlsg.model.backbone import Backbone
    from mlsg.model.fast.packing import Packed
    from mlsg.objectives.views import ViewSource


@dataclass(frozen=True)
class Settings:
    """Settings of self-guided training; the defaults are the paper's."""

    trains = True  # without annotation, or it would be a setting

    loss: Annotated[
        Literal["base", "opt1", "opt2", "opt3"], "opt3: SG-OPT; the others draw one layer a sentence and step"
    ] = "opt3"
    temperature: Annotated[float, "tau", Between(1e-4)] = 0.01
    reg_weight: Annotated[float, "lambda: weight of the squared distance between tuned copy and guide", Between(0)] = (
        0.1
    )
    view_pooling: Annotated[Literal["max", "mean", "cls"], "over the tokens of each layer of the guide"] = "max"
    layers: Annotated[tuple[int, ...], "layers of the guide that are views, 0: embeddings; empty: all"] = ()
    head_width: Annotated[int, "width of the projection head", Between(1)] = 4096
    head_depth: Annotated[int, "times Linear, GELU; 0: no head", Between(0)] = 2
    guide_dropout: Annotated[bool, "dropout in the guide, as in the authors' code"] = False
    mask_duplicates: Annotated[bool, "sentences with equal tokens are no negatives of each other"] = False
    view_weighting: Annotated[Literal["none", "sif"], "sif: rare tokens weigh more in a mean view"] = "none"
    view_transform: Annotated[
        Literal["none", "centre", "whiten"], "of each layer of views, fitted on the training text"
    ] = "none"
    view_precision: Annotated[
        Literal["train", "float32", "bf16"], "in which views are computed and stored; train: as train.precision"
    ] = "train"
    view_cache_gb: Annotated[
        float, "GB that stored views may take; past it the guide reads every batch", Between(0)
    ] = 8.0
    view_shrinkage: Annotated[float, "share of the mean variance mixed in before whitening", Between(1e-6, 1)] = 0.1

    def __post_init__(self) -> None:
        if self.view_weighting != "none" and self.view_pooling != "mean":
            raise SettingError(
                f'objective.view_weighting = "{self.view_weighting}" weighs nothing with objective.view_pooling = '
                f'"{self.view_pooling}"',
                "weights are for view_pooling = mean",
            )
        if len(set(self.layers)) < len(self.layers) or any(layer < 0 for layer in self.layers):
            raise SettingError(
                f"objective.layers is {list(self.layers)}", "name each layer once, 0 being the embedding layer"
            )

    @property
    def label(self) -> str:
        """The loss names the method: opt3 is SG-OPT, base is SG."""
        return self.loss

    def build(self, ground: TrainingContext) -> SelfGuided:
        """The objective on `ground`. Raises SettingError for a layer that the base does not have."""
        from mlsg.objectives.projection import projection_head
        from mlsg.objectives.view_source import view_source

        head = projection_head(
            ground.base.dimension,
            width=self.head_width,
            depth=self.head_depth,
            deviation=getattr(ground.base.model.config, "initializer_range", 0.02),
            seed=ground.seed_of("head"),
        )
        guide = _guide(ground, dropout=self.guide_dropout)
        return SelfGuided(self, ground, guide, view_source(self, ground, guide), head)


class SelfGuided:
    """The loss of one batch. Not a module: the guide must not be switched to training by a parent's `.train()`."""

    def __init__(
        self, settings: Settings, ground: TrainingContext, guide: Backbone, views: ViewSource, head: nn.Module
    ) -> None:
        self.settings, self.encoder, self.guide, self.views, self.head = settings, ground.encoder, guide, views, head
        self.parts: Mapping[str, nn.Module] = {"head": head}
        from mlsg.objectives.l2_sp import L2ToStart

        self.regulariser = (
            L2ToStart(settings.reg_weight, dict(guide.model.named_parameters())) if settings.reg_weight else None
        )

    def anchors(self, tuned: Backbone, packed: Packed) -> Tensor:
        """(b, d): the tuned copy's vectors, pooled as the encoder's will be."""
        from mlsg.objectives.anchor import anchors_of

        return anchors_of(tuned, packed, self.encoder)

    def loss(self, anchors: Tensor, batch: Batch) -> Tensor:
        """The contrastive loss of anchors (b, d): a scalar (section 3.1)."""
        from mlsg.objectives.nt_xent import LOSSES

        views = self._positives(batch)  # (b, n, d), or (b, d) where one is drawn
        contrast, shard = LOSSES[self.settings.loss], batch.shard
        duplicates = shard.own(batch.duplicates) if self.settings.mask_duplicates else None
        views = shard.gather(views)  # (B, ...), before the head: without gradient, they only travel one way
        return contrast(*self._projected(shard.own(anchors), views), self.settings.temperature, duplicates, shard)

    def _projected(self, anchors: Tensor, views: Tensor) -> tuple[Tensor, Tensor]:
        """Both through the head in one product: its weights are read, and their gradients written, once."""
        import torch

        rows = views.flatten(0, -2)
        both = self.head(torch.cat([anchors, rows]))
        return both[: len(anchors)], both[len(anchors) :].unflatten(0, views.shape[:-1])

    def _positives(self, batch: Batch) -> Tensor:
        """All views for opt3; for the other losses one view a sentence, its layer drawn uniformly at each step."""
        if self.settings.loss == "opt3":
            return self.views(batch)
        return self.views(batch, batch.draw("layer", len(self.views.layers)))


def _guide(ground: TrainingContext, *, dropout: bool) -> Backbone:
    guide = ground.base.copy_frozen().to(ground.device)
    return guide.train() if dropout else guide.eval()
