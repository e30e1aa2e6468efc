"""The stages of a recipe, one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mlsg import objectives
from mlsg.cache.artefact import Artefact
from mlsg.context import Context
from mlsg.errors import SettingError
from mlsg.evaluate import evaluate, suites
from mlsg.evaluate.over_seeds import encoders_of_seeds, over_seeds
from mlsg.prepare import prepare
from mlsg.train import train, train_seeds

if TYPE_CHECKING:
    from mlsg.config.recipes import Recipe
    from mlsg.evaluate import Scores
    from mlsg.evaluate.results import SeedScores


def run_prepare(recipe: Recipe, context: Context, sources: Sequence[Path] = (), column: str = "text") -> Artefact:
    """Sentences of the recipe's language; remembered as the last of that language."""
    artefact = prepare(recipe, context, sources=sources, column=column)
    context.workspace.remember("prepare", artefact)
    context.workspace.remember(f"prepare:{recipe.prepare.lang}", artefact)
    return artefact


def run_train(recipe: Recipe, context: Context, sentences: Artefact | None, processes: int = 1) -> Artefact:
    """An encoder trained on `sentences` (None where the objective does not train); remembered as the last one."""
    artefact = train(recipe, context, sentences, processes=processes)
    context.workspace.remember("train", artefact)
    return artefact


def run_train_seeds(
    recipe: Recipe, context: Context, sentences: Artefact | None, seeds: Sequence[int], jobs: int, processes: int = 1
) -> list[Artefact]:
    """An encoder for each seed, the last of them remembered as the last one."""
    artefacts = train_seeds(recipe, context, sentences, seeds, processes=processes, jobs=jobs)
    context.workspace.remember("train", artefacts[-1])
    return artefacts


def run_recipe(recipe: Recipe, context: Context, processes: int = 1) -> Scores:
    """All stages of a recipe; text is prepared only where the objective trains on it. Raises SettingError."""
    if recipe.pretrain is not None:
        problem = f"recipe {recipe.name} is for mlsg starter build"
        raise SettingError(problem, "run it so, or name another recipe (mlsg show lists them)")
    suites.suite(recipe.eval.suite)  # an unknown one is said before anything is trained
    sentences = run_prepare(recipe, context) if needs_text(recipe) else None
    return run_eval(recipe, context, run_train(recipe, context, sentences, processes))


def needs_text(recipe: Recipe) -> bool:
    """Whether the recipe's objective trains at all."""
    return objectives.read(recipe.objective).trains


def run_eval(recipe: Recipe, context: Context, encoder: str | Artefact, pooling: str | None = None) -> Scores:
    """Scores of one encoder, remembered as the last ones."""
    scores = evaluate(encoder, recipe.eval, context, pooling=pooling)
    context.workspace.remember("eval", scores.artefact)
    return scores


def run_eval_seeds(recipe: Recipe, context: Context, seeds: Sequence[int]) -> SeedScores:
    """Scores of the encoders that differ from the last one in the seed alone, and their means."""
    for code in recipe.eval.langs:
        context.catalog.language(code)
    encoders = encoders_of_seeds(last_encoder(context), seeds, context.workspace)
    scores = [run_eval(recipe, context, encoder) for encoder in encoders]
    return over_seeds(seeds, scores)


def last_sentences(context: Context, lang: str | None) -> Artefact:
    """The last prepared sentences (of a language). Raises SettingError when there are none."""
    artefact = context.workspace.last(f"prepare:{lang}" if lang else "prepare")
    if artefact is None:
        raise SettingError(
            f"no prepared sentences{f' of {lang}' if lang else ''} in {context.workspace.root}",
            f"run: mlsg prepare --lang {lang or 'en'}",
        )
    return artefact


def encoders_to_evaluate(recipe: Recipe, context: Context, named: Sequence[str]) -> Sequence[str | Artefact]:
    """The named encoders, or the one trained last. Raises SettingError for an unknown language before all else."""
    for code in recipe.eval.langs:
        context.catalog.language(code)
    return list(named) or [last_encoder(context)]


def last_encoder(context: Context) -> Artefact:
    """The last trained encoder. Raises SettingError when there is none."""
    artefact = context.workspace.last("train")
    if artefact is None:
        raise SettingError(f"no trained encoder in {context.workspace.root}", "run mlsg train, or pass --encoder")
    return artefact
