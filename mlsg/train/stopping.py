"""When dev has told enough: two ways to count towards `train.patience`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from mlsg.config.recipes import TrainSettings


def out_of_patience(history: Sequence[Mapping[str, Any]], without_best: int, settings: TrainSettings) -> bool:
    """Whether to stop after the measurements in `history` (each with its `dev`), `without_best` of them since the best.

    "drops" is what the authors' code does: every score below the one before counts, the one before training included,
    and nothing resets the count, so that a curve that rises in zigzags is stopped too.
    """
    if not settings.patience:
        return False
    if settings.stopping == "best":
        return without_best >= settings.patience
    scores = [entry["dev"] for entry in history if entry["dev"] is not None]
    return sum(later < before for before, later in pairwise(scores)) >= settings.patience
