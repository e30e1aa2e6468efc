"""Self-guided contrastive learning: a frozen copy of the base shows the tuned copy what its own layers know.

Source: T. Kim, K. M. Yoo, S. Lee: Self-Guided Contrastive Learning for BERT Sentence Representations, ACL 2021,
section 3. The anchor (the tuned copy's [CLS]) is pulled towards the pooled hidden layers of the guide for the same
sentence and pushed away from those of other sentences; a penalty keeps the tuned copy near the guide.

When to use it: to get a usable [CLS] out of a base with nothing but plain sentences. Small bases barely move.

Where this departs from the authors' released code (recipe `authors_code` follows the code where a setting can):
views are pooled by maximum as the paper says, not by mean; the guide has no dropout; opt2 keeps all b - 1 negatives;
base is the mean over 2b terms. Additions of mlsg, off by default: other anchors than [CLS], `mask_duplicates`,
`view_weighting`, `view_transform`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from mlsg.config.recipes import Kind
from mlsg.config.settings import Between
from mlsg.errors import SettingError
from mlsg.objectives.interface import Batch, Draw, Sequences, TrainingContext
from mlsg.objectives.sequences import first_text

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor, nn

    from mlsg.model.backbone import Backbone
    from mlsg.model.fast.packing import Packed
    from mlsg.objectives.views import ViewSource


@dataclass(frozen=True)
class Settings:
    """Settings of self-guided training; the defaults are the paper's."""

    trains: ClassVar[bool] = True
    kinds: ClassVar[tuple[Kind, ...]] = ("sentences",)
    least_tokens: ClassVar[int] = 0

    loss: Annotated[
        Literal["base", "opt1", "opt2", "opt3"], "opt3: SG-OPT; the others draw one layer a sentence and step"
    ] = "opt3"
    temperature: Annotated[float, "tau", Between(1e-4, 1e4)] = 0.01
    reg_weight: Annotated[
        float, "lambda: weight of the squared distance between tuned copy and guide", Between(0, 1e6)
    ] = 0.1
    view_pooling: Annotated[Literal["max", "mean", "cls"], "over the tokens of each layer of the guide"] = "max"
    layers: Annotated[
        tuple[int, ...], "layers of the guide that are views, 0: embeddings; empty: all", Between(0, 10_000)
    ] = ()
    head_width: Annotated[int, "width of the projection head", Between(1, 2**16)] = 4096
    head_depth: Annotated[int, "times Linear, GELU; 0: no head", Between(0, 16)] = 2
    head_activation: Annotated[Literal["gelu", "none"], "after each Linear; none with head_depth 1: a linear head"] = (
        "gelu"
    )
    guide: Annotated[
        Literal["frozen", "shared"], "shared: the tuned copy's own layers are the views, the paper's ablation"
    ] = "frozen"
    guide_dropout: Annotated[bool, "dropout in the guide, as in the authors' code"] = False
    mask_duplicates: Annotated[bool, "sentences with equal tokens are not negatives of each other"] = False
    view_weighting: Annotated[Literal["none", "sif"], "sif: rare tokens weigh more in a mean view"] = "none"
    view_transform: Annotated[
        Literal["none", "centre", "whiten"], "of each layer of views, fitted on the training text"
    ] = "none"
    view_precision: Annotated[
        Literal["train", "float32", "bf16"], "in which views are computed and stored; train: as train.precision"
    ] = "train"
    view_cache_gb: Annotated[
        float, "GB that stored views may take; past it the guide reads every batch", Between(0, 1e6)
    ] = 8.0
    view_shrinkage: Annotated[float, "share of the mean variance mixed in before whitening", Between(1e-6, 1)] = 0.1

    def __post_init__(self) -> None:
        if self.view_weighting != "none" and self.view_pooling != "mean":
            weighting = f'objective.view_weighting = "{self.view_weighting}"'
            problem = f'{weighting} weighs nothing with objective.view_pooling = "{self.view_pooling}"'
            raise SettingError(problem, "weights are for view_pooling = mean")
        if len(set(self.layers)) < len(self.layers):
            what = f"objective.layers is {list(self.layers)}"
            raise SettingError(what, "name each layer once, 0 being the embedding layer")
        if self.guide == "shared" and (self.guide_dropout, self.view_weighting, self.view_transform) != (
            *(False, "none", "none"),
        ):
            problem = 'objective.guide = "shared" with guide_dropout, view_weighting or view_transform'
            raise SettingError(problem, "the tuned copy's layers have its own dropout and are taken as they are")

    @property
    def label(self) -> str:
        """The loss names the method: opt3 is SG-OPT, base is SG."""
        return self.loss

    def build(self, context: TrainingContext) -> SelfGuided:
        """The objective on `context`. Raises SettingError for a layer that the base does not have."""
        from mlsg.objectives.projection import projection_head
        from mlsg.objectives.stored_views import view_source

        head = projection_head(
            context.base.dimension,
            width=self.head_width,
            depth=self.head_depth,
            deviation=getattr(context.base.model.config, "initializer_range", 0.02),
            seed=context.seed_of("head"),
            gelu=self.head_activation == "gelu",
        )
        guide = context.base.copy_frozen().to(context.device).train(self.guide_dropout)
        shared = self.guide == "shared"
        return SelfGuided(self, context, guide, None if shared else view_source(self, context, guide), head)


