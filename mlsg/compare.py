"""Several recipes run and compared; the stages are those of `mlsg.api`, the statistics of `mlsg.evaluate.methods`.

Importing this file does not import torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from mlsg import console
from mlsg.api import draws, needs_text, run_eval, run_prepare, run_train
from mlsg.cache.artefact import Artefact
from mlsg.cache.explain import DryRunWorkspace, NotBuiltError
from mlsg.config.recipes import Recipe
from mlsg.context import Context
from mlsg.errors import SettingError
from mlsg.train import train_seeds

if TYPE_CHECKING:
    from mlsg.evaluate.methods import Comparison, Method


def run_methods(
    recipes: Sequence[Recipe],
    context: Context,
    seeds: Sequence[int] = (),
    *,
    jobs: int = 1,
    processes: int = 1,
    against: str | None = None,
) -> Comparison:
    """All stages of several recipes, an encoder for each of `seeds` (none: the recipe's own), and their comparison.

    What recipes share (text, views, vectors of the base) is made once. Raises SettingError.
    """
    from mlsg.evaluate.methods import compare_methods

    if jobs > 1 and not seeds:
        raise SettingError("--jobs without --seeds", "name the seeds, as 1,2,5 or 1-8")
    names = [recipe.name for recipe in recipes]
    if len(set(names)) < len(names):
        raise SettingError(f"two recipes of one name: {', '.join(names)}", "name each recipe once")
    methods = [run_method(recipe, context, seeds, jobs=jobs, processes=processes) for recipe in recipes]
    return compare_methods(methods, against or methods[0].name)


def compare_made(
    recipes: Sequence[Recipe], context: Context, seeds: Sequence[int] = (), *, against: str | None = None
) -> Comparison:
    """The comparison of recipes that were run before. Raises SettingError for one that was not."""
    dry = replace(context, workspace=DryRunWorkspace(context.workspace.root))
    try:
        return run_methods(recipes, dry, seeds, against=against)
    except NotBuiltError as missing:
        named = " ".join(recipe.name for recipe in recipes)
        problem = f"not made yet: {missing.request.stage} of {missing.request.name}"
        raise SettingError(problem, f"run: mlsg run {named}, with the same options") from None


def run_method(
    recipe: Recipe, context: Context, seeds: Sequence[int] = (), *, jobs: int = 1, processes: int = 1
) -> Method:
    """All stages of one recipe, an encoder for each of `seeds` where they change anything, for `compare_methods`.

    Raises SettingError.
    """
    from mlsg.evaluate.methods import Method

    if recipe.pretrain is not None:
        raise SettingError(f"recipe {recipe.name} is for mlsg starter build", "name another recipe (mlsg show)")
    console.note(f"method {recipe.name}")
    sentences = run_prepare(recipe, context) if needs_text(recipe) else None
    if seeds and draws(recipe):
        encoders = train_seeds(recipe, context, sentences, seeds, processes=processes, jobs=jobs)
    else:
        encoders = [run_train(recipe, context, sentences, processes)]
    scores = [run_eval(recipe, context, encoder) for encoder in encoders]
    speeds = [speed for encoder in encoders if (speed := _speed(encoder, recipe, context)) is not None]
    seconds = sum(encoder.seconds for encoder in encoders) / len(encoders)
    return Method(recipe.name, scores, seconds, sum(speeds) / len(speeds) if speeds else None, _text(sentences))


def _text(sentences: Artefact | None) -> str:
    """The corpus, and its languages where they are several."""
    if sentences is None:
        return ""
    corpus, languages = sentences.facts["corpus"] or "own files", sentences.facts.get("languages", {})
    return f"{corpus} ({len(languages)} languages)" if languages else str(corpus)


def _speed(encoder: Artefact, recipe: Recipe, context: Context) -> float | None:
    from mlsg.evaluate.encoder_ref import resolve_encoder
    from mlsg.evaluate.vectors import VectorStore

    ref = resolve_encoder(encoder, None, context.workspace, context.hub)
    return VectorStore(context.workspace.root, ref, recipe.eval.precision).speed()
