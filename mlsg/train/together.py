"""What each process of a crew does to make one encoder: the first one builds the artefact, the others help to train."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlsg.config.settings import table_of
from mlsg.train.crew import Crew
from mlsg.train.stage import help_to_train, make_encoder

if TYPE_CHECKING:
    from mlsg.cache.artefact import Artefact
    from mlsg.cache.workspace import Workspace
    from mlsg.train import TrainJob
    from mlsg.train.pace import Pace


def take_part(crew: Crew, order: TrainJob, workspace: Workspace, pace: Pace) -> Artefact | None:
    """The finished artefact in the first process, None in the others. Raises as `mlsg.train.train`."""
    crew.agree(order.request.key)
    if crew.team.leads:

        def make(folder: Path, scratch: Path) -> Mapping[str, Any]:
            crew.begin(scratch)
            return make_encoder(order, folder, scratch, pace, crew.team)

        return workspace.build(order.request, make, recipe=table_of(order.recipe))
    scratch = crew.task()
    if scratch is not None and order.objective.trains:
        help_to_train(order, scratch, pace, crew.team)
    return None
