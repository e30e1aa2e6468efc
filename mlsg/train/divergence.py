"""When a training is given up: a loss that is no number, or vectors that have all become one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from mlsg.config.recipes import TrainSettings
from mlsg.errors import DivergedError
from mlsg.train.checkpoints import newest_step
from mlsg.train.dev import Measurement


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
