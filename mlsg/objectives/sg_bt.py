"""Self-guidance with back-translation: the guide reads the paraphrase of what the tuned copy reads.

Source: Kim, Yoo, Lee, ACL 2021, table 7. All else is self-guided training (`self_guided`), on pairs: the anchor is the
tuned copy's vector of the first sentence, the views are the guide's layers of the second one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from mlsg.config.recipes import Kind
from mlsg.errors import SettingError
from mlsg.objectives.interface import Batch, TrainingContext, TrainingText
from mlsg.objectives.self_guided import SelfGuided
from mlsg.objectives.self_guided import Settings as SelfGuidedSettings

if TYPE_CHECKING:
    from torch import Tensor

    from mlsg.objectives.views import ViewSource


@dataclass(frozen=True)
class Settings(SelfGuidedSettings):
    """Settings of self-guided training."""

    kinds: ClassVar[tuple[Kind, ...]] = ("pairs",)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.guide == "shared":
            raise SettingError('objective.guide = "shared" with sg_bt', "use objective self_guided for it")

    @property
    def label(self) -> str:
        """A short name for folders and tables."""
        return "sg_bt"

    def build(self, context: TrainingContext) -> SelfGuided:
        """The objective on `context`. Raises SettingError for a layer that the base does not have."""
        second = context.text.column(1)
        objective = super().build(replace(context, text=second))
        objective.text = context.text
        assert objective.views is not None
        objective.views = ViewsOfSecondTexts(objective.views, second)
        return objective


@dataclass(frozen=True)
class ViewsOfSecondTexts:
    """The views of another text, row by row."""

    source: ViewSource
    text: TrainingText

    def __call__(self, batch: Batch, drawn: Sequence[int] | None = None) -> Tensor:
        """(b, n, d), or (b, d) of the drawn layers."""
        from mlsg.model.fast.packing import pack

        read = batch.mini_batches[0]
        packed = pack(self.text.tokens, batch.rows, together=read.together).to(read.ids.device)
        return self.source(replace(batch, mini_batches=[packed]), drawn)
