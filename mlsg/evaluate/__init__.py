"""Evaluation: scores of an encoder on the pair sets of languages that its training never saw.

Importing this package imports nothing else; asking for scores that exist already, neither torch nor transformers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlsg.cache.artefact import Artefact
    from mlsg.config.recipes import EvalSettings
    from mlsg.context import Context
    from mlsg.evaluate.results import Scores


def evaluate(
    encoder: str | Artefact,
    settings: EvalSettings,
    context: Context,
    *,
    pooling: str | None = None,
    prompt: str | None = None,
    prompt_name: str | None = None,
) -> Scores:
    """Scores of an encoder (artefact, folder or hub id) on the sets of `settings.langs`, by `settings.suite`.

    Raises SettingError for an unknown suite, language, pooling or prompt, ModelError and DataError for what cannot be
    read, HubUnreachableError when no set at all, or not the encoder, is available.
    """
    from mlsg.evaluate.encoder_ref import resolve_encoder
    from mlsg.evaluate.suites import suite

    run = suite(settings.suite)
    ref = resolve_encoder(encoder, pooling, context.workspace, context.hub, prompt, prompt_name)
    return run(ref, settings, context)
