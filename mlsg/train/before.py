"""What the probe sees of the base before any training: an artefact, for all seeds and settings that begin there.

    measurements/<key>/artefact.json        facts: dev, random_cosine

It is kept where a dev set is measured. Without one the probe is a sample of the text, drawn by the seed and soon read.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from mlsg.cache.artefact import Request
from mlsg.config.settings import table_of
from mlsg.train.dev import Measurement
from mlsg.train.distributed import Team

if TYPE_CHECKING:
    from mlsg.train import TrainJob

STAGE = "measurements"
FORMAT = 1

Measure = Callable[[], Measurement]


def before_training(order: TrainJob, max_length: int, team: Team, measure: Measure) -> Measurement:
    """What `measure` sees of the untuned base, or saw of it in another training. Called by all of the team."""
    if order.dev is None:
        return measure()
    settings = order.recipe.train
    request = Request(
        stage=STAGE,
        format=FORMAT,
        name=f"{order.base_name.rpartition('/')[2]}-{settings.dev}",
        settings={
            "dev": settings.dev,
            "max_length": max_length,
            "precision": settings.precision,
            "encoder": table_of(order.recipe.encoder),
        },
        inputs={},
        fingerprints={"base": order.base_fingerprint, "dev": order.dev.fingerprint},
    )
    # Nobody waits for another one's measurement: two that measure at the same time see the same.
    found = order.workspace.find(request) if team.leads else None
    _, facts = team.tensors_of_first({}, None if found is None else dict(found.facts))
    if facts is not None:
        return Measurement(**facts)
    seen = measure()
    if team.leads:
        order.workspace.build(request, lambda folder, scratch: vars(seen))
    return seen
