"""`train`: sentences and a base -> an encoder.

    encoders/<key>/     a sentence-transformers folder with mlsg.json (provenance) and history.json (losses, dev scores)

Asking for an encoder that is there already imports no torch: the key is made of settings and fingerprints only.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from mlsg import objectives
from mlsg.cache.artefact import Request
from mlsg.config.settings import table_of
from mlsg.errors import HubUnreachableError, SettingError, nearest
from mlsg.hub import Hub
from mlsg.model.source import fingerprint_model, local_folder
from mlsg.train.jobs import train_at_once
from mlsg.train.outside import place_from_environment
from mlsg.train.pace import Pace
from mlsg.train.starting import Job, train_on

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from mlsg.cache.artefact import Artefact
    from mlsg.cache.workspace import Workspace
    from mlsg.config.catalog import Catalog
    from mlsg.config.recipes import Recipe
    from mlsg.context import Context
    from mlsg.data.pairs import LocatedSet
    from mlsg.objectives.interface import ObjectiveSettings

STAGE = "encoders"
FORMAT = 1


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

    @property
    def base_revision(self) -> str:
        """The full commit of a base from the hub; empty for a folder."""
        return self.base_fingerprint.partition("@")[2]

    @property
    def request(self) -> Request:
        """Where the base lies and its revision are not in the settings: its fingerprint says both."""
        encoder = table_of(self.recipe.encoder)
        if not self.objective.trains:
            settings: dict[str, Any] = {"train": {"model": self.base_name}}
        else:
            settings = {"train": {**table_of(self.recipe.train), "model": self.base_name}}
            settings["train"].pop("revision")
        return Request(
            stage=STAGE,
            format=FORMAT,
            name=f"{self.base_name.rpartition('/')[2]}-{self.objective.label}",
            settings={**settings, "objective": objectives.resolved(self.recipe.objective), "encoder": encoder},
            inputs={"sentences": self.sentences.key} if self.sentences else {},
            fingerprints={"base": self.base_fingerprint, **({"dev": self.dev.fingerprint} if self.dev else {})},
        )


def train(
    recipe: Recipe,
    context: Context,
    sentences: Artefact | None,
    *,
    pace: Pace = Pace(),
    processes: int = 1,
) -> Artefact:
    """The encoder of `recipe` trained on `sentences`; an objective without training needs none.

    `processes` are started on this host, and trained with as one; a script that asks for several guards its own start
    with `if __name__ == "__main__"`. Where a launcher has started this one among many, all call this function, the
    first one returns, and the others leave by SystemExit.

    Raises SettingError for settings that do not fit, ModelError or HubUnreachableError for the base, DataError or
    HubUnreachableError for the dev set, DivergedError when training runs away, ProcessLostError when a process dies.
    """
    place = place_from_environment()
    if place is not None:
        from mlsg.train.crew import Crew
        from mlsg.train.together import take_part

        with Crew(place) as crew:
            order = _order(recipe, context, sentences)
            made = take_part(crew, order, context.workspace, pace)
        assert made is not None  # the others have left
        return made
    return encoder_of(_order(recipe, context, sentences), context.workspace, pace, processes)


def train_seeds(
    recipe: Recipe,
    context: Context,
    sentences: Artefact | None,
    seeds: Sequence[int],
    *,
    pace: Pace = Pace(),
    processes: int = 1,
    jobs: int = 1,
) -> list[Artefact]:
    """An encoder of `recipe` for each seed, in their order; `jobs` are trained at the same time, a process each.

    A seed that fails leaves the others to go on. Scripts, and what is raised: as `train`; SettingError also for what
    cannot be together.
    """
    if place_from_environment() is not None:
        raise SettingError("several seeds under a launcher", "launch mlsg train --seed once for each")
    if jobs > 1 and processes > 1:
        raise SettingError(f"{jobs} seeds at once on {processes} processes each", "give one of --jobs, --processes")
    orders = []
    for seed in seeds:
        wanted = replace(recipe, train=replace(recipe.train, seed=seed))
        orders.append(_order(wanted, context, sentences))
    if not orders[0].objective.trains:
        raise SettingError(f'objective "{orders[0].objective.label}" has no seed', "train without --seeds")
    if jobs > 1:
        missing = [order for order in orders if context.workspace.find(order.request) is None]
        train_at_once({order.recipe.train.seed: Job(order, context.workspace, pace) for order in missing}, jobs)
    return [encoder_of(order, context.workspace, pace, processes) for order in orders]


def encoder_of(order: TrainJob, workspace: Workspace, pace: Pace, processes: int) -> Artefact:
    """The encoder that is ordered, trained here or on so many processes of this host."""
    if processes > 1 and order.objective.trains:
        found = workspace.find(order.request)
        if found is None:
            train_on(processes, Job(order, workspace, pace))
            found = workspace.find(order.request)
            assert found is not None
        return found

    def make(folder: Path, scratch: Path) -> Mapping[str, Any]:
        from mlsg.train.stage import make_encoder

        return make_encoder(order, folder, scratch, pace)

    return workspace.build(order.request, make, recipe=table_of(order.recipe))


def _order(recipe: Recipe, context: Context, sentences: Artefact | None) -> TrainJob:
    objective = objectives.read(recipe.objective)
    if recipe.encoder.transform != "none":
        raise SettingError(
            f'unknown encoder.transform "{recipe.encoder.transform}"', nearest(recipe.encoder.transform, ["none"])
        )
    hub = context.hub
    if objective.trains and sentences is None:
        raise SettingError(f'objective "{objective.label}" needs sentences', "run mlsg prepare first")
    dev = _dev(recipe.train.dev, context.catalog, context.data_root, hub) if objective.trains else None
    return TrainJob(
        replace(recipe, train=replace(recipe.train, model=_from_anywhere(recipe.train.model))),
        objective,
        base_name(recipe.train.model),
        fingerprint_model(recipe.train.model, recipe.train.revision, hub),
        sentences if objective.trains else None,
        dev,
        hub,
        context.workspace,
    )


def base_name(model: str) -> str:
    """A base's name without the path to it: `/data/mini/` -> `mini`; `starter` and `org/model` stay."""
    folder = None if model == "starter" else local_folder(model)
    return folder.resolve().name if folder is not None else model


def _from_anywhere(model: str) -> str:
    """The base as it is found from any working folder: an evaluation looks for it later, to compare with it."""
    folder = None if model == "starter" else local_folder(model)
    return model if folder is None else str(folder.absolute())


def _dev(name: str, catalog: Catalog, data_root: Path | None, hub: Hub) -> LocatedSet | None:
    if name == "none":
        return None
    from mlsg.data.pairs import MissingSet, locate_set

    found = locate_set(catalog.pair_set(name), data_root, hub)
    if isinstance(found, MissingSet):
        remedy = "give its files with --data-root, or train without: --set train.dev=none"
        raise HubUnreachableError(f"dev set {name} cannot be had: {found.why}", remedy)
    return found
