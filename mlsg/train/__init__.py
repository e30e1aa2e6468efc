"""`train`: sentences and a base -> an encoder.

    encoders/<key>/     a sentence-transformers folder with mlsg.json (provenance) and history.json (losses, dev scores)

Asking for an encoder that exists already imports no torch: a key is made of settings and fingerprints only.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlsg import objectives, transforms
from mlsg.cache.artefact import Artefact, Request
from mlsg.config.settings import table_of
from mlsg.errors import HubUnreachableError, SettingError
from mlsg.model.source import fingerprint_model, local_folder
from mlsg.prepare import text_sha256
from mlsg.train.launch import launched, run_jobs, run_on_processes

if TYPE_CHECKING:
    from mlsg.cache.workspace import Workspace
    from mlsg.config.recipes import Recipe
    from mlsg.context import Context
    from mlsg.data.pairs import LocatedSet
    from mlsg.hub import Hub
    from mlsg.objectives.interface import ObjectiveSettings
    from mlsg.train.distributed import ProcessGroup
    from mlsg.transforms.interface import TransformSettings

__all__ = ["train", "train_seeds"]

STAGE = "encoders"
FORMAT = 3


def train(recipe: Recipe, context: Context, sentences: Artefact | None, *, processes: int = 1) -> Artefact:
    """The encoder of `recipe` trained on `sentences`; without training and without a transform it needs none.

    `processes` are started on this host, and trained with as one; a script that asks for several guards its own start
    with `if __name__ == "__main__"`. Where a launcher has started this process as one of many, all call this function,
    the first one returns, and the others leave by SystemExit.

    Raises SettingError for settings that do not fit, ModelError or HubUnreachableError for the base, DataError or
    HubUnreachableError for the dev set, DivergedError when training runs away, ProcessLostError when a process dies.
    """
    if not launched():
        return _encoder(train_job(recipe, context, sentences, processes), processes)
    from mlsg.train.distributed import process_group

    with process_group() as group:
        with group.shared_errors():
            job = train_job(recipe, context, sentences, int(os.environ["WORLD_SIZE"]))
        made = _build_together(group, job)
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
) -> list[Artefact]:
    """An encoder of `recipe` for each seed, in their order; `jobs` are trained at the same time, a process each.

    A seed that fails leaves the others to go on. Scripts, and what is raised: as `train`; SettingError also for options
    that do not go together.
    """
    if launched():
        raise SettingError("several seeds under a launcher", "launch mlsg train --seed once for each")
    if jobs > 1 and processes > 1:
        raise SettingError(f"{jobs} jobs of {processes} processes each", "give one of --jobs, --processes")
    recipes = {seed: replace(recipe, train=replace(recipe.train, seed=seed)) for seed in seeds}
    wanted = {seed: train_job(each, context, sentences, processes) for seed, each in recipes.items()}
    objective = wanted[seeds[0]].objective
    transform = wanted[seeds[0]].transform
    if not objective.trains and not (transform and transform.draws):
        raise SettingError(f'objective "{objective.label}" has no seed', "train without --seeds")
    if jobs > 1:
        missing = {seed: (job,) for seed, job in wanted.items() if not context.workspace.find(job.request)}
        run_jobs(_build, missing, jobs)
    return [_encoder(wanted[seed], processes) for seed in seeds]


@dataclass(frozen=True)
class TrainJob:
    """What is to be trained, with everything from outside found and named."""

    recipe: Recipe
    objective: ObjectiveSettings
    transform: TransformSettings | None
    base_name: str
    base_fingerprint: str
    sentences: Artefact | None
    dev: LocatedSet | None
    hub: Hub
    workspace: Workspace
    drawing_processes: int = 1  # how many processes draw dropout masks of their own

    @property
    def base_revision(self) -> str:
        """The full commit of a base from the hub; empty for a folder."""
        return self.base_fingerprint.partition("@")[2]

    @property
    def labels(self) -> list[str]:
        """Of the objective, and of the transform if there is one."""
        return [self.objective.label, *([self.transform.label] if self.transform else [])]

    @property
    def request(self) -> Request:
        """Where the base lies, its name and its revision are not in the settings: its fingerprint says which it is.

        Of the sentences their text counts, and what mlsg.json says of it, but not what it was compared with.
        The number of processes is in them only where torch draws the dropout masks in each process: on GPUs, and for a
        few kinds of base. CPUs draw them by sentence, so that the number changes nothing.
        """
        settings: dict[str, Any] = {"train": {}}
        if self.objective.trains:
            train = table_of(self.recipe.train)
            settings["train"] = {name: value for name, value in train.items() if name not in ("model", "revision")}
            if self.drawing_processes > 1:
                settings["processes"] = self.drawing_processes
        elif self.transform and self.transform.draws:
            settings["train"] = {"seed": self.recipe.train.seed}
        settings["objective"] = objectives.resolved(self.recipe.objective)
        if self.transform:
            settings["transform"] = transforms.resolved(self.recipe.transform)
        settings["encoder"] = table_of(self.recipe.encoder)
        if self.sentences:
            facts = self.sentences.facts
            settings["text"] = {name: facts[name] for name in ("lang", "corpus", "transductive") if name in facts}
        return Request(
            stage=STAGE,
            format=FORMAT,
            name="-".join([self.base_name.rpartition("/")[2], *self.labels]),
            settings=settings,
            inputs={"sentences": text_sha256(self.sentences)} if self.sentences else {},
            fingerprints={"base": self.base_fingerprint, **({"dev": self.dev.fingerprint} if self.dev else {})},
        )


def train_job(recipe: Recipe, context: Context, sentences: Artefact | None, processes: int = 1) -> TrainJob:
    """The job of a recipe. Raises SettingError, and what the base and the dev set cannot be found for."""
    objective, transform = objectives.read(recipe.objective), transforms.read(recipe.transform)
    reads = objective.trains or transform is not None or recipe.encoder.pooling == "sif"
    if reads and sentences is None:
        what = f'objective "{objective.label}"' if objective.trains else transform.label if transform else "sif"
        raise SettingError(f"{what} needs sentences", "run mlsg prepare first")
    if objective.trains and sentences is not None:
        _check_kind(recipe.objective["name"], objective, sentences.facts.get("kind", "sentences"))
    model = recipe.train.model
    folder = None if model == "starter" else local_folder(model)
    if folder is not None:  # an evaluation in another working folder looks for the base later
        recipe = replace(recipe, train=replace(recipe.train, model=str(folder.absolute())))
    fingerprint = fingerprint_model(model, recipe.train.revision, context.hub)
    dev = _dev(recipe.train.dev, context) if objective.trains else None
    if processes > 1:
        from mlsg.model.backbone import masks_by_sentence
        from mlsg.train.distributed import uses_gpus

        alike = not uses_gpus() and masks_by_sentence(model, recipe.train.revision, context.hub)
        processes = 1 if alike else processes
    name = folder.resolve().name if folder is not None else model
    text = sentences if reads else None
    return TrainJob(
        recipe, objective, transform, name, fingerprint, text, dev, context.hub, context.workspace, processes
    )


def _check_kind(name: str, objective: ObjectiveSettings, kind: str) -> None:
    if kind not in objective.kinds:
        problem = f"objective {name} is trained on {' or '.join(objective.kinds)}, and the prepared text is {kind}"
        raise SettingError(problem, f"run mlsg prepare --kind {objective.kinds[0]}, or choose another recipe")


def _dev(name: str, context: Context) -> LocatedSet | None:
    if name == "none":
        return None
    from mlsg.data.pairs import MissingSet, locate_set

    found = locate_set(context.catalog.pair_set(name), context.data_root, context.hub)
    if isinstance(found, MissingSet):
        remedy = "give its files with --data-root, or train without: --set train.dev=none"
        raise HubUnreachableError(f"dev set {name} is not available: {found.why}", remedy)
    return found


def _encoder(job: TrainJob, processes: int) -> Artefact:
    """The encoder of a job, trained here or on several processes of this host."""
    if processes > 1 and job.objective.trains and job.workspace.find(job.request) is None:
        batch = job.recipe.train.batch_size
        if processes > batch:
            raise SettingError(f"{processes} processes for batches of {batch} sentences", f"start at most {batch}")
        run_on_processes(processes, _build_together, job)
    return _build(job)


def _build(job: TrainJob, group: ProcessGroup | None = None) -> Artefact:
    """The encoder of `job`, trained by this process, the main one of `group`, unless the workspace has it."""

    def make(folder: Path, scratch: Path) -> Mapping[str, Any]:
        from mlsg.train.stage import make_encoder

        return make_encoder(job, folder, scratch, group)

    return job.workspace.build(job.request, make, recipe=table_of(job.recipe))


def _build_together(group: ProcessGroup, job: TrainJob) -> Artefact | None:
    """The same by all processes of a group: the main one has the artefact, the others help to train and get None.

    Raises SettingError where the processes were asked for different encoders.
    """
    from mlsg.train.stage import train_base

    keys = group.gather_objects(job.request.key)
    for rank, key in enumerate(keys):
        if key != keys[0]:
            problem = f"process {rank} was asked for another encoder than process 0"
            remedy = "give all processes the same command, base, sentences and dev set"
            raise group.raised_by_all(SettingError(problem, remedy))
    if group.is_main:
        made = _build(job, group)
        group.broadcast_object(None)
        return made
    while scratch := group.broadcast_object(None):  # as `make_encoder` says, after a wait for a lock maybe
        train_base(job, scratch, group)
    return None
