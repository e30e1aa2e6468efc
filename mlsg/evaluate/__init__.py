"""Evaluation: scores of an encoder on the pair sets of languages that its training never saw.

Importing this package, and asking for scores that are there already, imports neither torch nor transformers.
"""

from __future__ import annotations

from mlsg.cache.artefact import Artefact
from mlsg.config.recipes import EvalSettings
from mlsg.context import Context
from mlsg.evaluate.compare import compare
from mlsg.evaluate.encoder_ref import resolve_encoder
from mlsg.evaluate.suites.sts import Scores, evaluate_sts

__all__ = ["Scores", "compare", "evaluate"]


def evaluate(
    encoder: str | Artefact, settings: EvalSettings, context: Context, *, pooling: str | None = None
) -> Scores:
    """Scores of an encoder (artefact, folder or hub id) on the sets of `settings.langs`.

    Raises SettingError for an unknown language or pooling, ModelError and DataError for what cannot be read,
    HubUnreachableError when no set at all, or not the encoder, can be had.
    """
    return evaluate_sts(resolve_encoder(encoder, pooling, context.workspace, context.hub), settings, context)
