"""The stages of a recipe, one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mlsg import objectives
from mlsg.artefact import Artefact
from mlsg.catalog import Catalog, load_catalog
from mlsg.errors import SettingError
from mlsg.evaluate import evaluate
from mlsg.evaluate.seeds import encoders_of_seeds, over_seeds
from mlsg.prepare import prepare
from mlsg.train import train, train_seeds
from mlsg.workspace import Workspace

if TYPE_CHECKING:
    from mlsg.evaluate import Scores
    from mlsg.recipes import Recipe
    from mlsg.report.seeds import SeedsSheet


@dataclass(frozen=True)
class Surroundings:
    """What a command works in: the workspace, the known languages, where original files are, how many processes."""

    workspace: Workspace
    catalog: Catalog
    data_root: Path | None
    processes: int = 1
    """That train; no result depends on it."""


def surroundings(
    workspace: Path, langs_dirs: Sequence[Path], data_root: Path | None, processes: int = 1
) -> Surroundings:
    """Check the folders of the command line, read the catalog. Raises SettingError for a folder that is not there."""
    for folder in (*langs_dirs, *([data_root] if data_root else [])):
        if not folder.is_dir():
            raise SettingError(f"no folder {folder}", "name one that exists")
    return Surroundings(Workspace(workspace.absolute()), load_catalog(langs_dirs), data_root, processes)


def run_prepare(recipe: Recipe, around: Surroundings, sources: Sequence[Path] = (), column: str = "text") -> Artefact:
    """Sentences of the recipe's language; remembered as the last of that language."""
    artefact = prepare(
        recipe,
        workspace=around.workspace,
        catalog=around.catalog,
        data_root=around.data_root,
        sources=sources,
        column=column,
    )
    around.workspace.remember("prepare", artefact)
    around.workspace.remember(f"prepare:{recipe.prepare.lang}", artefact)
    return artefact


def run_train(recipe: Recipe, around: Surroundings, sentences: Artefact | None) -> Artefact:
    """An encoder trained on `sentences` (None where the objective does not train); remembered as the last one."""
    artefact = train(
        recipe,
        workspace=around.workspace,
        sentences=sentences,
        catalog=around.catalog,
        data_root=around.data_root,
        processes=around.processes,
    )
    around.workspace.remember("train", artefact)
    return artefact


def run_train_seeds(
    recipe: Recipe, around: Surroundings, sentences: Artefact | None, seeds: Sequence[int], at_once: int
) -> list[Artefact]:
    """An encoder for each seed, the last of them remembered as the last one."""
    artefacts = train_seeds(
        recipe,
        seeds,
        workspace=around.workspace,
        sentences=sentences,
        catalog=around.catalog,
        data_root=around.data_root,
        processes=around.processes,
        at_once=at_once,
    )
    around.workspace.remember("train", artefacts[-1])
    return artefacts


def run_recipe(recipe: Recipe, around: Surroundings) -> Scores:
    """All stages of a recipe; text is prepared only where the objective trains on it. Raises SettingError."""
    if recipe.pretrain is not None:
        problem = f"recipe {recipe.name} is for mlsg starter build"
        raise SettingError(problem, "run it so, or name another recipe (mlsg show lists them)")
    sentences = run_prepare(recipe, around) if needs_text(recipe) else None
    return run_eval(recipe, around, run_train(recipe, around, sentences))


def needs_text(recipe: Recipe) -> bool:
    """Whether the recipe's objective trains at all."""
    return objectives.read(recipe.objective).trains


def run_eval(recipe: Recipe, around: Surroundings, encoder: str | Artefact, pooling: str | None = None) -> Scores:
    """Scores of one encoder, remembered as the last ones."""
    scores = evaluate(
        encoder,
        recipe.eval,
        workspace=around.workspace,
        catalog=around.catalog,
        data_root=around.data_root,
        pooling=pooling,
    )
    around.workspace.remember("eval", scores.artefact)
    return scores


def run_eval_seeds(recipe: Recipe, around: Surroundings, seeds: Sequence[int]) -> tuple[SeedsSheet, list[Scores]]:
    """Scores of the encoders that differ from the last one in the seed alone, and their means."""
    for code in recipe.eval.langs:
        around.catalog.language(code)
    encoders = encoders_of_seeds(last_encoder(around), seeds, around.workspace)
    scores = [run_eval(recipe, around, encoder) for encoder in encoders]
    return over_seeds(seeds, scores, recipe.eval, around.workspace), scores


def last_sentences(around: Surroundings, lang: str | None) -> Artefact:
    """The last prepared sentences (of a language). Raises SettingError when there are none."""
    artefact = around.workspace.last(f"prepare:{lang}" if lang else "prepare")
    if artefact is None:
        raise SettingError(
            f"no prepared sentences{f' of {lang}' if lang else ''} in {around.workspace.root}",
            f"run: mlsg prepare --lang {lang or 'en'}",
        )
    return artefact


def encoders_to_evaluate(recipe: Recipe, around: Surroundings, named: Sequence[str]) -> Sequence[str | Artefact]:
    """The named encoders, or the one trained last. Raises SettingError for an unknown language before all else."""
    for code in recipe.eval.langs:
        around.catalog.language(code)
    return list(named) or [last_encoder(around)]


def last_encoder(around: Surroundings) -> Artefact:
    """The last trained encoder. Raises SettingError when there is none."""
    artefact = around.workspace.last("train")
    if artefact is None:
        raise SettingError(f"no trained encoder in {around.workspace.root}", "run mlsg train, or pass --encoder")
    return artefact