class SelfGuided:
    """The loss of one batch. Not a module: the guide must not be switched to training by a parent's `.train()`."""

    def __init__(
        self, settings: Settings, context: TrainingContext, guide: Backbone, views: ViewSource | None, head: nn.Module
    ) -> None:
        from mlsg.objectives.l2_sp import L2ToStart

        self.settings, self.encoder, self.text = settings, context.encoder, context.text
        self.guide, self.views, self.head = guide, views, head
        self.layers = len(settings.layers) or guide.layers + 1
        self.parts: Mapping[str, nn.Module] = {"head": head}
        fixed = dict(guide.model.named_parameters())
        self.regulariser = L2ToStart(settings.reg_weight, fixed) if settings.reg_weight else None

    def sequences(self, rows: NDArray[np.int64], draw: Draw) -> Sequences:
        """The sentences themselves."""
        return first_text(self.text, rows)

    def anchors(self, tuned: Backbone, packed: Packed) -> Tensor:
        """(b, d): the tuned copy's vectors, pooled as the encoder's will be; (b, 1 + n, d) with its layers as views."""
        from mlsg.objectives.anchor import anchors_of

        if self.views is not None:
            return anchors_of(tuned, packed, self.encoder)
        import torch

        from mlsg.model.fast.packing import pool_layers, pool_packed

        states, chosen = tuned.states_of(packed), self.settings.layers or range(tuned.layers + 1)
        views = pool_layers([states[k] for k in chosen], packed, self.settings.view_pooling)
        anchors = pool_packed(states, packed, self.encoder.pooling, self.encoder.layer)
        return torch.cat([anchors[:, None].to(views.dtype), views], dim=1)

    def loss(self, anchors: Tensor, batch: Batch) -> Tensor:
        """The contrastive loss of anchors (b, d): a scalar (section 3.1)."""
        import torch

        from mlsg.objectives.nt_xent import LOSSES

        settings, shard = self.settings, batch.shard
        drawn = None if settings.loss == "opt3" else batch.draw("layer", self.layers)  # uniformly, at each step
        if self.views is None:
            anchors, views = anchors[:, 0], anchors[:, 1:]
            views = views if drawn is None else views[range(len(views)), drawn]
        else:
            views = self.views(batch, drawn)  # (b, n, d), or (b, d) where one is drawn
        views = shard.gather(views)  # (B, ...), before the head, so that no gradient has to be sent back
        anchors, duplicates = shard.own(anchors), shard.own(batch.duplicates) if settings.mask_duplicates else None
        # both through the head in one product: its weights are read, and their gradients written, once
        projected = self.head(torch.cat([anchors, views.flatten(0, -2)]))
        left, right = projected[: len(anchors)], projected[len(anchors) :].unflatten(0, views.shape[:-1])
        return LOSSES[settings.loss](left, right, settings.temperature, duplicates, shard)
