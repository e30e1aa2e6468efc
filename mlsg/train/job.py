"""What is to be trained, as a request to the workspace, and how one process or several answer it.

Importing this file does not import torch: a key is made of settings and fingerprints only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlsg import objectives
from mlsg.cache.artefact import Artefact, Request
from mlsg.config.settings import table_of
from mlsg.errors import HubUnreachableError, SettingError
from mlsg.model.source import fingerprint_model, local_folder

if TYPE_CHECKING:
    from mlsg.cache.workspace import Workspace
    from mlsg.config.recipes import Recipe
    from mlsg.context import Context
    from mlsg.data.pairs import LocatedSet
    from mlsg.hub import Hub
    from mlsg.objectives.interface import ObjectiveSettings
    from mlsg.train.distributed import ProcessGroup

STAGE = "encoders"
FORMAT = 2

_BYTES_PER_SECOND = 1e9
"""The speed that a disk is assumed to have before one checkpoint has shown it."""


@dataclass(frozen=True)
class CheckpointPolicy:
    """A checkpoint every `save_steps` steps, unless they would take more than a share of the time.

    On a GPU a hundred steps of mBERT's shape take less time than their checkpoint does.
    """

    save_steps: int = 100
    max_time_share: float = 0.02
    """Of the time of a training."""

    def seconds_before_first(self, size: int) -> float:
        """Seconds of training before the first checkpoint, which has `size` bytes."""
        return self.seconds_after(size / _BYTES_PER_SECOND)

    def seconds_after(self, seconds: float) -> float:
        """Seconds of training after a checkpoint that took `seconds`."""
        return seconds / self.max_time_share


@dataclass(frozen=True)
class TrainJob:
    """What is to be trained, with everything from outside found and named."""

    recipe: Recipe
    objective: ObjectiveSettings
    base_name: str
    base_fingerprint: str
    sentences: Artefact | None
    dev: LocatedSet | None
    hub: Hub
    workspace: Workspace
    gpu_processes: int = 1
    """How many processes with a GPU each train together."""

    @property
    def base_revision(self) -> str:
        """The full commit of a base from the hub; empty for a folder."""
        return self.base_fingerprint.partition("@")[2]

    @property
    def request(self) -> Request:
        """Where the base lies and its revision are not in the settings: its fingerprint says both.

        The number of processes is in them only for GPUs, where torch draws the dropout masks in each process: CPUs draw
        them by sentence, so that the number changes nothing.
        """
        settings: dict[str, Any] = {"train": {"model": self.base_name}}
        if self.objective.trains:
            settings = {"train": {**table_of(self.recipe.train), "model": self.base_name}}
            settings["train"].pop("revision")
            if self.gpu_processes > 1:
                settings["processes"] = self.gpu_processes
        settings["objective"] = objectives.resolved(self.recipe.objective)
        settings["encoder"] = table_of(self.recipe.encoder)
        return Request(
            stage=STAGE,
            format=FORMAT,
            name=f"{self.base_name.rpartition('/')[2]}-{self.objective.label}",
            settings=settings,
            inputs={"sentences": self.sentences.key} if self.sentences else {},
            fingerprints={"base": self.base_fingerprint, **({"dev": self.dev.fingerprint} if self.dev else {})},
        )


def train_job(recipe: Recipe, context: Context, sentences: Artefact | None, processes: int = 1) -> TrainJob:
    """The job of a recipe. Raises SettingError, and what the base and the dev set cannot be found for."""
    objective = objectives.read(recipe.objective)
    if objective.trains and sentences is None:
        raise SettingError(f'objective "{objective.label}" needs sentences', "run mlsg prepare first")
    model = recipe.train.model
    folder = None if model == "starter" else local_folder(model)
    if folder is not None:  # an evaluation in another working folder looks for the base later
        recipe = replace(recipe, train=replace(recipe.train, model=str(folder.absolute())))
    return TrainJob(
        recipe,
        objective,
        folder.resolve().name if folder is not None else model,
        fingerprint_model(model, recipe.train.revision, context.hub),
        sentences if objective.trains else None,
        _dev(recipe.train.dev, context) if objective.trains else None,
        context.hub,
        context.workspace,
        _gpu_processes(processes),
    )


def build_encoder(job: TrainJob, checkpoints: CheckpointPolicy) -> Artefact:
    """The encoder of `job`, trained by this process unless the workspace has it."""

    def make(folder: Path, scratch: Path) -> Mapping[str, Any]:
        from mlsg.train.stage import make_encoder

        return make_encoder(job, folder, scratch, checkpoints)

    return job.workspace.build(job.request, make, recipe=table_of(job.recipe))


def build_encoder_together(group: ProcessGroup, job: TrainJob, checkpoints: CheckpointPolicy) -> Artefact | None:
    """The same by all processes of a group: the main one has the artefact, the others help to train and get None.

    Raises SettingError where the processes were asked for different encoders.
    """
    from mlsg.train.stage import help_to_train, make_encoder

    keys = group.gather_objects(job.request.key)
    for rank, key in enumerate(keys):
        if key != keys[0]:
            remedy = "give all processes the same command, base, sentences and dev set"
            raise group.raised_by_all(
                SettingError(f"process {rank} was asked for another encoder than process 0", remedy)
            )
    if not group.is_main:
        scratch: Path | None = group.broadcast_object(None)  # while the main process looks, or waits for a lock
        if scratch is not None:
            help_to_train(job, scratch, checkpoints, group)
        return None
    begun = False

    def make(folder: Path, scratch: Path) -> Mapping[str, Any]:
        nonlocal begun
        begun = True
        group.broadcast_object(scratch if job.objective.trains else None)
        return make_encoder(job, folder, scratch, checkpoints, group)

    made = job.workspace.build(job.request, make, recipe=table_of(job.recipe))
    if not begun:
        group.broadcast_object(None)
    return made


def _gpu_processes(processes: int) -> int:
    if processes == 1:
        return 1
    from mlsg.train.distributed import uses_gpus

    return processes if uses_gpus() else 1


def _dev(name: str, context: Context) -> LocatedSet | None:
    if name == "none":
        return None
    from mlsg.data.pairs import MissingSet, locate_set

    found = locate_set(context.catalog.pair_set(name), context.data_root, context.hub)
    if isinstance(found, MissingSet):
        remedy = "give its files with --data-root, or train without: --set train.dev=none"
        raise HubUnreachableError(f"dev set {name} is not available: {found.why}", remedy)
    return found
