"""Why each stage of a recipe was built, or would be."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from mlsg.api import needs_text, run_eval, run_prepare, run_train
from mlsg.cache.explain import DryRunWorkspace, NotBuiltError, explain_built, explain_missing
from mlsg.cache.workspace import Workspace
from mlsg.config.recipes import Recipe
from mlsg.context import Context
from mlsg.errors import SettingError


def explain_recipe(recipe: Recipe, context: Context) -> Iterator[str]:
    """Lines about each stage of a recipe in turn, up to the first that is not built."""
    dry = replace(context, workspace=DryRunWorkspace(context.workspace.root))
    try:
        sentences = None
        if needs_text(recipe):
            sentences = run_prepare(recipe, dry)
            yield from explain_built(sentences, context.workspace)
        encoder = run_train(recipe, dry, sentences)
        yield from explain_built(encoder, context.workspace)
        yield from explain_built(run_eval(recipe, dry, encoder).artefact, context.workspace)
    except NotBuiltError as missing:
        yield from explain_missing(missing.request, context.workspace)
        yield "the stages after it would be built too"


def explain_last(workspace: Workspace) -> Iterator[str]:
    """Lines about the last artefact of each command. Raises SettingError when there is none."""
    found = [artefact for role in ("prepare", "train", "eval") if (artefact := workspace.last(role))]
    if not found:
        raise SettingError(
            f"no artefacts in {workspace.root}", "run mlsg prepare, or name a recipe: mlsg explain zero_shot"
        )
    for artefact in found:
        yield from explain_built(artefact, workspace)
