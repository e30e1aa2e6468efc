"""`train`: sentences and a base -> an encoder.

    encoders/<key>/     a sentence-transformers folder with mlsg.json (provenance) and history.json (losses, dev scores)

Asking for an encoder that exists already imports no torch.
"""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

from mlsg.errors import SettingError
from mlsg.train.job import CheckpointPolicy, TrainJob, build_encoder, build_encoder_together, train_job
from mlsg.train.jobs import train_jobs
from mlsg.train.launch import launched, run_on_processes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mlsg.cache.artefact import Artefact
    from mlsg.config.recipes import Recipe
    from mlsg.context import Context

__all__ = ["CheckpointPolicy", "train", "train_seeds"]


def train(
    recipe: Recipe,
    context: Context,
    sentences: Artefact | None,
    *,
    processes: int = 1,
    checkpoints: CheckpointPolicy = CheckpointPolicy(),
) -> Artefact:
    """The encoder of `recipe` trained on `sentences`; an objective without training needs none.

    `processes` are started on this host, and trained with as one; a script that asks for several guards its own start
    with `if __name__ == "__main__"`. Where a launcher has started this process as one of many, all call this function,
    the first one returns, and the others leave by SystemExit.

    Raises SettingError for settings that do not fit, ModelError or HubUnreachableError for the base, DataError or
    HubUnreachableError for the dev set, DivergedError when training runs away, ProcessLostError when a process dies.
    """
    if not launched():
        return _encoder(train_job(recipe, context, sentences, processes), processes, checkpoints)
    from mlsg.train.distributed import process_group

    with process_group() as group:
        with group.shared_errors():
            job = train_job(recipe, context, sentences, int(os.environ["WORLD_SIZE"]))
        made = build_encoder_together(group, job, checkpoints)
    if made is None:
        raise SystemExit(0)
    return made


def train_seeds(
    recipe: Recipe,
    context: Context,
    sentences: Artefact | None,
    seeds: Sequence[int],
    *,
    processes: int = 1,
    jobs: int = 1,
    checkpoints: CheckpointPolicy = CheckpointPolicy(),
) -> list[Artefact]:
    """An encoder of `recipe` for each seed, in their order; `jobs` are trained at the same time, a process each.

    A seed that fails leaves the others to go on. Scripts, and what is raised: as `train`; SettingError also for options
    that do not go together.
    """
    if launched():
        raise SettingError("several seeds under a launcher", "launch mlsg train --seed once for each")
    if jobs > 1 and processes > 1:
        raise SettingError(f"{jobs} jobs of {processes} processes each", "give one of --jobs, --processes")
    wanted = {
        seed: train_job(replace(recipe, train=replace(recipe.train, seed=seed)), context, sentences, processes)
        for seed in seeds
    }
    first = wanted[seeds[0]]
    if not first.objective.trains:
        raise SettingError(f'objective "{first.objective.label}" has no seed', "train without --seeds")
    if jobs > 1:
        missing = {seed: job for seed, job in wanted.items() if context.workspace.find(job.request) is None}
        train_jobs(missing, jobs, checkpoints)
    return [_encoder(wanted[seed], processes, checkpoints) for seed in seeds]


def _encoder(job: TrainJob, processes: int, checkpoints: CheckpointPolicy) -> Artefact:
    """The encoder of a job, trained here or on several processes of this host."""
    if processes > 1 and job.objective.trains and job.workspace.find(job.request) is None:
        batch = job.recipe.train.batch_size
        if processes > batch:
            raise SettingError(f"{processes} processes for batches of {batch} sentences", f"start at most {batch}")
        run_on_processes(processes, build_encoder_together, job, checkpoints)
    return build_encoder(job, checkpoints)
