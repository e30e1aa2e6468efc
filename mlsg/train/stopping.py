"""When a training ends early: dev has not improved for long enough, the loss is not a number, or vectors collapse."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from mlsg.config.recipes import TrainSettings
from mlsg.errors import DivergedError
from mlsg.train.checkpoints import newest_step
from mlsg.train.dev import Measurement


def out_of_patience(history: Sequence[Mapping[str, Any]], without_best: int, settings: TrainSettings) -> bool:
    """Whether to stop after the measurements in `history` (each with its `dev`), `without_best` of them since the best.

    "drops" is what the authors' code does: every score below the one before counts, the one before training included,
    and nothing resets the count, so that a curve that rises in zigzags is stopped too.
    """
    if not settings.patience:
        return False
    if settings.stopping == "best":
        return without_best >= settings.patience
    scores: list[float] = [entry["dev"] for entry in history if entry["dev"] is not None]
    return sum(later < before for before, later in pairwise(scores)) >= settings.patience


def check_losses(values: Sequence[float], step: int, settings: TrainSettings, scratch: Path) -> None:
    """Raises DivergedError for NaN and infinity; `values` are the losses of the steps up to `step`."""
    for number, value in enumerate(values, start=step - len(values) + 1):
        if not math.isfinite(value):
            raise _diverged(f"the loss of step {number} is {value}", settings, scratch)


def collapse_bound(settings: TrainSettings, before: float | None) -> float:
    """The mean cosine of random pairs above which the encoder counts as collapsed.

    Some bases (XLM-R's [CLS]) start above any sensible bound without being useless, so it lies at least half way from
    where training began to 1: `collapse_above = 0.995` and a base at 0.999 give 0.9995.
    """
    return settings.collapse_above if before is None else max(settings.collapse_above, (1 + before) / 2)


def check_measurement(seen: Measurement, bound: float, step: int, settings: TrainSettings, scratch: Path) -> None:
    """Raises DivergedError for vectors that are no numbers and, once training has begun, for a collapse."""
    if not math.isfinite(seen.random_cosine):
        raise _diverged(f"vectors at step {step} are not finite", settings, scratch)
    if step and seen.random_cosine > bound:
        problem = f"at step {step} random pairs have a mean cosine of {seen.random_cosine:.5f}, above {bound:g}"
        raise _diverged(problem, settings, scratch)


def _diverged(what: str, settings: TrainSettings, scratch: Path) -> DivergedError:
    kept = newest_step(scratch)
    where = f"; the checkpoint of step {kept} is kept in {scratch}" if kept is not None else ""
    return DivergedError(
        f"training diverged: {what}",
        f"lower train.learning_rate (it is {settings.learning_rate:g}) or raise train.warmup_ratio{where}",
    )
