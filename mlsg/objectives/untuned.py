"""No training at all: the encoder is the base with its pooling.

When to use it: as the "before" of every comparison, and to see whether training was worth it. The
pooling and the layer are those of `[encoder]`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NoReturn

from mlsg.config.recipes import Kind
from mlsg.errors import SettingError
from mlsg.objectives.interface import TrainingContext


@dataclass(frozen=True)
class Settings:
    """There is nothing to set."""

    trains: ClassVar[bool] = False
    kinds: ClassVar[tuple[Kind, ...]] = ()
    least_tokens: ClassVar[int] = 0

    @property
    def label(self) -> str:
        """A short name for folders and tables."""
        return "untuned"

    def build(self, context: TrainingContext) -> NoReturn:
        """Raises SettingError: there is no loss to compute."""
        raise SettingError('objective "untuned" has nothing to train', "choose another objective, or only its pooling")
